#include "rank-group.h"

#include <sched.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <time.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "collective-library.h"
#include "mpi-library.h"
#include "narrow-sum.h"
#include "rank-watch.h"

namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

// MPI counts in 32 bits.
constexpr int64_t kMaxElements = int64_t{1} << 28;
// MPI only makes progress when it is polled. If nothing finishes within this time, the other ranks have not arrived yet, and polling may
// pause.
constexpr double kSpinSeconds = 0.002;
constexpr long kPauseNanoseconds = 20'000;
// Slowest network rate at which an exchange still counts as progressing.
constexpr double kSlowestBytesPerSecond = 1e6;
// Interval at which an idle thread shows a sign of life.
constexpr auto kIdle = std::chrono::milliseconds(250);

struct Job {
  float* data = nullptr;
  int64_t count = 0;
  bool gathers = false;
  SumForm form = SumForm::kFloat32;
  // Name of the residual, which is kept from one sum to the next; empty for none.
  std::string residual;
  std::unique_ptr<NarrowSum> narrow_sum;
  std::vector<uint8_t> own, all;
  void* held = nullptr;
  void (*release)(void*) = nullptr;
  std::deque<std::unique_ptr<Exchange>> parts;
  bool done = false;
};

class Group {
 public:
  explicit Group(std::unique_ptr<MpiLibrary> mpi) : mpi_(std::move(mpi)), thread_([this] { Work(); }) {}

  // All MPI calls are made by the thread, except the first and the last, which are made when it is not running.
  ~Group() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
    if (failure_.empty()) mpi_->Finalize();
  }

  void Watch(const std::string& folder, double seconds) {
    std::lock_guard<std::mutex> lock(mutex_);
    watch_ = std::make_unique<RankWatch>(folder, mpi_->rank(), mpi_->size(), seconds);
  }

  void Fail(const std::string& reason) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (watch_) watch_->Fail(reason);
  }

  std::string failure() {
    std::lock_guard<std::mutex> lock(mutex_);
    return failure_;
  }

  GroupCounts counts() {
    std::lock_guard<std::mutex> lock(mutex_);
    return counts_;
  }

  int size() const { return mpi_->size(); }

  std::vector<std::string> ResidualNames() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, values] : residuals_) names.push_back(name);
    return names;
  }

  std::vector<float> Residual(const std::string& name) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = residuals_.find(name);
    return found == residuals_.end() ? std::vector<float>() : found->second;
  }

  void SetResidual(const std::string& name, std::vector<float> values) {
    std::lock_guard<std::mutex> lock(mutex_);
    residuals_[name] = std::move(values);
  }

  void Begin(const std::shared_ptr<Job>& job) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (job->data != nullptr) sums_[job->data] = job;
      queue_.push_back(job);
    }
    changed_.notify_all();
  }

  std::string Wait(const std::shared_ptr<Job>& job) {
    const Clock::time_point began = Clock::now();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [&] { return job->done || !failure_.empty(); });
    counts_.waited_seconds += SecondsSince(began);
    return job->done ? "" : failure_;
  }

  std::shared_ptr<Job> Take(const float* data) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = sums_.find(data);
    if (found == sums_.end()) return nullptr;
    std::shared_ptr<Job> job = found->second;
    sums_.erase(found);
    return job;
  }

 private:
  void Work() {
#ifdef __linux__
    prctl(PR_SET_TIMERSLACK, 1);
#endif
    std::deque<std::shared_ptr<Job>> active;
    Clock::time_point progressed = Clock::now(), began = progressed;
    for (;;) {
      std::deque<std::shared_ptr<Job>> fresh;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        if (watch_) watch_->Beat(counts_.exchanges);
        if (active.empty() && queue_.empty()) changed_.wait_for(lock, kIdle, [&] { return ends_ || !queue_.empty(); });
        if (ends_ && queue_.empty() && active.empty()) return;
        if (!failure_.empty() && ends_) return;
        fresh.swap(queue_);
      }
      if (!fresh.empty() && active.empty()) {
        progressed = began = Clock::now();
        std::lock_guard<std::mutex> lock(mutex_);
        if (watch_) watch_->Restart();
      }
      std::string problem;
      for (const auto& job : fresh) {
        if (problem.empty()) Start(*job, &problem);
        active.push_back(job);
      }
      bool moved = false;
      while (problem.empty() && !active.empty() && Advance(*active.front(), &problem)) {
        moved = true;
        Finish(active.front());
        active.pop_front();
        if (active.empty()) {
          std::lock_guard<std::mutex> lock(mutex_);
          counts_.busy_seconds += SecondsSince(began);
        }
      }
      if (problem.empty() && !moved && !active.empty()) problem = Pause(progressed, active);
      if (moved) progressed = Clock::now();
      if (!problem.empty()) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (failure_.empty()) failure_ = problem;
        // MPI may still write to the buffers of exchanges in progress, so they are never released.
        for (auto& job : active) abandoned_.push_back(std::move(job));
        active.clear();
        done_.notify_all();
      }
    }
  }

  void Start(Job& job, std::string* problem) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (job.gathers) job.parts.push_back(mpi_->AllGather(job.own.data(), job.all.data(), static_cast<int>(job.own.size()), problem));
    const bool narrow = job.form != SumForm::kFloat32;
    if (narrow) job.narrow_sum = std::make_unique<NarrowSum>(mpi_.get(), job.form, job.data, job.count, ResidualOf(job));
    for (int64_t at = 0; job.data != nullptr && !narrow && at < job.count && problem->empty(); at += kMaxElements)
      job.parts.push_back(mpi_->AllReduce(job.data + at, static_cast<int>(std::min(kMaxElements, job.count - at)), problem));
    counts_.bytes += BytesOf(job);
    counts_.exchanges++;
  }

  // Returns the residual, initially zeros. Its address stays the same while the number of elements does.
  float* ResidualOf(const Job& job) {
    if (job.residual.empty()) return nullptr;
    std::vector<float>& residual = residuals_[job.residual];
    residual.resize(static_cast<size_t>(job.count));
    return residual.data();
  }

  // Starts the exchanges of a narrow sum one after another, once it is the first job: that order is the same on all ranks.
  static bool Advance(Job& job, std::string* problem) {
    for (;;) {
      while (!job.parts.empty()) {
        if (job.parts.front() == nullptr || !job.parts.front()->Test(problem)) return false;
        job.parts.pop_front();
      }
      if (!problem->empty()) return false;
      std::unique_ptr<Exchange> next = job.narrow_sum ? job.narrow_sum->Next(problem) : nullptr;
      if (next == nullptr) return problem->empty();
      job.parts.push_back(std::move(next));
    }
  }

  void Finish(const std::shared_ptr<Job>& job) {
    // Released before anyone continues, so that the data can be passed on without a copy.
    if (job->release != nullptr) job->release(job->held);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job->done = true;
    }
    done_.notify_all();
  }

  // Pauses. Returns the reason to give up, or an empty string.
  std::string Pause(Clock::time_point progressed, const std::deque<std::shared_ptr<Job>>& active) {
    if (SecondsSince(progressed) < kSpinSeconds) {
      sched_yield();
      return "";
    }
    const timespec pause{0, kPauseNanoseconds};
    nanosleep(&pause, nullptr);
    int64_t bytes = 0;
    for (const auto& job : active) bytes += job->gathers ? static_cast<int64_t>(job->all.size()) : 2 * BytesOf(*job);
    std::lock_guard<std::mutex> lock(mutex_);
    // Exchanges run in the order in which they were started.
    const int64_t first = counts_.exchanges - static_cast<int64_t>(active.size()) + 1;
    return watch_ ? watch_->Lost(first, static_cast<double>(bytes) / kSlowestBytesPerSecond) : "";
  }

  static int64_t BytesOf(const Job& job) {
    return (job.gathers ? static_cast<int64_t>(job.own.size()) : 0) + BytesInTransit(job.form, job.count);
  }

  const std::unique_ptr<MpiLibrary> mpi_;
  std::mutex mutex_;
  std::condition_variable changed_, done_;
  std::deque<std::shared_ptr<Job>> queue_;
  std::map<const float*, std::shared_ptr<Job>> sums_;
  std::map<std::string, std::vector<float>> residuals_;
  std::vector<std::shared_ptr<Job>> abandoned_;
  std::unique_ptr<RankWatch> watch_;
  std::string failure_;
  GroupCounts counts_;
  bool ends_ = false;
  std::thread thread_;
};

// Never destroyed automatically: a process that fails ends without waiting for the others.
Group* group = nullptr;

}  // namespace

std::string JoinGroup(const std::string& library, GroupPlace* place) {
  if (group != nullptr) return "this process has joined its ranks already";
  std::string problem;
  const std::string collectives = "grpc:";
  const bool isMpi = library.compare(0, collectives.size(), collectives) != 0;
  std::unique_ptr<MpiLibrary> mpi = isMpi ? OpenMpi(library, &problem) : OpenCollectives(library.substr(collectives.size()), &problem);
  if (!mpi) return problem;
  *place = {mpi->rank(), mpi->size()};
  group = new Group(std::move(mpi));
  return "";
}

void LeaveGroup() {
  delete group;
  group = nullptr;
}

void WatchGroup(const std::string& folder, double seconds) {
  if (group != nullptr) group->Watch(folder, seconds);
}

void FailGroup(const std::string& reason) {
  if (group != nullptr) group->Fail(reason);
}

std::string GroupFailure() { return group == nullptr ? "" : group->failure(); }

GroupCounts CountsOfGroup() { return group == nullptr ? GroupCounts{} : group->counts(); }

void BeginSum(float* data, int64_t count, SumForm form, const std::string& residual, void* held, void (*release)(void*)) {
  if (group == nullptr || group->size() == 1 || count == 0) return release(held);
  auto job = std::make_shared<Job>();
  job->data = data;
  job->count = count;
  job->form = form;
  job->residual = residual;
  job->held = held;
  job->release = release;
  group->Begin(job);
}

std::vector<std::string> ResidualNames() { return group == nullptr ? std::vector<std::string>() : group->ResidualNames(); }

std::vector<float> ResidualOf(const std::string& name) { return group == nullptr ? std::vector<float>() : group->Residual(name); }

void SetResidual(const std::string& name, std::vector<float> values) {
  if (group != nullptr) group->SetResidual(name, std::move(values));
}

std::string EndSum(const float* data) {
  const std::shared_ptr<Job> job = group == nullptr ? nullptr : group->Take(data);
  return job ? group->Wait(job) : "";
}

std::string Gather(const std::vector<uint8_t>& own, std::vector<uint8_t>* all) {
  if (group == nullptr) {
    *all = own;
    return "";
  }
  // The job has its own copies: a failed exchange may still write after the caller has returned.
  auto job = std::make_shared<Job>();
  job->gathers = true;
  job->own = own;
  job->all.resize(own.size() * static_cast<size_t>(group->size()));
  group->Begin(job);
  const std::string problem = group->Wait(job);
  if (problem.empty()) *all = job->all;
  return problem;
}

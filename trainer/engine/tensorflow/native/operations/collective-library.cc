#include "collective-library.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "kernel-run.h"

namespace {

// A stalled collective is abandoned after this time; a lost rank is detected sooner by its missing signs of life.
constexpr int kTimeoutSeconds = 600;

// Protocol buffers encoded by hand: bytes fields and integer fields.
std::string Varint(uint64_t value) {
  std::string text;
  for (; value >= 128; value >>= 7) text += static_cast<char>(value | 128);
  return text + static_cast<char>(value);
}
std::string Field(int number, const std::string& bytes) { return Varint(number << 3 | 2) + Varint(bytes.size()) + bytes; }
std::string Field(int number, uint64_t value) { return Varint(number << 3) + Varint(value); }

std::string TaskName(int rank) { return "/job:worker/replica:0/task:" + std::to_string(rank); }

// ConfigProto: one thread, only this rank's devices; experimental { collective_group_leader (1) }.
std::string ConfigOf(int rank) {
  return Field(2, 1) + Field(5, 1) + Field(4, TaskName(rank)) + Field(16, Field(1, TaskName(0)));
}

// ServerDef { cluster (1) { job (1) { name (1) tasks (2) { key value } } } job_name (2) task_index (3) default_session_config (4) protocol (5) }
std::string ServerOf(int rank, const std::vector<std::string>& addresses) {
  std::string job = Field(1, "worker");
  for (size_t i = 0; i < addresses.size(); i++) job += Field(2, Field(1, static_cast<uint64_t>(i)) + Field(2, addresses[i]));
  return Field(1, Field(1, job)) + Field(2, "worker") + Field(3, static_cast<uint64_t>(rank)) + Field(4, ConfigOf(rank)) + Field(5, "grpc");
}

// An exchange: the library's thread executes exchanges in the order in which they are started.
struct Task {
  std::function<std::string()> work;
  std::atomic<bool> done{false};
  std::string problem;
};

class Pending final : public Exchange {
 public:
  explicit Pending(std::shared_ptr<Task> task) : task_(std::move(task)) {}
  bool Test(std::string* problem) override {
    if (!task_->done.load(std::memory_order_acquire)) return false;
    if (!task_->problem.empty()) *problem = task_->problem;
    return true;
  }

 private:
  const std::shared_ptr<Task> task_;
};

class Collectives final : public MpiLibrary {
 public:
  Collectives(int rank, int size) : rank_(rank), size_(size) {}

  std::string Open(const std::vector<std::string>& addresses) {
    const Status status(TF_NewStatus());
    const auto failed = [&] { return TF_GetCode(status.get()) != TF_OK; };
    const std::string definition = ServerOf(rank_, addresses);
    TF_Server* const server = TF_NewServer(definition.data(), definition.size(), status.get());
    if (failed()) return TF_Message(status.get());
    TF_ServerStart(server, status.get());
    if (failed()) return TF_Message(status.get());
    graph_ = TF_NewGraph();
    std::string problem = Build();
    if (!problem.empty()) return problem;
    TF_SessionOptions* const options = TF_NewSessionOptions();
    const std::string config = ConfigOf(rank_);
    TF_SetConfig(options, config.data(), config.size(), status.get());
    TF_SetTarget(options, TF_ServerTarget(server));
    session_ = TF_NewSession(graph_, options, status.get());
    if (failed()) return TF_Message(status.get());
    thread_ = std::thread([this] { Work(); });
    return "";
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::unique_ptr<Exchange> AllReduce(float* data, int count, std::string*) override {
    return Begin([this, data, count] { return Run(reduce_, TF_FLOAT, data, data, count, count); });
  }

  std::unique_ptr<Exchange> AllGather(const void* from, void* to, int bytes, std::string*) override {
    return Begin([this, from, to, bytes] { return Collect(from, to, bytes); });
  }

  // TensorFlow's collectives have no such operation for bytes; callers reject this case earlier.
  std::unique_ptr<Exchange> AllToAll(const void*, void*, int, std::string* problem) override {
    *problem = "gradients travel in float32 over gRPC";
    return nullptr;
  }

  std::unique_ptr<Exchange> Complete(void*, int, std::string* problem) override { return AllToAll(nullptr, nullptr, 0, problem); }

  void Finalize() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
    // The end of a process breaks the connections of those that still exchange: all wait for all others, and then for their last replies.
    int32_t none = 0;
    std::vector<int32_t> all(static_cast<size_t>(size_));
    Collect(&none, all.data(), sizeof none);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }

 private:
  struct Collective {
    TF_Operation* input;
    TF_Operation* key;
    TF_Operation* output;
  };

  // Builds placeholder, key → collective operation, on this rank's CPU.
  std::string Build() {
    const Status status(TF_NewStatus());
    const std::string device = TaskName(rank_) + "/device:CPU:0";
    const auto placeholder = [&](const char* name, TF_DataType type) {
      TF_OperationDescription* const node = TF_NewOperation(graph_, "Placeholder", name);
      TF_SetDevice(node, device.c_str());
      TF_SetAttrType(node, "dtype", type);
      return TF_FinishOperation(node, status.get());
    };
    const auto finish = [&](TF_OperationDescription* node, TF_Operation* input, TF_Operation* key) {
      TF_SetDevice(node, device.c_str());
      for (TF_Operation* each : {input, count_, group_, key}) TF_AddInput(node, {each, 0});
      TF_AddInputList(node, nullptr, 0);
      TF_SetAttrString(node, "communication_hint", "ring", 4);
      TF_SetAttrFloat(node, "timeout_seconds", kTimeoutSeconds);
      return Collective{input, key, TF_FinishOperation(node, status.get())};
    };
    count_ = placeholder("count", TF_INT32);
    group_ = placeholder("group", TF_INT32);
    TF_Operation* const sum_input = placeholder("sum_input", TF_FLOAT);
    TF_Operation* const sum_key = placeholder("sum_key", TF_INT32);
    TF_OperationDescription* const reduce = TF_NewOperation(graph_, "CollectiveReduceV2", "sum");
    TF_SetAttrString(reduce, "merge_op", "Add", 3);
    TF_SetAttrString(reduce, "final_op", "Id", 2);
    reduce_ = finish(reduce, sum_input, sum_key);
    if (TF_GetCode(status.get()) != TF_OK) return TF_Message(status.get());
    TF_Operation* const all_input = placeholder("all_input", TF_INT32);
    TF_Operation* const all_key = placeholder("all_key", TF_INT32);
    gather_ = finish(TF_NewOperation(graph_, "CollectiveGatherV2", "all"), all_input, all_key);
    return TF_GetCode(status.get()) == TF_OK ? "" : TF_Message(status.get());
  }

  std::unique_ptr<Exchange> Begin(std::function<std::string()> work) {
    auto task = std::make_shared<Task>();
    task->work = std::move(work);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      queue_.push_back(task);
    }
    changed_.notify_all();
    return std::make_unique<Pending>(task);
  }

  void Work() {
    for (;;) {
      std::shared_ptr<Task> task;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return ends_ || !queue_.empty(); });
        if (queue_.empty()) return;
        task = queue_.front();
        queue_.pop_front();
      }
      task->problem = task->work();
      task->done.store(true, std::memory_order_release);
    }
  }

  // Bytes travel as 4-byte integers.
  std::string Collect(const void* from, void* to, int bytes) {
    const int words = (bytes + 3) / 4;
    std::vector<int32_t> own(static_cast<size_t>(words)), all(own.size() * static_cast<size_t>(size_));
    std::memcpy(own.data(), from, static_cast<size_t>(bytes));
    const std::string problem = Run(gather_, TF_INT32, own.data(), all.data(), words, static_cast<int64_t>(words) * size_);
    for (int rank = 0; problem.empty() && rank < size_; rank++)
      std::memcpy(static_cast<char*>(to) + static_cast<size_t>(rank) * static_cast<size_t>(bytes), all.data() + static_cast<size_t>(rank) * own.size(),
                  static_cast<size_t>(bytes));
    return problem;
  }

  // Returns a key per size: TensorFlow remembers the shape of a key. Keys are the same on all ranks, whose exchanges have the same order.
  int32_t KeyOf(bool sums, int64_t count) {
    return keys_.emplace(std::make_pair(sums, count), static_cast<int32_t>(keys_.size()) + 1).first->second;
  }

  Tensor Scalar(int32_t value) {
    Tensor tensor(TF_AllocateTensor(TF_INT32, nullptr, 0, sizeof value));
    std::memcpy(TF_TensorData(tensor.get()), &value, sizeof value);
    return tensor;
  }

  std::string Run(const Collective& collective, TF_DataType type, const void* from, void* to, int64_t given, int64_t received) {
    const Tensor input(TF_AllocateTensor(type, &given, 1, static_cast<size_t>(4 * given)));
    std::memcpy(TF_TensorData(input.get()), from, static_cast<size_t>(4 * given));
    const Tensor key = Scalar(KeyOf(type == TF_FLOAT, given)), count = Scalar(size_), group = Scalar(1);
    const TF_Output feeds[] = {{collective.input, 0}, {collective.key, 0}, {count_, 0}, {group_, 0}};
    TF_Tensor* const values[] = {input.get(), key.get(), count.get(), group.get()};
    const TF_Output fetch{collective.output, 0};
    TF_Tensor* result = nullptr;
    const Status status(TF_NewStatus());
    TF_SessionRun(session_, nullptr, feeds, values, 4, &fetch, &result, 1, nullptr, 0, nullptr, status.get());
    const Tensor output(result);
    if (TF_GetCode(status.get()) != TF_OK) return TF_Message(status.get());
    if (TF_TensorByteSize(output.get()) != static_cast<size_t>(4 * received)) return "a rank has exchanged another number of values";
    std::memcpy(to, TF_TensorData(output.get()), static_cast<size_t>(4 * received));
    return "";
  }

  const int rank_, size_;
  TF_Graph* graph_ = nullptr;
  TF_Session* session_ = nullptr;
  TF_Operation *count_ = nullptr, *group_ = nullptr;
  Collective reduce_{}, gather_{};
  std::map<std::pair<bool, int64_t>, int32_t> keys_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Task>> queue_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<MpiLibrary> OpenCollectives(const std::string& place, std::string* problem) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= place.size();) {
    const size_t end = std::min(place.find(',', at), place.size());
    parts.push_back(place.substr(at, end - at));
    at = end + 1;
  }
  const int rank = std::atoi(parts[0].c_str());
  const std::vector<std::string> addresses(parts.begin() + 1, parts.end());
  auto opened = std::make_unique<Collectives>(rank, static_cast<int>(addresses.size()));
  *problem = opened->Open(addresses);
  return problem->empty() ? std::move(opened) : nullptr;
}

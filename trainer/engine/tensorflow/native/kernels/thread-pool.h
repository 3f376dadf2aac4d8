// A small thread pool whose threads share the rows of one program at a time.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

// Treats denormal numbers as 0, in every thread, as TensorFlow's own kernels do.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | 0x8040); }
  ~FlushDenormals() { __builtin_ia32_ldmxcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushDenormals() : before_(__builtin_aarch64_get_fpcr()) { __builtin_aarch64_set_fpcr(before_ | (1u << 24)); }
  ~FlushDenormals() { __builtin_aarch64_set_fpcr(before_); }

 private:
  unsigned before_;
#endif
};

class ThreadPool {
 public:
  using Work = std::function<void(int64_t begin, int64_t end)>;

  explicit ThreadPool(int threads) : shares_(static_cast<size_t>(threads)) {
    for (int i = 1; i < threads; i++) helpers_.emplace_back([this, i] { Help(static_cast<size_t>(i)); });
    for (auto& helper : helpers_) helper.detach();
  }

  int threads() const { return static_cast<int>(shares_.size()); }

  // Calls `work` on [0, count) in pieces of `grain`, each once, on the calling thread and the helpers; returns when all are done. Each
  // thread starts with its own part of the range, the same in every call: the next call then finds a thread's results in that thread's
  // cache.
  void Run(int64_t count, int64_t grain, const Work& work) {
    if (helpers_.empty() || count <= grain) {
      FlushDenormals flush;
      work(0, count);
      return;
    }
    std::lock_guard<std::mutex> one_at_a_time(run_);
    work_ = &work;
    grain_ = grain;
    const int64_t pieces = (count + grain - 1) / grain, threads = static_cast<int64_t>(shares_.size());
    for (int64_t i = 0; i < threads; i++) {
      shares_[i].end = std::min(count, (i + 1) * pieces / threads * grain);
      shares_[i].next.store(i * pieces / threads * grain, std::memory_order_relaxed);
    }
    opened_.fetch_add(1);
    if (asleep_.load() > 0) {
      std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    TakePieces(0);
    closed_.store(opened_.load());
    // Waits only for threads that have started: one that another process keeps from running has taken no pieces.
    for (int i = 0; inside_.load() > 0; i++) i < kPauses ? Pause() : std::this_thread::yield();
  }

 private:
  static void Pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // Takes the thread's own pieces, then those that other threads have not started.
  void TakePieces(size_t thread) {
    FlushDenormals flush;
    for (size_t i = 0; i < shares_.size(); i++) {
      Share& share = shares_[(thread + i) % shares_.size()];
      for (;;) {
        const int64_t begin = share.next.fetch_add(grain_, std::memory_order_relaxed);
        if (begin >= share.end) break;
        (*work_)(begin, std::min(begin + grain_, share.end));
      }
    }
  }

  // Returns true if work arrives soon. The next step follows within microseconds: spinning that long is cheaper than being woken.
  bool ComesSoon(uint64_t seen) {
    const auto until = std::chrono::steady_clock::now() + kAwake;
    do
      for (int i = 0; i < 64; i++) {
        if (opened_.load() != seen) return true;
        Pause();
      }
    while (std::chrono::steady_clock::now() < until);
    return false;
  }

  [[noreturn]] void Help(size_t thread) {
    for (uint64_t seen = 0;;) {
      if (!ComesSoon(seen)) {
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_.fetch_add(1);
        wake_.wait(lock, [&] { return opened_.load() != seen; });
        asleep_.fetch_sub(1);
      }
      // A helper first enters, then checks whether the work is still open; the caller first closes it, then checks whether anyone is
      // inside.
      inside_.fetch_add(1);
      seen = opened_.load();
      if (closed_.load() != seen) TakePieces(thread);
      inside_.fetch_sub(1);
    }
  }

  static constexpr std::chrono::microseconds kAwake{100};
  static constexpr int kPauses = 1000;
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  std::vector<Share> shares_;
  std::vector<std::thread> helpers_;
  std::mutex run_, mutex_;
  std::condition_variable wake_;
  const Work* work_ = nullptr;
  int64_t grain_ = 1;
  // Number of calls that have started, and number of calls with no pieces left.
  std::atomic<uint64_t> opened_{0}, closed_{0};
  std::atomic<int> inside_{0}, asleep_{0};
};

// Returns the pool of all kernels: as many threads as the engine's own (engine/tensorflow/environment.ts).
inline ThreadPool& SharedPool() {
  static ThreadPool* pool = [] {
    const char* threads = std::getenv("TF_NUM_INTRAOP_THREADS");
    return new ThreadPool(std::clamp(threads ? std::atoi(threads) : 1, 1, 256));
  }();
  return *pool;
}

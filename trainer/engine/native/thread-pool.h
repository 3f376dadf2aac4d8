// A few threads that share the rows of one program at a time.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

// Numbers too small for the normal form count as 0, in every thread alike, as TensorFlow's own kernels have it.
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

  explicit ThreadPool(int threads) {
    for (int i = 1; i < threads; i++) helpers_.emplace_back([this] { Help(); });
    for (auto& helper : helpers_) helper.detach();
  }

  // Calls work over [0, count) in pieces of `grain`, each once, on the calling thread and the helpers; returns when all are done.
  void Run(int64_t count, int64_t grain, const Work& work) {
    if (helpers_.empty() || count <= grain) {
      FlushDenormals flush;
      work(0, count);
      return;
    }
    std::lock_guard<std::mutex> one_at_a_time(run_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = &work;
      count_ = count;
      grain_ = grain;
      next_.store(0, std::memory_order_relaxed);
      busy_ = static_cast<int>(helpers_.size());
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    TakePieces();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void TakePieces() {
    FlushDenormals flush;
    for (;;) {
      const int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= count_) return;
      (*work_)(begin, begin + grain_ < count_ ? begin + grain_ : count_);
    }
  }

  [[noreturn]] void Help() {
    uint64_t seen = 0;
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
        seen = generation_.load(std::memory_order_acquire);
      }
      TakePieces();
      std::lock_guard<std::mutex> lock(mutex_);
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> helpers_;
  std::mutex run_, mutex_;
  std::condition_variable wake_, done_;
  const Work* work_ = nullptr;
  int64_t count_ = 0, grain_ = 1;
  std::atomic<int64_t> next_{0};
  std::atomic<uint64_t> generation_{0};
  int busy_ = 0;
};

// Distinguishes a slow rank from one that has died, and from a network failure. Each rank writes signs of life to its own file in a shared
// folder, with the number of exchanges that it has started; a rank that waits checks the others' files.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

class RankWatch {
 public:
  // A rank whose count does not change for `seconds` counts as dead.
  RankWatch(std::string folder, int rank, int size, double seconds);

  // Shows a sign of life, at most once a second. Failures to write are ignored: the others will notice.
  void Beat(int64_t begun);
  // Writes to this rank's file that it failed, and why.
  void Fail(const std::string& reason);
  // Returns the reason why the exchange with this number, which this rank waits for, cannot succeed; empty while it may. An exchange that
  // all ranks have started may take `transfer_seconds` longer for its bytes. Checks once a second.
  std::string Lost(int64_t exchange, double transfer_seconds);
  // Starts a new wait: earlier observations say nothing about it.
  void Restart();

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    std::string seen;
    Clock::time_point changed;
    // The number of exchanges, from 1, that it had started when it was last checked.
    int64_t begun = 0;
  };
  std::string FileOf(int rank) const;
  void Write(const std::string& text) const;
  std::string LostPeer();

  const std::string folder_;
  const int rank_, size_;
  const double seconds_;
  bool failed_ = false;
  long count_ = 0;
  int next_ = 0;
  Clock::time_point beaten_{}, looked_{};
  // The exchange that is waited for, and the time when all other ranks were seen to have started it.
  int64_t waited_ = 0;
  Clock::time_point met_{};
  std::vector<Peer> peers_;
};

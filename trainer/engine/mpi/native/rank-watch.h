// Tells a rank that is slow from one that is gone, and from a network that is. Each rank writes signs of life to a file of its own in a shared
// folder, with the number of exchanges that it has begun; whoever waits looks at the others' files.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

class RankWatch {
 public:
  // `seconds` without a new count mean that a rank is gone.
  RankWatch(std::string folder, int rank, int size, double seconds);

  // Shows a sign of life, at most once a second. Every failure to write is ignored: the others will notice.
  void Beat(int64_t begun);
  // From now on this rank's file says that it failed, and why.
  void Fail(const std::string& reason);
  // The reason why the exchange of this number, for which this rank waits, cannot succeed; empty while it may. An exchange that all ranks have
  // begun may take so many seconds more for its bytes. Looks once a second.
  std::string Lost(int64_t exchange, double transfer_seconds);
  // A new wait: what was seen before says nothing about it.
  void Restart();

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    std::string seen;
    Clock::time_point changed;
    // From 1; what it has begun when it was seen last.
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
  // The exchange that is waited for, and when all other ranks were seen in it.
  int64_t waited_ = 0;
  Clock::time_point met_{};
  std::vector<Peer> peers_;
};

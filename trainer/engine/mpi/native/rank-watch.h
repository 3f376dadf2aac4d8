// Tells a rank that is slow from one that is gone. Each rank counts in a file of its own in a shared folder; whoever waits looks at the others'.
#pragma once
#include <chrono>
#include <string>
#include <vector>

class RankWatch {
 public:
  // `seconds` without a new count mean that a rank is gone.
  RankWatch(std::string folder, int rank, int size, double seconds);

  // Counts, at most once a second. Every failure to write is ignored: the others will notice.
  void Beat();
  // From now on this rank's file says that it failed, and why.
  void Fail(const std::string& reason);
  // The reason why the exchange that this rank has been waiting for cannot succeed; empty if all others are alive. Looks once a second.
  std::string Lost();
  // A new wait: what was seen before says nothing about it.
  void Restart();

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    std::string seen;
    Clock::time_point changed;
  };
  std::string FileOf(int rank) const;

  const std::string folder_;
  const int rank_, size_;
  const double seconds_;
  bool failed_ = false;
  long count_ = 0;
  int next_ = 0;
  Clock::time_point beaten_{}, looked_{};
  std::vector<Peer> peers_;
};

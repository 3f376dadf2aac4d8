#include "rank-watch.h"

#include <cstdio>
#include <fstream>
#include <sstream>

namespace {

constexpr double kInterval = 1;
// Files that are read in one look: with more ranks, each is read less often.
constexpr int kMostPerLook = 64;
const std::string kFailed = "failed ";

double SecondsSince(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

RankWatch::RankWatch(std::string folder, int rank, int size, double seconds)
    : folder_(std::move(folder)), rank_(rank), size_(size), seconds_(seconds), peers_(size) {
  Restart();
}

std::string RankWatch::FileOf(int rank) const { return folder_ + "/rank-" + std::to_string(rank) + ".beat"; }

void RankWatch::Beat() {
  if (failed_ || SecondsSince(beaten_) < kInterval) return;
  beaten_ = Clock::now();
  // Opened and closed each time: that is what other machines see on a shared disk.
  std::ofstream(FileOf(rank_), std::ios::trunc) << ++count_ << "\n";
}

void RankWatch::Fail(const std::string& reason) {
  failed_ = true;
  std::ofstream(FileOf(rank_), std::ios::trunc) << kFailed << reason << "\n";
}

void RankWatch::Restart() {
  looked_ = Clock::now();
  for (Peer& peer : peers_) peer.changed = looked_;
}

std::string RankWatch::Lost() {
  if (SecondsSince(looked_) < kInterval) return "";
  looked_ = Clock::now();
  for (int i = 0; i < size_ && i < kMostPerLook; i++) {
    const int rank = next_;
    next_ = (next_ + 1) % size_;
    if (rank == rank_) continue;
    std::stringstream text;
    text << std::ifstream(FileOf(rank)).rdbuf();
    const std::string seen = text.str();
    Peer& peer = peers_[rank];
    if (seen.rfind(kFailed, 0) == 0) return "rank " + std::to_string(rank) + " failed: " + seen.substr(kFailed.size(), seen.find('\n') - kFailed.size());
    // An empty file is being written.
    if (seen != peer.seen && !seen.empty()) peer = {seen, looked_};
    if (SecondsSince(peer.changed) < seconds_) continue;
    char silence[32];
    std::snprintf(silence, sizeof silence, "%.0f", seconds_);
    return "rank " + std::to_string(rank) + " has shown no sign of life for " + silence + " s";
  }
  return "";
}

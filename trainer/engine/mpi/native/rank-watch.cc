#include "rank-watch.h"

#include <cstdio>
#include <fstream>
#include <sstream>

namespace {

constexpr double kInterval = 1;
// Number of files read per check: with more ranks, each is read less often.
constexpr int kMaxPerLook = 64;
const std::string kFailed = "failed ";

double SecondsSince(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

std::string WholeSeconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f s", seconds);
  return text;
}

// Parses "count begun"; returns 0 if the second number is missing.
int64_t BegunIn(const std::string& seen) {
  long long count = 0, begun = 0;
  return std::sscanf(seen.c_str(), "%lld %lld", &count, &begun) == 2 ? begun : 0;
}

}  // namespace

RankWatch::RankWatch(std::string folder, int rank, int size, double seconds)
    : folder_(std::move(folder)), rank_(rank), size_(size), seconds_(seconds), peers_(size) {
  Restart();
}

std::string RankWatch::FileOf(int rank) const { return folder_ + "/rank-" + std::to_string(rank) + ".beat"; }

// Opens and closes the file each time, because only then do other machines see it on a shared disk. Overwrites the content, because on a
// full disk there is no space for another file.
void RankWatch::Write(const std::string& text) const {
  const std::string name = FileOf(rank_);
  std::FILE* file = std::fopen(name.c_str(), "r+");
  if (file == nullptr) file = std::fopen(name.c_str(), "w");
  if (file == nullptr) return;
  std::fwrite(text.data(), 1, text.size(), file);
  std::fclose(file);
}

void RankWatch::Beat(int64_t begun) {
  if (failed_ || SecondsSince(beaten_) < kInterval) return;
  beaten_ = Clock::now();
  Write(std::to_string(++count_) + " " + std::to_string(begun) + "\n");
}

void RankWatch::Fail(const std::string& reason) {
  failed_ = true;
  Write(kFailed + reason + "\n");
}

void RankWatch::Restart() {
  looked_ = Clock::now();
  for (Peer& peer : peers_) peer.changed = looked_;
}

std::string RankWatch::Lost(int64_t exchange, double transfer_seconds) {
  if (SecondsSince(looked_) < kInterval) return "";
  looked_ = Clock::now();
  const std::string lost = LostPeer();
  if (!lost.empty()) return lost;
  bool all = true;
  for (int rank = 0; rank < size_; rank++) all = all && (rank == rank_ || peers_[rank].begun >= exchange);
  if (!all || waited_ != exchange) met_ = looked_;
  waited_ = exchange;
  const double patience = seconds_ + transfer_seconds;
  if (SecondsSince(met_) < patience) return "";
  return "all ranks are alive and have begun an exchange, which has stood still for " + WholeSeconds(patience) +
         ": the network between them is lost or too slow";
}

// Returns what is wrong with another rank, or an empty string.
std::string RankWatch::LostPeer() {
  for (int i = 0; i < size_ && i < kMaxPerLook; i++) {
    const int rank = next_;
    next_ = (next_ + 1) % size_;
    if (rank == rank_) continue;
    std::stringstream text;
    text << std::ifstream(FileOf(rank)).rdbuf();
    const std::string seen = text.str();
    Peer& peer = peers_[rank];
    if (seen.rfind(kFailed, 0) == 0) return "rank " + std::to_string(rank) + " failed: " + seen.substr(kFailed.size(), seen.find('\n') - kFailed.size());
    // An empty file is just being written.
    if (seen != peer.seen && !seen.empty()) peer = {seen, looked_, BegunIn(seen)};
    if (SecondsSince(peer.changed) < seconds_) continue;
    return "rank " + std::to_string(rank) + " has shown no sign of life for " + WholeSeconds(seconds_);
  }
  return "";
}

// Sums over the ranks of a run, of numbers on a device: they pass through the host's memory, where the ranks meet.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "client.h"
#include "rank-group.h"

namespace pjrt {

struct RankSum {
  // Of float32; let go as soon as the host has it.
  std::shared_ptr<Buffer> buffer;
  std::vector<int64_t> shape;
  SumForm form;
  // The name under which what the form loses is kept, or empty.
  std::string residual;
};

// The sums, in new buffers: while one travels, the next is copied to the host, and those that are there are copied back. Blocks.
std::vector<std::shared_ptr<Buffer>> SumOverRanks(const std::shared_ptr<Client>& client, std::vector<RankSum> sums);

}  // namespace pjrt

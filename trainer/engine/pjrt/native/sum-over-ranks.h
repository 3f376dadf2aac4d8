// Sums buffers of a device over the ranks of a run: they pass through the host's memory, where the ranks exchange them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "client.h"
#include "rank-group.h"

namespace pjrt {

struct RankSum {
  // A float32 buffer; released as soon as the host has its values.
  std::shared_ptr<Buffer> buffer;
  std::vector<int64_t> shape;
  SumForm form;
  // The name under which the format's rounding error is kept, or empty.
  std::string residual;
};

// Returns the sums, in new buffers: while one is in transit, the next is copied to the host, and finished ones are copied back. Blocks.
std::vector<std::shared_ptr<Buffer>> SumOverRanks(const std::shared_ptr<Client>& client, std::vector<RankSum> sums);

}  // namespace pjrt

// The other processes of a data-parallel run: sums and gathers over all ranks, in a separate thread, so that gradients are exchanged while
// the backward pass continues.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "narrow-sum.h"

struct GroupCounts {
  int64_t exchanges = 0, bytes = 0;
  // Seconds during which an exchange was in transit, and during which the program waited for one.
  double busy_seconds = 0, waited_seconds = 0;
};

struct GroupPlace {
  int rank = 0, size = 1;
};

// Joins the ranks through an MPI library, and blocks until all have joined; or, with "grpc:" and the argument described in
// collective-library.h, through TensorFlow, where the first exchange blocks. Returns the problem, or an empty string.
std::string JoinGroup(const std::string& library, GroupPlace* place);
// Calls MPI_Finalize, which waits for all ranks.
void LeaveGroup();
// From now on, a rank without a sign of life for `seconds` counts as lost: see rank-watch.h.
void WatchGroup(const std::string& folder, double seconds);
// Tells the other ranks that this one has failed.
void FailGroup(const std::string& reason);
// Returns the reason why exchanges fail; empty while they work.
std::string GroupFailure();
GroupCounts CountsOfGroup();

// Starts a sum; `release(held)` is called when `data` is no longer used. Without a group, a sum is over one rank. The rounding error of the
// format is kept under the name of the residual, if it is not empty: see narrow-sum.h.
void BeginSum(float* data, int64_t count, SumForm form, const std::string& residual, void* held, void (*release)(void*));
// The residuals of this rank so far. No sum may be in transit.
std::vector<std::string> ResidualNames();
std::vector<float> ResidualOf(const std::string& name);
void SetResidual(const std::string& name, std::vector<float> values);
// Waits for the sum that was started for this data. Returns the problem, or an empty string.
std::string EndSum(const float* data);
// Gathers equally many bytes from each rank. Returns the problem, or an empty string.
std::string Gather(const std::vector<uint8_t>& own, std::vector<uint8_t>* all);

// The other processes of a data-parallel run: sums and collections over all ranks, in a thread of their own, so that gradients travel while the
// backward pass continues.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "narrow-sum.h"

struct GroupCounts {
  int64_t exchanges = 0, bytes = 0;
  // Seconds during which an exchange was on its way, and during which the program waited for one.
  double busy_seconds = 0, waited_seconds = 0;
};

struct GroupPlace {
  int rank = 0, size = 1;
};

// Joins the ranks through an MPI library, and blocks until all are there; or, with "grpc:" and what collective-library.h says, through TensorFlow,
// where the first exchange blocks. The problem, or empty.
std::string JoinGroup(const std::string& library, GroupPlace* place);
// Calls MPI_Finalize, which waits for all ranks.
void LeaveGroup();
// From now on, a rank without a sign of life for `seconds` is lost: see rank-watch.h.
void WatchGroup(const std::string& folder, double seconds);
// Lets the other ranks know that this one has failed.
void FailGroup(const std::string& reason);
// The reason why exchanges fail; empty while they work.
std::string GroupFailure();
GroupCounts CountsOfGroup();

// Begins to sum; `release(held)` is called when `data` is no longer used. Without a group, a sum is over one rank. What the form loses is kept under
// the name of a residual, if it is not empty: see narrow-sum.h.
void BeginSum(float* data, int64_t count, SumForm form, const std::string& residual, void* held, void (*release)(void*));
// The residuals of this rank so far. No sum may be on its way.
std::vector<std::string> ResidualNames();
std::vector<float> ResidualOf(const std::string& name);
void SetResidual(const std::string& name, std::vector<float> values);
// Waits for the sum that was begun for this data. The problem, or empty.
std::string EndSum(const float* data);
// Collects as many bytes of each rank. The problem, or empty.
std::string Gather(const std::vector<uint8_t>& own, std::vector<uint8_t>* all);

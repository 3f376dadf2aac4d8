// A sum over all ranks that travels in fewer bytes. Each rank's values are narrowed once and added in float32 in rank order, and the sum is
// narrowed once, so that all ranks get the same result.
//
// With a residual, the rounding error of narrowing is kept and added to the next sum of the same values (error feedback: Seide et al. 2014,
// Karimireddy et al. 2019; including the error of the second narrowing, as in Tang et al. 2019). A rank keeps the errors of its own values,
// and in the same buffer those of the share that it added up. So over all sums, the contributions equal the results plus the residuals, up
// to float32 rounding.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mpi-library.h"

enum class SumForm : int64_t {
  kFloat32 = 0,
  kBfloat16 = 1,
  // Integers from -127 to 127, each multiplied by the scale of its block of 128 values.
  kInt8 = 2,
};

// Returns the bytes of this many values in transit.
int64_t BytesInTransit(SumForm form, int64_t count);

class NarrowSum {
 public:
  // `residual` has as many values as `data`, or is null.
  NarrowSum(MpiLibrary* mpi, SumForm form, float* data, int64_t count, float* residual)
      : mpi_(mpi), form_(form), data_(data), count_(count), residual_(residual) {}

  // Starts the next exchange; returns null if the sum is in `data`, or if there is a problem.
  std::unique_ptr<Exchange> Next(std::string* problem);

 private:
  std::unique_ptr<Exchange> Scatter(std::string* problem);
  std::unique_ptr<Exchange> SumShare(std::string* problem);
  void StoreSum();
  // Returns the number of values in a rank's share of the part in transit.
  int64_t CountOf(int rank) const;

  MpiLibrary* const mpi_;
  const SumForm form_;
  float* const data_;
  const int64_t count_;
  float* const residual_;
  // Values are sent in parts: `length_` values from `at_` on, of which each rank adds up `share_`, in `bytes_` bytes.
  int64_t at_ = 0, length_ = 0, share_ = 0, bytes_ = 0;
  enum { kIdle, kScattered, kSummed } state_ = kIdle;
  std::vector<uint8_t> wire_, received_;
};

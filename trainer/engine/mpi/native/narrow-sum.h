// A sum over all ranks that travels in fewer bytes. Each rank's numbers are narrowed once, added in float32 in the order of the ranks, and the sum is
// narrowed once, so that all ranks get the same.
//
// With a residual, what narrowing loses is kept and added to the next sum of the same numbers (error feedback: Seide et al. 2014, Karimireddy et al.
// 2019; the loss of the second narrowing too, as in Tang et al. 2019). A rank keeps the losses of its own numbers, and in the same place those of the
// share that it added up. So over all sums, what was given equals what was received and the residuals, up to the rounding of float32.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mpi-library.h"

enum class SumForm : int64_t {
  kFloat32 = 0,
  kBfloat16 = 1,
  // Whole numbers from -127 to 127, each times the scale of its block of 128 numbers.
  kInt8 = 2,
};

// The bytes of so many numbers on their way.
int64_t BytesOnTheWay(SumForm form, int64_t count);

class NarrowSum {
 public:
  // `residual` has as many numbers as `data`, or is null.
  NarrowSum(MpiLibrary* mpi, SumForm form, float* data, int64_t count, float* residual)
      : mpi_(mpi), form_(form), data_(data), count_(count), residual_(residual) {}

  // Begins the next exchange; null when the sum is in `data`, or if there is a problem.
  std::unique_ptr<Exchange> Next(std::string* problem);

 private:
  std::unique_ptr<Exchange> Give(std::string* problem);
  std::unique_ptr<Exchange> AddUp(std::string* problem);
  void Take();
  // The numbers of a rank's share of the part that is on its way.
  int64_t CountOf(int rank) const;

  MpiLibrary* const mpi_;
  const SumForm form_;
  float* const data_;
  const int64_t count_;
  float* const residual_;
  // A part of the numbers at a time: from `at_`, `length_` of them, of which each rank adds up `share_`, in so many bytes.
  int64_t at_ = 0, length_ = 0, share_ = 0, bytes_ = 0;
  enum { kIdle, kGiven, kAdded } state_ = kIdle;
  std::vector<uint8_t> wire_, received_;
};

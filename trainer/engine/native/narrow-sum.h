// A sum over all ranks that travels as bfloat16: half of the bytes. Each rank's numbers are rounded once, added in float32 in the order of the ranks, and the
// sum is rounded once, so that all ranks get the same.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mpi-library.h"

class NarrowSum {
 public:
  NarrowSum(MpiLibrary* mpi, float* data, int64_t count) : mpi_(mpi), data_(data), count_(count) {}

  // Begins the next exchange; null when the sum is in `data`, or if there is a problem.
  std::unique_ptr<Exchange> Next(std::string* problem);

 private:
  std::unique_ptr<Exchange> Give(std::string* problem);
  std::unique_ptr<Exchange> AddUp(std::string* problem);
  void Take();

  MpiLibrary* const mpi_;
  float* const data_;
  const int64_t count_;
  // A part of the numbers at a time: from `at_`, `length_` of them, of which each rank adds up `share_`.
  int64_t at_ = 0, length_ = 0, share_ = 0;
  enum { kIdle, kGiven, kAdded } state_ = kIdle;
  std::vector<uint16_t> wire_, received_;
};

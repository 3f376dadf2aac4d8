// Products of a few rows with a weight in its stored form. Each element of the weight is read from memory once, and widened in registers.
#pragma once
#include <cstdint>

// Maximum number of rows: those of more rows stay in no register, so unpacking the weight first is faster.
constexpr int64_t kMostFewRows = 8;
// The number of columns is a multiple of it, and so is the size of a block of codes.
constexpr int64_t kFewRowsLanes = 8;

enum class WeightForm { kFloat32, kBfloat16, kInt8, kCodes };

// A weight [out, in], row-major.
struct StoredWeight {
  WeightForm form;
  const void* elements;
  // Of 4-bit codes alone: `block` elements of a row share a scale; a value is `levels[code] · scale`, rounded to bfloat16 if `rounds`.
  const float* scales = nullptr;
  const float* levels = nullptr;
  int64_t block = 0;
  bool rounds = false;
};

// c [rows, out] = x [rows, in] · Wᵀ for 1 to kMostFewRows rows. The result of a row depends neither on the other rows nor on the threads.
void RunFewRows(const StoredWeight& weight, int64_t rows, int64_t in, int64_t out, const float* x, float* c);

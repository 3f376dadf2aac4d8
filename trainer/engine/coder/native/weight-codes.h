// Forms in which weights are held, computed on all cores: float32 of bfloat16, 8 bits with a scale per row, 4 bits with a scale per block. To the
// bit what trainer/model computes in JavaScript, whose numbers are float64.
#pragma once
#include <cstdint>

// A weight in float32, or as bits of bfloat16: one of the two is there.
struct Values {
  const float* wide = nullptr;
  const uint16_t* bits = nullptr;
  int64_t count = 0;
};

void Widen(const Values& values, float* to);

// The same of a piece, on the thread of the caller.
void WidenPiece(const uint16_t* bits, int64_t count, float* to);

// `codes` has a number for each value, `scales` one for each row. @param rows divides the values
void EncodeRows(const Values& values, int64_t rows, int8_t* codes, float* scales);

constexpr int64_t kBlock = 64;
constexpr int64_t kBorders = 15;
// Blocks whose scales share a range.
constexpr int64_t kRange = 256;

// Two codes a byte, the first in the upper half; a scale for each block in 8 bits: low + scale · step of its range.
struct BlockCodes {
  uint8_t* codes;
  uint8_t* scales;
  float* low;
  float* step;
};

constexpr int64_t BlocksOf(int64_t count) { return (count + kBlock - 1) / kBlock; }
constexpr int64_t RangesOf(int64_t count) { return (BlocksOf(count) + kRange - 1) / kRange; }

// Zeros fill the last block up. `to.scales` is zero behind the last block. @param borders kBorders of them, between neighboring levels, ascending
void EncodeBlocks(const Values& values, const double* borders, const BlockCodes& to);

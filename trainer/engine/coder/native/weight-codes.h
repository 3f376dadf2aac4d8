// Stored forms of weights, computed on all cores: bfloat16 widened to float32, 8 bits with a scale per row, 4 bits with a scale per block.
// Bit-identical to what trainer/model computes in JavaScript, whose numbers are float64.
#pragma once
#include <cstdint>

// A weight in float32, or as bfloat16 bits: exactly one of the two is set.
struct Values {
  const float* wide = nullptr;
  const uint16_t* bits = nullptr;
  int64_t count = 0;
};

void Widen(const Values& values, float* to);

// Widens a piece on the caller's thread.
void WidenPiece(const uint16_t* bits, int64_t count, float* to);

// Writes one code per value and one scale per row. @param rows number of rows that the values are divided into
void EncodeRows(const Values& values, int64_t rows, int8_t* codes, float* scales);

constexpr int64_t kBlock = 64;
constexpr int64_t kBorders = 15;
// Number of blocks whose scales share a range.
constexpr int64_t kRange = 256;

// Two codes per byte, the first in the upper half; an 8-bit scale per block: low + scale · step of its range.
struct BlockCodes {
  uint8_t* codes;
  uint8_t* scales;
  float* low;
  float* step;
};

constexpr int64_t BlocksOf(int64_t count) { return (count + kBlock - 1) / kBlock; }
constexpr int64_t RangesOf(int64_t count) { return (BlocksOf(count) + kRange - 1) / kRange; }

// Encodes blocks. The last block is padded with zeros. `to.scales` is zero after the last block.
// @param borders kBorders ascending borders between neighboring levels
void EncodeBlocks(const Values& values, const double* borders, const BlockCodes& to);

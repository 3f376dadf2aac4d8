// Unpacks weights of 4-bit codes: `levels[code] · scale of the block`, on the thread pool of the fused steps.
#pragma once
#include <cstdint>

constexpr int64_t kLevels = 16;
// Number of codes that are looked up at a time; the block size is a multiple of it.
constexpr int64_t kCodesAtATime = 32;

// Two codes per byte, the first in the upper half; `block` elements share a scale.
struct Packed {
  const uint8_t* codes;
  const float* scales;
  const float* levels;
  int64_t blocks, block;
};

// Writes blocks · block values as float32.
void Unpack(const Packed& packed, float* to);
// Writes the same values rounded to bfloat16, to nearest, ties to even.
void Unpack(const Packed& packed, uint16_t* to);

// Weights of 4-bit codes: `levels[code] · scale of the block`, on the thread pool of the fused steps.
#pragma once
#include <cstdint>

constexpr int64_t kLevels = 16;
// Codes that are looked up at a time; a block has a multiple of them.
constexpr int64_t kCodesAtATime = 32;

// Two codes a byte, the first in the upper half; `block` elements share a scale.
struct Packed {
  const uint8_t* codes;
  const float* scales;
  const float* levels;
  int64_t blocks, block;
};

// blocks · block numbers as float32.
void Unpack(const Packed& packed, float* to);
// The same numbers rounded to the nearest bfloat16, ties to even.
void Unpack(const Packed& packed, uint16_t* to);

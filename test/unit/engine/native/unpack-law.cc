// Unpacks random 4-bit codes, and prints how many values are not `level · scale` bit for bit, in float32 and in bfloat16.
// Arguments: number of blocks, elements per block.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "unpack.h"
#include "vector-math.h"

int main(int, char** arguments) {
  const int64_t blocks = std::atoll(arguments[1]), block = std::atoll(arguments[2]);
  uint32_t state = 1;
  const auto random = [&] { return (state = state * 1664525u + 1013904223u) >> 8; };
  // Each tensor has exactly its size, so that the sanitizer detects accesses out of bounds.
  std::vector<uint8_t> codes(static_cast<size_t>(blocks * block / 2));
  std::vector<float> scales(static_cast<size_t>(blocks)), levels(kLevels);
  const size_t count = static_cast<size_t>(blocks * block);
  // Aligned as TensorFlow's tensors are, so that large results are written past the caches.
  float* const wide = static_cast<float*>(std::aligned_alloc(64, count * sizeof(float)));
  uint16_t* const narrow = static_cast<uint16_t*>(std::aligned_alloc(64, count * sizeof(uint16_t)));
  for (uint8_t& byte : codes) byte = static_cast<uint8_t>(random());
  for (float& scale : scales) scale = static_cast<float>(random()) * 1e-7f;
  for (float& level : levels) level = static_cast<float>(random()) * 1e-7f - 0.8f;
  const Packed packed{codes.data(), scales.data(), levels.data(), blocks, block};
  Unpack(packed, wide);
  Unpack(packed, narrow);
  int differ = 0, differ_narrow = 0;
  for (size_t i = 0; i < count; i++) {
    const int code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
    const float expected = levels[static_cast<size_t>(code)] * scales[i / static_cast<size_t>(block)];
    differ += ToBits(wide[i]) != ToBits(expected);
    differ_narrow += narrow[i] != ToBfloat16(expected);
  }
  std::printf("%d %d\n", differ, differ_narrow);
  std::free(wide);
  std::free(narrow);
  return 0;
}

// Multiplies random matrices of bfloat16, transposed or not, and prints how many elements are not the product of the widened matrices,
// rounded once: bit for bit. Arguments: number of products, rows, depth, columns.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "product.h"
#include "vector-math.h"

int main(int, char** arguments) {
  const auto argument = [&](int i) { return std::atoll(arguments[i]); };
  const int64_t batch = argument(1), m = argument(2), k = argument(3), n = argument(4);
  uint32_t state = 1;
  const auto random = [&] { return static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1.f; };
  // Each matrix has exactly its size, so that the sanitizer detects accesses out of bounds.
  const auto matrix = [&](int64_t elements) {
    std::vector<uint16_t> bits(static_cast<size_t>(batch * elements));
    for (uint16_t& each : bits) each = ToBfloat16(random());
    return bits;
  };
  const auto widened = [](const std::vector<uint16_t>& bits) {
    std::vector<float> values;
    for (const uint16_t each : bits) values.push_back(FromBfloat16(each));
    return values;
  };
  const std::vector<uint16_t> a = matrix(m * k), b = matrix(k * n);
  const std::vector<float> wide_a = widened(a), wide_b = widened(b);
  std::vector<uint16_t> c(static_cast<size_t>(batch * m * n));
  std::vector<float> expected(c.size());
  int differ = 0;
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      const Product product{batch, m, n, k, transpose_a, transpose_b};
      RunProduct(product, a.data(), b.data(), c.data());
      RunProduct(product, wide_a.data(), wide_b.data(), expected.data());
      for (size_t i = 0; i < c.size(); i++) differ += c[i] != ToBfloat16(expected[i]);
    }
  std::printf("%d\n", differ);
  return 0;
}

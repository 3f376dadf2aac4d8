// Writes and reads columns of matrices of several sizes and element types. Prints how many elements differ from those handled one by one, and how
// many of three lists are refused, two of which have a number out of bounds.
#include <cstdio>
#include <vector>

#include "columns.h"

namespace {

uint32_t state = 1;
uint32_t Random() { return (state = state * 1664525u + 1013904223u) >> 8; }

// Each tensor has exactly its size, so that the sanitizer detects accesses out of bounds.
template <typename Element>
int Differing(int64_t rows, int64_t width, int64_t count) {
  std::vector<int32_t> numbers(static_cast<size_t>(width));
  for (size_t i = 0; i < numbers.size(); i++) numbers[i] = static_cast<int32_t>(i);
  for (size_t i = numbers.size(); i > 1; i--) std::swap(numbers[i - 1], numbers[Random() % i]);
  numbers = std::vector<int32_t>(numbers.begin(), numbers.begin() + count);
  std::vector<Element> matrix(static_cast<size_t>(rows * width)), values(static_cast<size_t>(rows * count));
  for (Element& element : matrix) element = static_cast<Element>(Random());
  for (Element& element : values) element = static_cast<Element>(Random());
  std::vector<Element> expected = matrix;
  for (int64_t row = 0; row < rows; row++)
    for (int64_t i = 0; i < count; i++)
      expected[static_cast<size_t>(row * width + numbers[static_cast<size_t>(i)])] = values[static_cast<size_t>(row * count + i)];
  const Columns columns{rows, width, count, numbers.data()};
  std::vector<Element> found(values.size());
  WriteColumns(columns, values.data(), matrix.data());
  ReadColumns(columns, matrix.data(), found.data());
  int differ = 0;
  for (size_t i = 0; i < found.size(); i++) differ += found[i] != values[i];
  for (size_t i = 0; i < matrix.size(); i++) differ += matrix[i] != expected[i];
  return differ;
}

}  // namespace

int main() {
  int differ = 0, refused = 0;
  const int64_t sizes[][3] = {{1, 1, 1}, {5, 7, 1}, {3, 17, 17}, {1201, 40, 23}, {1, 30000, 20011}, {8192, 3, 1}, {2, 9000, 8193}};
  for (const auto& [rows, width, count] : sizes)
    differ += Differing<uint8_t>(rows, width, count) + Differing<uint16_t>(rows, width, count) + Differing<uint32_t>(rows, width, count);
  for (const std::vector<int32_t>& numbers : {std::vector<int32_t>{0, 7}, {6, -1}, {0, 6}})
    refused += !Columns{1, 7, 2, numbers.data()}.AreInside();
  std::printf("%d differ, %d refused\n", differ, refused);
  return 0;
}

// Reads and writes chosen columns of a matrix, in place.
#pragma once
#include <algorithm>
#include <cstdint>

#include "thread-pool.h"

// Columns of a matrix with `rows` rows of `width` elements. Single elements are columns of a matrix with one row.
struct Columns {
  int64_t rows = 0, width = 0, count = 0;
  const int32_t* numbers = nullptr;

  // Returns true if all column indices are in range.
  bool AreInside() const {
    return std::all_of(numbers, numbers + count, [this](int32_t number) { return number >= 0 && number < width; });
  }
};

// This many elements are moved before another thread has woken up.
constexpr int64_t kElementsAtATime = 8192;

// Calls move(index in the matrix, index in the values) for each element, row by row, on the threads of the pool.
template <typename Move>
void ForEachElement(const Columns& columns, const Move& move) {
  const auto& [rows, width, count, numbers] = columns;
  SharedPool().Run(rows * count, kElementsAtATime, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t row = at / count, last = std::min(end, (row + 1) * count);
      const int32_t* number = numbers + at % count;
      for (const int64_t start = row * width; at < last; at++, number++) move(start + *number, at);
    }
  });
}

// Writes values [rows, count] to the matrix. Column indices must be unique and in range.
template <typename Element>
void WriteColumns(const Columns& columns, const Element* values, Element* matrix) {
  ForEachElement(columns, [=](int64_t there, int64_t here) { matrix[there] = values[here]; });
}

// Copies the matrix's elements in these columns to values [rows, count]; every column index must be in range.
template <typename Element>
void ReadColumns(const Columns& columns, const Element* matrix, Element* values) {
  ForEachElement(columns, [=](int64_t there, int64_t here) { values[here] = matrix[there]; });
}

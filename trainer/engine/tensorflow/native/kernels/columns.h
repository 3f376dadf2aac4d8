// Chosen columns of a matrix, read and written where they are.
#pragma once
#include <algorithm>
#include <cstdint>

#include "thread-pool.h"

// Columns of a matrix of `rows` rows, `width` elements each. Single elements are columns of a matrix of one row.
struct Columns {
  int64_t rows = 0, width = 0, count = 0;
  const int32_t* numbers = nullptr;

  // Does the matrix have all of them?
  bool AreInside() const {
    return std::all_of(numbers, numbers + count, [this](int32_t number) { return number >= 0 && number < width; });
  }
};

// So many elements are moved before another thread has woken.
constexpr int64_t kElementsAtATime = 8192;

// Calls move(in the matrix, among the columns' own) with the place of each element, row by row, on the threads of the pool.
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

// values [rows, count] into the matrix. Each column is there once; every number has to be inside.
template <typename Element>
void WriteColumns(const Columns& columns, const Element* values, Element* matrix) {
  ForEachElement(columns, [=](int64_t there, int64_t here) { matrix[there] = values[here]; });
}

// The matrix's elements in these columns as values [rows, count]; every number has to be inside.
template <typename Element>
void ReadColumns(const Columns& columns, const Element* matrix, Element* values) {
  ForEachElement(columns, [=](int64_t there, int64_t here) { values[here] = matrix[there]; });
}

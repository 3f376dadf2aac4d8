#include "few-rows.h"

#include <algorithm>
#include <cstring>
#include <utility>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "thread-pool.h"
#include "vector-math.h"

namespace {

// Elements of a weight that a thread takes at a time: fewer are multiplied before another thread has woken up.
constexpr int64_t kPieceElements = 65536;
// Number of sums that stay in registers, next to the elements that are read.
constexpr int kSums = 8;

// Distance of prefetching, in bytes. The processor prefetches too late here, because several rows are read at the same time.
constexpr int64_t kAheadBytes = 8192;
constexpr int64_t kLineBytes = 64;

using Vector = float __attribute__((vector_size(4 * kFewRowsLanes)));
using Words = uint32_t __attribute__((vector_size(4 * kFewRowsLanes)));

template <class To>
[[gnu::always_inline]] inline To Loaded(const void* from) {
  To value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Reads one row of a weight, in order. `At` returns the eight elements from column k on; kInLine elements are in a line of the cache.
template <WeightForm>
struct Row;

template <>
struct Row<WeightForm::kFloat32> {
  static constexpr int64_t kInLine = 16;
  const float* at;
  Row(const StoredWeight& weight, int64_t first) : at(static_cast<const float*>(weight.elements) + first) {}
  void Begin(int64_t) {}
  [[gnu::always_inline]] Vector At(int64_t k) const { return Loaded<Vector>(at + k); }
};

template <>
struct Row<WeightForm::kBfloat16> {
  static constexpr int64_t kInLine = 32;
  const uint16_t* at;
  Row(const StoredWeight& weight, int64_t first) : at(static_cast<const uint16_t*>(weight.elements) + first) {}
  void Begin(int64_t) {}
  [[gnu::always_inline]] Vector At(int64_t k) const {
    using Halves = uint16_t __attribute__((vector_size(2 * kFewRowsLanes)));
    return reinterpret_cast<Vector>(__builtin_convertvector(Loaded<Halves>(at + k), Words) << 16);
  }
};

template <>
struct Row<WeightForm::kInt8> {
  static constexpr int64_t kInLine = 64;
  const int8_t* at;
  Row(const StoredWeight& weight, int64_t first) : at(static_cast<const int8_t*>(weight.elements) + first) {}
  void Begin(int64_t) {}
  [[gnu::always_inline]] Vector At(int64_t k) const {
#ifdef __AVX2__
    // GCC converts so short a vector of bytes one by one.
    return reinterpret_cast<Vector>(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(Loaded<int64_t>(at + k)))));
#else
    using Bytes = int8_t __attribute__((vector_size(kFewRowsLanes)));
    using Integers = int32_t __attribute__((vector_size(4 * kFewRowsLanes)));
    return __builtin_convertvector(__builtin_convertvector(Loaded<Bytes>(at + k), Integers), Vector);
#endif
  }
};

// Two codes per byte, the first in the upper half.
template <>
struct Row<WeightForm::kCodes> {
  static constexpr int64_t kInLine = 128;
  const uint8_t* at;
  const float *scales, *levels;
  int64_t block;
  bool rounds;
  // The 16 values of the current block.
  Vector low, high;

  Row(const StoredWeight& weight, int64_t first)
      : at(static_cast<const uint8_t*>(weight.elements) + first / 2), scales(weight.scales + first / weight.block), levels(weight.levels),
        block(weight.block), rounds(weight.rounds) {}

  Vector Values(int64_t from, float scale) const {
    const Vector values = Loaded<Vector>(levels + from) * scale;
    return rounds ? reinterpret_cast<Vector>(Bfloat16Bits(reinterpret_cast<Words>(values)) << 16) : values;
  }
  void Begin(int64_t k) {
    low = Values(0, scales[k / block]);
    high = Values(kFewRowsLanes, scales[k / block]);
  }
  [[gnu::always_inline]] Vector At(int64_t k) const {
#ifdef __AVX2__
    // A lookup reads the lower three bits of an index; the fourth, moved to the sign, chooses between the halves of the table.
    const __m256i bytes = _mm256_set1_epi32(Loaded<int32_t>(at + k / 2));
    const __m256i codes = _mm256_srlv_epi32(bytes, _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24));
    const __m256 first = _mm256_permutevar8x32_ps(reinterpret_cast<__m256>(low), codes), second = _mm256_permutevar8x32_ps(reinterpret_cast<__m256>(high), codes);
    return reinterpret_cast<Vector>(_mm256_blendv_ps(first, second, _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28))));
#else
    Vector values;
    for (int64_t i = 0; i < kFewRowsLanes; i++) {
      const int code = at[(k + i) / 2] >> (i % 2 == 0 ? 4 : 0) & 15;
      values[i] = code < kFewRowsLanes ? low[code] : high[code - kFewRowsLanes];
    }
    return values;
#endif
  }
};

template <WeightForm kForm>
[[gnu::always_inline]] inline void Prefetch(const Row<kForm>& row, int64_t k) {
  if (k % row.kInLine == 0) __builtin_prefetch(reinterpret_cast<const char*>(row.at) + k / row.kInLine * kLineBytes + kAheadBytes);
}

float Sum(Vector values) {
  return ((values[0] + values[4]) + (values[2] + values[6])) + ((values[1] + values[5]) + (values[3] + values[7]));
}

struct Rows {
  int64_t in, out;
  const float* x;
  float* c;
};

// Computes columns [first, first + kWide) of c. Each sum has the same order, whatever kRows and kWide are.
template <WeightForm kForm, int kRows, size_t... kWide>
void RunColumns(const StoredWeight& weight, const Rows& rows, int64_t first, std::index_sequence<kWide...>) {
  const auto& [in, out, x, c] = rows;
  Row<kForm> read[] = {Row<kForm>(weight, (first + static_cast<int64_t>(kWide)) * in)...};
  Vector sums[kRows][sizeof...(kWide)] = {};
  const int64_t block = kForm == WeightForm::kCodes ? weight.block : in;
  for (int64_t begin = 0; begin < in; begin += block) {
    for (auto& row : read) row.Begin(begin);
    for (int64_t k = begin; k < begin + block; k += kFewRowsLanes) {
      (Prefetch(read[kWide], k), ...);
      const Vector elements[] = {read[kWide].At(k)...};
#pragma GCC unroll 8
      for (int i = 0; i < kRows; i++) {
        const Vector values = Loaded<Vector>(x + i * in + k);
        ((sums[i][kWide] += values * elements[kWide]), ...);
      }
    }
  }
  for (int i = 0; i < kRows; i++) ((c[i * out + first + static_cast<int64_t>(kWide)] = Sum(sums[i][kWide])), ...);
}

template <WeightForm kForm, int kRows>
void RunAll(const StoredWeight& weight, const Rows& rows) {
  constexpr int64_t wide = std::clamp(kSums / kRows, 1, 4);
  const int64_t grain = std::max<int64_t>(kPieceElements / rows.in / wide, 1) * wide;
  SharedPool().Run(rows.out, grain, [&](int64_t begin, int64_t end) {
    for (; begin + wide <= end; begin += wide) RunColumns<kForm, kRows>(weight, rows, begin, std::make_index_sequence<wide>());
    for (; begin < end; begin++) RunColumns<kForm, kRows>(weight, rows, begin, std::make_index_sequence<1>());
  });
}

template <WeightForm kForm, int... kRows>
void RunForm(const StoredWeight& weight, int64_t count, const Rows& rows, std::integer_sequence<int, kRows...>) {
  static constexpr void (*runs[])(const StoredWeight&, const Rows&) = {RunAll<kForm, kRows + 1>...};
  runs[count - 1](weight, rows);
}

}  // namespace

void RunFewRows(const StoredWeight& weight, int64_t rows, int64_t in, int64_t out, const float* x, float* c) {
  constexpr auto counts = std::make_integer_sequence<int, kMostFewRows>();
  const Rows all{in, out, x, c};
  switch (weight.form) {
    case WeightForm::kFloat32: return RunForm<WeightForm::kFloat32>(weight, rows, all, counts);
    case WeightForm::kBfloat16: return RunForm<WeightForm::kBfloat16>(weight, rows, all, counts);
    case WeightForm::kInt8: return RunForm<WeightForm::kInt8>(weight, rows, all, counts);
    case WeightForm::kCodes: return RunForm<WeightForm::kCodes>(weight, rows, all, counts);
  }
}

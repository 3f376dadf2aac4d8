#include "weight-codes.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <system_error>
#include <thread>
#include <vector>

// One addon is compiled for any CPU: the loops are compiled for several instruction sets, and the running CPU selects among them.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR [[gnu::target_clones("avx512f", "avx2", "default")]]
#else
#define FOR_EACH_PROCESSOR
#endif

namespace {

// A smaller piece is finished before another thread has started.
constexpr int64_t kPieceElements = 1 << 18;
constexpr uint32_t kMagnitude = 0x7fffffff;

// Runs `work` once on each piece of [0, count), on as many threads as this process has cores.
template <typename Work>
void OnAllCores(int64_t count, int64_t grain, Work work) {
  const int64_t pieces = (count + grain - 1) / grain;
  std::atomic<int64_t> next{0};
  const auto take = [&] {
    for (int64_t piece; (piece = next.fetch_add(1)) < pieces;) work(piece * grain, std::min(count, (piece + 1) * grain));
  };
  std::vector<std::thread> helpers;
  const int64_t threads = std::min<int64_t>(std::max(1u, std::thread::hardware_concurrency()), pieces);
  try {
    while (static_cast<int64_t>(helpers.size()) + 1 < threads) helpers.emplace_back(take);
  } catch (const std::system_error&) {
    // No more threads can be started; the existing ones do all of the work.
  }
  take();
  for (std::thread& helper : helpers) helper.join();
}

float FromWord(uint32_t word) {
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

FOR_EACH_PROCESSOR void WidenBits(const uint16_t* bits, int64_t count, uint32_t* words) {
  for (int64_t i = 0; i < count; i++) words[i] = static_cast<uint32_t>(bits[i]) << 16;
}

// Ignoring signs, floating-point numbers have the same order as their bits, and NaN comes last.
FOR_EACH_PROCESSOR float LargestOf(const float* values, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; i++) {
    uint32_t word;
    std::memcpy(&word, values + i, sizeof word);
    largest = std::max(largest, word & kMagnitude);
  }
  return FromWord(largest);
}

// Rounds to the nearest integer, halves upward, as Math.round does; NaN becomes 0, as in an integer array. `floor + 0.5` is exact here, and
// no product is part of a sum, so no compiler contracts them.
inline int32_t Rounded(double x) {
  const double below = std::floor(x);
  const double nearest = below + (x >= below + 0.5 ? 1.0 : 0.0);
  return nearest == nearest ? static_cast<int32_t>(nearest) : 0;
}

FOR_EACH_PROCESSOR void RoundRow(const float* values, int64_t count, double inverse, int8_t* codes) {
  for (int64_t i = 0; i < count; i++) codes[i] = static_cast<int8_t>(Rounded(static_cast<double>(values[i]) * inverse));
}

// Computes codes: a code is the number of borders below its value; none is below NaN.
FOR_EACH_PROCESSOR void CodesOf(const float* values, double inverse, const double* borders, uint8_t* codes) {
  double numbers[kBlock];
  int64_t below[kBlock] = {};
  for (int64_t i = 0; i < kBlock; i++) numbers[i] = static_cast<double>(values[i]) * inverse;
  for (int64_t k = 0; k < kBorders; k++)
    for (int64_t i = 0; i < kBlock; i++) below[i] += numbers[i] > borders[k] ? 1 : 0;
  for (int64_t i = 0; i < kBlock / 2; i++) codes[i] = static_cast<uint8_t>(below[2 * i] << 4 | below[2 * i + 1]);
}

// Returns values from index `begin` on, in float32: in place, or converted into `scratch`.
const float* WideFrom(const Values& values, int64_t begin, int64_t count, std::vector<float>& scratch) {
  if (values.wide) return values.wide + begin;
  scratch.resize(static_cast<size_t>(count));
  WidenPiece(values.bits + begin, count, scratch.data());
  return scratch.data();
}

constexpr double kLargestCode = 127;

void EncodeRow(const float* values, int64_t width, int8_t* codes, float* scale) {
  const double largest = LargestOf(values, width);
  *scale = static_cast<float>(largest / kLargestCode);
  RoundRow(values, width, largest > 0 ? kLargestCode / largest : 0, codes);
}

void EncodeBlock(const float* values, const double* borders, uint8_t* codes, float* scale) {
  *scale = LargestOf(values, kBlock);
  const double inverse = *scale > 0 ? 1.0 / static_cast<double>(*scale) : 0;
  CodesOf(values, inverse, borders, codes);
}

// Encodes the scales of one range in 8 bits.
void EncodeScales(const float* scales, int64_t count, uint8_t* codes, float* low, float* step) {
  double smallest = std::numeric_limits<double>::infinity(), largest = 0;
  for (int64_t i = 0; i < count; i++) {
    const double scale = scales[i];
    // NaN is kept, as by Math.min and Math.max.
    smallest = scale < smallest || scale != scale ? scale : smallest;
    largest = scale > largest || scale != scale ? scale : largest;
  }
  const double unit = (largest - smallest) / 255;
  *low = static_cast<float>(smallest);
  *step = static_cast<float>(unit);
  for (int64_t i = 0; i < count; i++) codes[i] = unit > 0 ? static_cast<uint8_t>(Rounded((static_cast<double>(scales[i]) - smallest) / unit)) : 0;
}

// Encodes one range of blocks; the last block may be partial.
void EncodeRange(const Values& values, int64_t range, const double* borders, const BlockCodes& to) {
  const int64_t first = range * kRange, blocks = std::min(kRange, BlocksOf(values.count) - first);
  const int64_t begin = first * kBlock, count = std::min(blocks * kBlock, values.count - begin);
  std::vector<float> scratch;
  const float* wide = WideFrom(values, begin, count, scratch);
  float scales[kRange];
  for (int64_t block = 0; block < blocks; block++) {
    uint8_t* codes = to.codes + (first + block) * kBlock / 2;
    if (const int64_t left = count - block * kBlock; left < kBlock) {
      float last[kBlock] = {};
      std::copy_n(wide + block * kBlock, left, last);
      EncodeBlock(last, borders, codes, scales + block);
    } else {
      EncodeBlock(wide + block * kBlock, borders, codes, scales + block);
    }
  }
  EncodeScales(scales, blocks, to.scales + first, to.low + range, to.step + range);
}

}  // namespace

void Widen(const Values& values, float* to) {
  OnAllCores(values.count, kPieceElements, [&](int64_t begin, int64_t end) { WidenPiece(values.bits + begin, end - begin, to + begin); });
}

void WidenPiece(const uint16_t* bits, int64_t count, float* to) { WidenBits(bits, count, reinterpret_cast<uint32_t*>(to)); }

void EncodeRows(const Values& values, int64_t rows, int8_t* codes, float* scales) {
  const int64_t width = values.count / rows;
  OnAllCores(rows, std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, width)), [&](int64_t begin, int64_t end) {
    std::vector<float> scratch;
    for (int64_t row = begin; row < end; row++)
      EncodeRow(WideFrom(values, row * width, width, scratch), width, codes + row * width, scales + row);
  });
}

void EncodeBlocks(const Values& values, const double* borders, const BlockCodes& to) {
  OnAllCores(RangesOf(values.count), kPieceElements / (kRange * kBlock), [&](int64_t begin, int64_t end) {
    for (int64_t range = begin; range < end; range++) EncodeRange(values, range, borders, to);
  });
}

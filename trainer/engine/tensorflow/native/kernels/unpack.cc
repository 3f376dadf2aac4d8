#include "unpack.h"

#include <cstring>

#include "thread-pool.h"
#include "vector-math.h"

namespace {

// A smaller piece is finished before another thread has woken up.
constexpr int64_t kPieceElements = 65536;

// GCC compiles a 16-byte shuffle to one instruction if the CPU has one (SSSE3, NEON), and to plain code otherwise.
using Bytes = uint8_t __attribute__((vector_size(16)));

Bytes LoadBytes(const void* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return bytes;
}

// Interleaves units of `kUnit` bytes from `a` and `b`: those of their lower halves, or of their upper halves.
template <int kUnit, bool kUpper>
[[gnu::always_inline]] inline Bytes Zip(Bytes a, Bytes b) {
  constexpr int k = kUpper ? 8 : 0;
  if constexpr (kUnit == 1)
    return __builtin_shuffle(a, b, Bytes{k, k + 16, k + 1, k + 17, k + 2, k + 18, k + 3, k + 19, k + 4, k + 20, k + 5, k + 21, k + 6, k + 22, k + 7, k + 23});
  else
    return __builtin_shuffle(a, b, Bytes{k, k + 1, k + 16, k + 17, k + 2, k + 3, k + 18, k + 19, k + 4, k + 5, k + 20, k + 21, k + 6, k + 7, k + 22, k + 23});
}

// Returns every second byte of both, starting with the first or the second.
template <int kFirst>
[[gnu::always_inline]] inline Bytes EverySecond(Bytes a, Bytes b) {
  constexpr int k = kFirst;
  return __builtin_shuffle(a, b, Bytes{k, k + 2, k + 4, k + 6, k + 8, k + 10, k + 12, k + 14, k + 16, k + 18, k + 20, k + 22, k + 24, k + 26, k + 28, k + 30});
}

// The 16 values that a code of one block can have, as one plane per byte, so that 16 codes are looked up at once.
template <class To>
struct Table;

template <>
struct Table<uint16_t> {
  Bytes low, high;

  explicit Table(const float* numbers) {
    uint16_t narrow[kLevels];
    for (int64_t i = 0; i < kLevels; i++) narrow[i] = ToBfloat16(numbers[i]);
    const Bytes a = LoadBytes(narrow), b = LoadBytes(narrow + 8);
    low = EverySecond<0>(a, b);
    high = EverySecond<1>(a, b);
  }

  [[gnu::always_inline]] void Store(Bytes codes, uint16_t* to) const {
    const Bytes a = __builtin_shuffle(low, codes), b = __builtin_shuffle(high, codes);
    const Bytes numbers[] = {Zip<1, false>(a, b), Zip<1, true>(a, b)};
    std::memcpy(to, numbers, sizeof numbers);
  }
};

template <>
struct Table<float> {
  Bytes planes[4];

  explicit Table(const float* numbers) {
    const Bytes a = LoadBytes(numbers), b = LoadBytes(numbers + 4), c = LoadBytes(numbers + 8), d = LoadBytes(numbers + 12);
    const Bytes even = EverySecond<0>(a, b), odd = EverySecond<1>(a, b), even_after = EverySecond<0>(c, d), odd_after = EverySecond<1>(c, d);
    planes[0] = EverySecond<0>(even, even_after);
    planes[1] = EverySecond<0>(odd, odd_after);
    planes[2] = EverySecond<1>(even, even_after);
    planes[3] = EverySecond<1>(odd, odd_after);
  }

  [[gnu::always_inline]] void Store(Bytes codes, float* to) const {
    const Bytes a = __builtin_shuffle(planes[0], codes), b = __builtin_shuffle(planes[1], codes);
    const Bytes c = __builtin_shuffle(planes[2], codes), d = __builtin_shuffle(planes[3], codes);
    const Bytes first = Zip<1, false>(a, b), second = Zip<1, true>(a, b), first_upper = Zip<1, false>(c, d), second_upper = Zip<1, true>(c, d);
    const Bytes numbers[] = {Zip<2, false>(first, first_upper), Zip<2, true>(first, first_upper), Zip<2, false>(second, second_upper),
                             Zip<2, true>(second, second_upper)};
    std::memcpy(to, numbers, sizeof numbers);
  }
};

template <class To>
void UnpackBlocks(const Packed& packed, int64_t begin, int64_t end, To* to) {
  for (int64_t block = begin; block < end; block++) {
    float numbers[kLevels];
    for (int64_t i = 0; i < kLevels; i++) numbers[i] = packed.levels[i] * packed.scales[block];
    const Table<To> table(numbers);
    const uint8_t* codes = packed.codes + block * packed.block / 2;
    To* line = to + block * packed.block;
    for (int64_t n = 0; n < packed.block; n += kCodesAtATime) {
      const Bytes pairs = LoadBytes(codes + n / 2);
      const Bytes first = pairs >> 4, second = pairs & 15;
      table.Store(Zip<1, false>(first, second), line + n);
      table.Store(Zip<1, true>(first, second), line + n + kCodesAtATime / 2);
    }
  }
}

template <class To>
void UnpackAll(const Packed& packed, To* to) {
  const int64_t grain = kPieceElements / packed.block > 0 ? kPieceElements / packed.block : 1;
  SharedPool().Run(packed.blocks, grain, [&](int64_t begin, int64_t end) { UnpackBlocks(packed, begin, end, to); });
}

}  // namespace

void Unpack(const Packed& packed, float* to) { UnpackAll(packed, to); }
void Unpack(const Packed& packed, uint16_t* to) { UnpackAll(packed, to); }

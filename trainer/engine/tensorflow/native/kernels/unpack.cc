#include "unpack.h"

#include <algorithm>
#include <cstring>

#include "thread-pool.h"
#include "vector-math.h"
#ifdef __AVX512BW__
#include <immintrin.h>
#endif

namespace {

// A smaller piece is finished before another thread has woken up.
constexpr int64_t kPieceElements = 65536;
// A larger result does not fit a core's caches, so it is written past them, which halves what the memory has to move.
constexpr int64_t kStreamedBytes = int64_t{1} << 22;

// The 16 values that a code of one block can have. `Store` looks up 32 codes, the upper half of each byte first, and `kStreams` writes them
// past the caches.
template <class To>
struct Table;

// Returns the numbers as bfloat16 in a vector of 32-bit words: GCC does not vectorize so short a loop.
template <class Words>
[[gnu::always_inline]] inline Words Rounded(const float* numbers) {
  Words bits;
  std::memcpy(&bits, numbers, sizeof bits);
  return Bfloat16Bits(bits);
}

#ifdef __AVX512BW__

constexpr size_t kStreamAlignment = 64;

template <bool kStreams>
[[gnu::always_inline]] inline void StoreVector(__m512i values, void* to) {
  if constexpr (kStreams)
    _mm512_stream_si512(static_cast<__m512i*>(to), values);
  else
    _mm512_storeu_si512(to, values);
}

// Streamed stores become visible to other threads only after a fence.
inline void EndStores() { _mm_sfence(); }

// A lookup ignores the bits of an index above those of a code, so an index may hold its neighbor's code there.
template <>
struct Table<uint16_t> {
  // The 16 values, twice.
  __m512i values;

  explicit Table(const float* numbers) {
#ifdef __AVX512BF16__
    EachBfloat16(numbers, kLevels, [&](__m256i narrow, int64_t, __mmask16) { values = _mm512_broadcast_i64x4(narrow); });
#else
    using Words = uint32_t __attribute__((vector_size(64)));
    values = _mm512_broadcast_i64x4(_mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(Rounded<Words>(numbers))));
#endif
  }

  template <bool kStreams>
  [[gnu::always_inline]] void Store(const uint8_t* codes, uint16_t* to) const {
    const __m512i pairs = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
    const __m512i indices = _mm512_or_si512(_mm512_srli_epi32(pairs, 4), _mm512_slli_epi32(pairs, 16));
    StoreVector<kStreams>(_mm512_permutexvar_epi16(indices, values), to);
  }
};

template <>
struct Table<float> {
  __m512 values;

  explicit Table(const float* numbers) : values(_mm512_loadu_ps(numbers)) {}

  template <bool kStreams>
  [[gnu::always_inline]] void Store(const uint8_t* codes, float* to) const {
    for (int half = 0; half < 2; half++) {
      const __m512i pairs = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + 8 * half)));
      const __m512i indices = _mm512_or_si512(_mm512_srli_epi64(pairs, 4), _mm512_slli_epi64(pairs, 32));
      StoreVector<kStreams>(_mm512_castps_si512(_mm512_permutexvar_ps(indices, values)), to + 16 * half);
    }
  }
};

#else

// Nothing is streamed.
constexpr size_t kStreamAlignment = 1;
inline void EndStores() {}

// GCC compiles a 16-byte shuffle to one instruction if the CPU has one (SSSE3, NEON), and to plain code otherwise.
using Bytes = uint8_t __attribute__((vector_size(16)));

Bytes LoadBytes(const void* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return bytes;
}

inline void StoreBytes(void* to, Bytes bytes) { std::memcpy(to, &bytes, sizeof bytes); }

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

// Calls each(16 codes, start index) for the two halves of 32 codes.
template <class Each>
[[gnu::always_inline]] inline void EachHalf(const uint8_t* codes, Each each) {
  const Bytes pairs = LoadBytes(codes);
  const Bytes first = pairs >> 4, second = pairs & 15;
  each(Zip<1, false>(first, second), 0);
  each(Zip<1, true>(first, second), kCodesAtATime / 2);
}

// A table has one plane per byte of its values, so that 16 codes are looked up at once.
template <>
struct Table<uint16_t> {
  Bytes low, high;

  explicit Table(const float* numbers) {
    using Words = uint32_t __attribute__((vector_size(16)));
    const auto words = [&](int64_t n) { return reinterpret_cast<Bytes>(Rounded<Words>(numbers + n)); };
    const Bytes a = words(0), b = words(4), c = words(8), d = words(12);
    low = EverySecond<0>(EverySecond<0>(a, b), EverySecond<0>(c, d));
    high = EverySecond<0>(EverySecond<1>(a, b), EverySecond<1>(c, d));
  }

  [[gnu::always_inline]] void StoreHalf(Bytes codes, uint16_t* to) const {
    const Bytes a = __builtin_shuffle(low, codes), b = __builtin_shuffle(high, codes);
    StoreBytes(to, Zip<1, false>(a, b));
    StoreBytes(to + 8, Zip<1, true>(a, b));
  }

  template <bool>
  [[gnu::always_inline]] void Store(const uint8_t* codes, uint16_t* to) const {
    EachHalf(codes, [&](Bytes half, int64_t n) { StoreHalf(half, to + n); });
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

  [[gnu::always_inline]] void StoreHalf(Bytes codes, float* to) const {
    const Bytes a = __builtin_shuffle(planes[0], codes), b = __builtin_shuffle(planes[1], codes);
    const Bytes c = __builtin_shuffle(planes[2], codes), d = __builtin_shuffle(planes[3], codes);
    const Bytes first = Zip<1, false>(a, b), second = Zip<1, true>(a, b), first_upper = Zip<1, false>(c, d), second_upper = Zip<1, true>(c, d);
    StoreBytes(to, Zip<2, false>(first, first_upper));
    StoreBytes(to + 4, Zip<2, true>(first, first_upper));
    StoreBytes(to + 8, Zip<2, false>(second, second_upper));
    StoreBytes(to + 12, Zip<2, true>(second, second_upper));
  }

  template <bool>
  [[gnu::always_inline]] void Store(const uint8_t* codes, float* to) const {
    EachHalf(codes, [&](Bytes half, int64_t n) { StoreHalf(half, to + n); });
  }
};

#endif

template <bool kStreams, class To>
void UnpackBlocks(const Packed& packed, int64_t begin, int64_t end, To* to) {
  const int64_t length = packed.block;
  // A copy, because the compiler cannot know that `to` does not overlap the levels.
  float levels[kLevels];
  std::copy_n(packed.levels, kLevels, levels);
  for (int64_t block = begin; block < end; block++) {
    const float scale = packed.scales[block];
    float numbers[kLevels];
    for (int64_t i = 0; i < kLevels; i++) numbers[i] = levels[i] * scale;
    const Table<To> table(numbers);
    const uint8_t* codes = packed.codes + block * length / 2;
    To* line = to + block * length;
    for (int64_t n = 0; n < length; n += kCodesAtATime) table.template Store<kStreams>(codes + n / 2, line + n);
  }
  if constexpr (kStreams) EndStores();
}

template <class To>
void UnpackAll(const Packed& packed, To* to) {
  const int64_t grain = kPieceElements / packed.block > 0 ? kPieceElements / packed.block : 1;
  const int64_t bytes = packed.blocks * packed.block * static_cast<int64_t>(sizeof(To));
  const bool streams = bytes > kStreamedBytes && reinterpret_cast<uintptr_t>(to) % kStreamAlignment == 0;
  const auto unpack = streams ? UnpackBlocks<true, To> : UnpackBlocks<false, To>;
  SharedPool().Run(packed.blocks, grain, [&](int64_t begin, int64_t end) { unpack(packed, begin, end, to); });
}

}  // namespace

void Unpack(const Packed& packed, float* to) { UnpackAll(packed, to); }
void Unpack(const Packed& packed, uint16_t* to) { UnpackAll(packed, to); }

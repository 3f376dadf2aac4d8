// Elementary functions as plain arithmetic, so that the compiler vectorizes loops over them. Each propagates NaN, and is within 4e-7 of the
// true value, relative to 1 + |value|.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

[[gnu::always_inline]] inline float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

[[gnu::always_inline]] inline uint32_t ToBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

// e^x = 2^n · e^r with |r| ≤ ln 2 / 2, e^r by its Taylor series of degree 7. Outside ±104 the result is 0 or infinity anyway.
[[gnu::always_inline]] inline float Exp(float x) {
  x = x > 104.f ? 104.f : x;
  x = x < -104.f ? -104.f : x;
  // Adding 1.5 · 2^23 rounds to an integer.
  const float n = (x * 1.44269504f + 12582912.f) - 12582912.f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float e = 1.98412698e-4f;
  e = e * r + 1.38888889e-3f;
  e = e * r + 8.33333333e-3f;
  e = e * r + 4.16666667e-2f;
  e = e * r + 1.66666667e-1f;
  e = e * r + 0.5f;
  e = e * r + 1.f;
  e = e * r + 1.f;
  // Uses two factors, because 2^n alone could overflow even if the product does not.
  const int32_t whole = static_cast<int32_t>(n);
  const int32_t half = whole >> 1;
  return e * FromBits(static_cast<uint32_t>(half + 127) << 23) * FromBits(static_cast<uint32_t>(whole - half + 127) << 23);
}

// Splits x = 2^n · m with m around 1: n · ln 2 + 2 · artanh((m − 1) / (m + 1)), by its Taylor series.
[[gnu::always_inline]] inline float Log(float x) {
  const uint32_t bits = ToBits(x);
  const int32_t above = static_cast<int32_t>(bits - 0x3f3504f3u) >> 23;
  const float m = FromBits(bits - (static_cast<uint32_t>(above) << 23));
  const float s = (m - 1.f) / (m + 1.f);
  const float q = s * s;
  float series = 1.11111111e-1f;
  series = series * q + 1.42857143e-1f;
  series = series * q + 0.2f;
  series = series * q + 3.33333333e-1f;
  series = series * q + 1.f;
  const float found = static_cast<float>(above) * 0.693147181f + 2.f * s * series;
  const float odd = x == 0.f ? -INFINITY : (x > 0.f ? x : NAN);
  return x >= 1.17549435e-38f && x <= 3.40282347e38f ? found : odd;
}

[[gnu::always_inline]] inline float Sigmoid(float x) { return 1.f / (1.f + Exp(-x)); }

[[gnu::always_inline]] inline float Magnitude(float x) { return FromBits(ToBits(x) & 0x7fffffffu); }

[[gnu::always_inline]] inline float WithSign(float magnitude, float sign) { return FromBits(ToBits(magnitude) | (ToBits(sign) & 0x80000000u)); }

// Near 0, uses the Taylor series, since 1 − e^−2x would cancel.
[[gnu::always_inline]] inline float Tanh(float x) {
  const float s = x * x;
  float near = 2.18694885e-2f;
  near = near * s - 5.39682540e-2f;
  near = near * s + 1.33333333e-1f;
  near = near * s - 3.33333333e-1f;
  near = near * s * x + x;
  const float size = Magnitude(x);
  const float t = Exp(-2.f * size);
  const float far = WithSign((1.f - t) / (1.f + t), x);
  return size < 0.25f ? near : far;
}

// Near 0, uses the Taylor series; far from it, 1 − e^−x² · g(1 / (1 + x / 2)), with g interpolated at Chebyshev nodes over 1 ≤ x ≤ 4.2.
[[gnu::always_inline]] inline float Erf(float x) {
  const float s = x * x;
  float near = 1.480719282e-8f;
  near = near * s - 1.636584469e-7f;
  near = near * s + 1.646211437e-6f;
  near = near * s - 1.492565036e-5f;
  near = near * s + 1.205533298e-4f;
  near = near * s - 8.548327023e-4f;
  near = near * s + 5.223977625e-3f;
  near = near * s - 2.686617065e-2f;
  near = near * s + 1.128379167e-1f;
  near = near * s - 3.761263890e-1f;
  near = (near * s + 1.128379167f) * x;
  const float size = Magnitude(x);
  const float bounded = size > 4.2f ? 4.2f : size;
  const float t = 1.f / (1.f + 0.5f * bounded);
  float g = 1.198945039e-1f;
  g = g * t - 4.730830675e-1f;
  g = g * t + 5.660082206e-1f;
  g = g * t - 1.057865560e-1f;
  g = g * t + 3.488187216e-1f;
  g = g * t + 2.594089573e-1f;
  g = g * t + 2.849540208e-1f;
  g = g * t - 1.567637406e-4f;
  const float far = WithSign(1.f - Exp(-bounded * bounded) * g, x);
  return size < 1.f ? near : far;
}

// Rounds the bits of a float, or of a vector of floats, to the nearest bfloat16, ties to even; NaN stays NaN. Denormals become 0, as with the
// CPU's own instruction.
template <class Words>
[[gnu::always_inline]] inline Words Bfloat16Bits(Words bits) {
  const Words upper = bits >> 16;
  const Words rounded = (bits + 0x7fffu + (upper & 1u)) >> 16;
  const Words counted = (bits & 0x7f800000u) == 0 ? upper & 0x8000u : rounded;
  return (bits & 0x7fffffffu) > 0x7f800000u ? upper | 0x40u : counted;
}

[[gnu::always_inline]] inline uint16_t ToBfloat16(float value) { return static_cast<uint16_t>(Bfloat16Bits(ToBits(value))); }

[[gnu::always_inline]] inline float FromBfloat16(uint16_t bits) { return FromBits(static_cast<uint32_t>(bits) << 16); }

#ifdef __AVX512BF16__
// Calls each(16 values of `from` as bfloat16, start index, mask of existing values).
template <class Each>
[[gnu::always_inline]] inline void EachBfloat16(const float* from, int64_t count, Each each) {
  for (int64_t n = 0; n < count; n += 16) {
    const __mmask16 there = count - n < 16 ? static_cast<__mmask16>((1u << (count - n)) - 1u) : static_cast<__mmask16>(0xffffu);
    each(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(there, from + n))), n, there);
  }
}
#endif

inline void ToBfloat16s(const float* from, uint16_t* to, int64_t count) {
#ifdef __AVX512BF16__
  EachBfloat16(from, count, [&](__m256i narrow, int64_t n, __mmask16 there) { _mm256_mask_storeu_epi16(to + n, there, narrow); });
#else
  for (int64_t n = 0; n < count; n++) to[n] = ToBfloat16(from[n]);
#endif
}

// Rounds to bfloat16 and stores the values as float32.
inline void RoundToBfloat16s(const float* from, float* to, int64_t count) {
#ifdef __AVX512BF16__
  EachBfloat16(from, count, [&](__m256i narrow, int64_t n, __mmask16 there) {
    _mm512_mask_storeu_ps(to + n, there, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16)));
  });
#else
#pragma GCC ivdep
  for (int64_t n = 0; n < count; n++) to[n] = FromBfloat16(ToBfloat16(from[n]));
#endif
}

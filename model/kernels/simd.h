// Helpers for the kernels' inner loops. Private to model/kernels/*kernels.cpp, which are compiled
// with -O3 and -fopenmp.
#ifndef FLAME_MODEL_KERNELS_SIMD_H_
#define FLAME_MODEL_KERNELS_SIMD_H_

#include <c10/util/BFloat16.h>

#include <bit>
#include <cmath>
#include <cstdint>

// Compiles a function for AVX-512, AVX2 and SSE2; the loader picks the one for the processor.
// clang, by which clang-tidy reads this, clones no templates.
#if defined(__x86_64__) && !defined(__clang__)
#define FLAME_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FLAME_CLONES
#endif
// Inlines a helper, so that it is compiled for its caller's target.
#define FLAME_INLINE inline __attribute__((always_inline))

namespace flame {

// Convert a number in memory to the type of the arithmetic, and back. bfloat16 is only read and
// written, rounded to the nearest, ties to even. Integer operations vectorise on every target.
FLAME_INLINE double Widen(double x) { return x; }
FLAME_INLINE float Widen(float x) { return x; }
FLAME_INLINE float Widen(c10::BFloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.x) << 16);
}
FLAME_INLINE void Narrow(double x, double* y) { *y = x; }
FLAME_INLINE void Narrow(float x, float* y) { *y = x; }
FLAME_INLINE void Narrow(float x, c10::BFloat16* y) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  y->x = static_cast<uint16_t>(is_nan ? 0x7fc0u : rounded);
}

// Returns exp(-|x|) if |x| is a number; something finite otherwise.
FLAME_INLINE double ExpOfMinus(double x) { return std::exp(-std::abs(x)); }

// Exact to 3 units in the last place, without branches: 2^n times a polynomial on
// [-ln 2 / 2, ln 2 / 2] (coefficients of Cephes' expf). |x| is bounded as an integer: the compiler
// would turn a float comparison into two paths, one of which computes with denormal numbers, ten
// times as slowly.
FLAME_INLINE float ExpOfMinus(float x) {
  constexpr int32_t kBound = std::bit_cast<int32_t>(87.0f);
  int32_t bits = std::bit_cast<int32_t>(x) & 0x7fffffff;
  bits = bits < kBound ? bits : kBound;
  const float y = -std::bit_cast<float>(bits);
  const float n = std::floor(y * 1.44269504088896341f + 0.5f);
  const float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return (p * r * r + r + 1.0f) * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

// Returns 1 / (1 + exp(-x)) if |x| is a number; something finite otherwise.
template <class T>
FLAME_INLINE T Sigmoid(T x) {
  const T e = ExpOfMinus(x), positive = T(1) / (T(1) + e);
  return x >= 0 ? positive : e * positive;
}

template <class T>
FLAME_INLINE auto Dot(const T* a, const T* b, int64_t n) {
  decltype(Widen(*a)) sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += Widen(a[i]) * Widen(b[i]);
  return sum;
}

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_SIMD_H_

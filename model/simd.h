// What the kernels' inner loops share. For files that are compiled with -O3 and -fopenmp-simd:
// model/*kernels.cpp and rollout/sampler.cpp.
#ifndef FLAME_MODEL_SIMD_H_
#define FLAME_MODEL_SIMD_H_

#include <bit>
#include <cmath>
#include <cstdint>

// A function compiled for AVX-512, AVX2 and SSE2; the loader takes the one that fits the processor.
#if defined(__x86_64__)
#define FLAME_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FLAME_CLONES
#endif
// So that a helper is compiled for its caller's target.
#define FLAME_INLINE inline __attribute__((always_inline))

namespace flame {

// 1 / (1 + exp(-x)) where |x| is a number; something finite where it is not.
FLAME_INLINE double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// exp(-|x|) to 3 units in the last place, without branches: 2^n times a polynomial on
// [-ln 2 / 2, ln 2 / 2] (coefficients of Cephes' expf); exp(-87) below that. |x| is bounded as an
// integer: of a float comparison the compiler makes two paths, and the one for the bound runs into
// denormal numbers, at ten times the time.
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
FLAME_INLINE double ExpOfMinus(double x) { return std::exp(-std::abs(x)); }

FLAME_INLINE float Sigmoid(float x) {
  const float e = ExpOfMinus(x), positive = 1.0f / (1.0f + e);
  return x >= 0 ? positive : e * positive;
}

template <class T>
FLAME_INLINE T Dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// y += a * x
template <class T>
FLAME_INLINE void Axpy(T a, const T* __restrict x, T* __restrict y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}

}  // namespace flame

#endif  // FLAME_MODEL_SIMD_H_

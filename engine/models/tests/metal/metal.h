// The words of Metal that kernels of ours use, for a C++ compiler: a simdgroup's lanes are fibers, and each function of a
// simdgroup lets all of them come to it before it answers.

#pragma once

#include <cmath>
#include <cstdint>

#include "mlx/types/half_types.h"

using uint = std::uint32_t;
using bfloat16_t = mlx::core::bfloat16_t;
using float16_t = mlx::core::float16_t;
using std::exp;

struct uint3 {
  uint x, y, z;
};

constexpr int LANES = 32;

// Puts a lane's value beside the others' and waits for them: all of them, in order.
const double* exchange(double value);

inline float max(float a, float b) {
  return std::fmax(a, b);
}

inline float min(float a, float b) {
  return std::fmin(a, b);
}

inline int min(int a, int b) {
  return a < b ? a : b;
}

template <typename T, typename Better>
T simd_best(T value, Better better) {
  const double* all = exchange(static_cast<double>(value));
  double best = all[0];
  for (int lane = 1; lane < LANES; lane++) {
    best = better(all[lane], best) ? all[lane] : best;
  }
  return static_cast<T>(best);
}

template <typename T>
T simd_max(T value) {
  return simd_best(value, [](double a, double b) { return a > b; });
}

template <typename T>
T simd_min(T value) {
  return simd_best(value, [](double a, double b) { return a < b; });
}

inline float simd_sum(float value) {
  const double* all = exchange(value);
  float sum = 0;
  for (int lane = 0; lane < LANES; lane++) {
    sum += static_cast<float>(all[lane]);
  }
  return sum;
}

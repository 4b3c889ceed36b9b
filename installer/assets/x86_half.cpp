// What mlx-c leaves out on x86 and mlx-rs links against: half-precision access by bit pattern, and a clock of macOS.
#include <cstdint>
#include <cstring>
#include <ctime>
#include <exception>

#include "mlx/c/array.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"

namespace {

template <class Half>
int item_bits(uint16_t* bits, const mlx_array array) {
  static_assert(sizeof(Half) == sizeof(uint16_t));
  try {
    const Half value = mlx_array_get_(array).item<Half>();
    std::memcpy(bits, &value, sizeof(value));
    return 0;
  } catch (const std::exception& error) {
    mlx_error(error.what());
    return 1;
  }
}

template <class Half>
const uint16_t* data_bits(const mlx_array array) {
  try {
    return reinterpret_cast<const uint16_t*>(mlx_array_get_(array).data<Half>());
  } catch (const std::exception& error) {
    mlx_error(error.what());
    return nullptr;
  }
}

}  // namespace

extern "C" {

int mlx_array_item_float16(uint16_t* bits, const mlx_array array) {
  return item_bits<mlx::core::float16_t>(bits, array);
}

int mlx_array_item_bfloat16(uint16_t* bits, const mlx_array array) {
  return item_bits<mlx::core::bfloat16_t>(bits, array);
}

const uint16_t* mlx_array_data_float16(const mlx_array array) {
  return data_bits<mlx::core::float16_t>(array);
}

const uint16_t* mlx_array_data_bfloat16(const mlx_array array) {
  return data_bits<mlx::core::bfloat16_t>(array);
}

// mlx-rs seeds its default random state with it. Nanoseconds, monotonic.
uint64_t mach_approximate_time() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ull + static_cast<uint64_t>(now.tv_nsec);
}

}

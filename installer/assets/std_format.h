// GCC 12 has no <format>, which MLX's headers include. {fmt} has the same functions: put them where MLX looks.
// Force-included before every file; the empty file `format` beside it answers `#include <format>`.
#pragma once
#ifdef __cplusplus
#define FMT_HEADER_ONLY 1
#include <fmt/format.h>
namespace std {
using fmt::format;
}
#endif

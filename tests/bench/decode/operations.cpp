// Counts the operations of each graph that MLX evaluates, as Metal would run them.
//
// Preloaded before MLX. On a processor MLX takes its fast operations apart as a graph is built, so here each of them is
// remembered with what goes into it, and counts as one. Kernels of our own run here too (`kernels.cpp`), and count as one.
// What only looks at memory in another way counts as none. At every evaluation a line goes to the file that
// ESPALIER_OPERATIONS names: `NAME COUNT` for each kind of operation, by name, with tabs between.

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "mlx/mlx.h"
#include "mlx/primitives.h"

namespace mlx::core {
namespace {

struct Fast {
  const char* name;
  array result;
  std::vector<array> inputs;
};

std::mutex lock;
std::unordered_map<std::uintptr_t, Fast> fast_ones;

const std::set<std::string> views{
    "AsStrided", "Broadcast", "BroadcastAxes", "Depends", "ExpandDims", "Flatten", "Reshape", "Slice",
    "Split", "Squeeze", "StopGradient", "Transpose", "Unflatten", "View"};

array remembered(const char* name, array result, std::vector<array> inputs) {
  std::lock_guard<std::mutex> guard(lock);
  fast_ones.insert_or_assign(result.id(), Fast{name, result, std::move(inputs)});
  return result;
}

std::vector<array> given(std::initializer_list<std::optional<array>> inputs) {
  std::vector<array> some;
  for (const auto& input : inputs) {
    if (input) {
      some.push_back(*input);
    }
  }
  return some;
}

void count(const std::vector<array>& outputs) {
  static const char* path = std::getenv("ESPALIER_OPERATIONS");
  if (path == nullptr) {
    return;
  }
  std::lock_guard<std::mutex> guard(lock);
  std::map<std::string, int> counts;
  std::unordered_set<std::uintptr_t> seen;
  std::vector<array> open(outputs);
  while (!open.empty()) {
    array one = open.back();
    open.pop_back();
    if (one.status() != array::Status::unscheduled || !seen.insert(one.id()).second) {
      continue;
    }
    if (auto fast = fast_ones.find(one.id()); fast != fast_ones.end()) {
      counts[fast->second.name]++;
      open.insert(open.end(), fast->second.inputs.begin(), fast->second.inputs.end());
      continue;
    }
    if (!one.has_primitive()) {
      continue;
    }
    for (const auto& sibling : one.siblings()) {
      seen.insert(sibling.id());
    }
    std::string name = one.primitive().name();
    if (name.rfind("Compiled", 0) == 0) {
      name = "Compiled";
    }
    if (!views.count(name)) {
      counts[name]++;
    }
    open.insert(open.end(), one.inputs().begin(), one.inputs().end());
  }
  if (counts.empty()) {
    return;
  }
  // Whatever is built by now is part of this graph; of the next one nothing is there yet.
  fast_ones.clear();
  if (FILE* file = std::fopen(path, "a")) {
    for (const auto& [name, times] : counts) {
      std::fprintf(file, "%s %d\t", name.c_str(), times);
    }
    std::fprintf(file, "\n");
    std::fclose(file);
  }
}

template <typename Function>
Function* behind(Function* function) {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(function), &info) == 0 || info.dli_sname == nullptr) {
    std::abort();
  }
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, info.dli_sname));
}

} // namespace

namespace fast {

array rms_norm(const array& x, const std::optional<array>& weight, float eps, StreamOrDevice s) {
  static auto next = behind(static_cast<decltype(&rms_norm)>(&rms_norm));
  return remembered("RMSNorm", next(x, weight, eps, s), given({x, weight}));
}

array layer_norm(
    const array& x,
    const std::optional<array>& weight,
    const std::optional<array>& bias,
    float eps,
    StreamOrDevice s) {
  static auto next = behind(&layer_norm);
  return remembered("LayerNorm", next(x, weight, bias, eps, s), given({x, weight, bias}));
}

array rope(
    const array& x,
    int dims,
    bool traditional,
    std::optional<float> base,
    float scale,
    int offset,
    const std::optional<array>& freqs,
    StreamOrDevice s) {
  using Rope = array(
      const array&, int, bool, std::optional<float>, float, int, const std::optional<array>&, StreamOrDevice);
  static auto next = behind(static_cast<Rope*>(&rope));
  auto result = next(x, dims, traditional, base, scale, offset, freqs, s);
  return remembered("RoPE", result, given({x, freqs}));
}

array rope(
    const array& x,
    int dims,
    bool traditional,
    std::optional<float> base,
    float scale,
    const array& offset,
    const std::optional<array>& freqs,
    StreamOrDevice s) {
  using Rope = array(
      const array&, int, bool, std::optional<float>, float, const array&, const std::optional<array>&, StreamOrDevice);
  static auto next = behind(static_cast<Rope*>(&rope));
  auto result = next(x, dims, traditional, base, scale, offset, freqs, s);
  return remembered("RoPE", result, given({x, offset, freqs}));
}

array scaled_dot_product_attention(
    const array& queries,
    const array& keys,
    const array& values,
    const float scale,
    const std::string& mask_mode,
    std::optional<array> mask_arr,
    const std::optional<array>& sinks,
    bool force_fused,
    StreamOrDevice s) {
  static auto next = behind(&scaled_dot_product_attention);
  auto result = next(queries, keys, values, scale, mask_mode, mask_arr, sinks, force_fused, s);
  return remembered("ScaledDotProductAttention", result, given({queries, keys, values, mask_arr, sinks}));
}

} // namespace fast

void eval(std::vector<array> outputs) {
  static auto next = behind(static_cast<void (*)(std::vector<array>)>(&eval));
  count(outputs);
  next(std::move(outputs));
}

void async_eval(std::vector<array> outputs) {
  static auto next = behind(static_cast<void (*)(std::vector<array>)>(&async_eval));
  count(outputs);
  next(std::move(outputs));
}

} // namespace mlx::core

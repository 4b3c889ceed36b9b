// Metal kernels where there is no Metal: MLX's `metal_kernel` compiles their source as C++ and runs it on the processor, a
// simdgroup after the other. Preloaded before MLX; for kernels of one simdgroup for each threadgroup, on rows in order.
//
// METAL_FOLDER and MLX_INCLUDE are the folders of `metal.h` and of MLX's headers.

#include <dlfcn.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "mlx/backend/cpu/encoder.h"
#include "mlx/mlx.h"
#include "mlx/primitives.h"

namespace {

constexpr int LANES = 32;
constexpr size_t STACK = 256 << 10;

using Body = void (*)(void* const* buffers, unsigned row, unsigned lane, const double* (*exchange)(double));

// Runs all lanes of a simdgroup, in turns: each until it exchanges a value or ends.
class Simdgroup {
 public:
  void run(Body body, void* const* buffers, unsigned row) {
    std::vector<std::vector<char>> stacks(LANES, std::vector<char>(STACK));
    active = this;
    exchanges.assign(LANES, 0);
    ended.assign(LANES, false);
    start = [=](unsigned lane) { body(buffers, row, lane, &Simdgroup::exchange); };
    for (int lane = 0; lane < LANES; lane++) {
      getcontext(&lanes[lane]);
      lanes[lane].uc_stack.ss_sp = stacks[lane].data();
      lanes[lane].uc_stack.ss_size = STACK;
      lanes[lane].uc_link = &scheduler;
      makecontext(&lanes[lane], reinterpret_cast<void (*)()>(&Simdgroup::enter), 0);
    }
    while (!ended[0]) {
      for (current = 0; current < LANES; current++) {
        swapcontext(&scheduler, &lanes[current]);
        if (ended[current] != ended[0] || exchanges[current] != exchanges[0]) {
          std::fprintf(stderr, "a lane went another way than the rest of its simdgroup\n");
          std::abort();
        }
      }
    }
  }

 private:
  static void enter() {
    active->start(active->current);
    active->ended[active->current] = true;
  }

  // The others of this round come after it; those of the next write elsewhere.
  static const double* exchange(double value) {
    int lane = active->current;
    double* values = active->values[active->exchanges[lane]++ % 2];
    values[lane] = value;
    swapcontext(&active->lanes[lane], &active->scheduler);
    return values;
  }

  static thread_local Simdgroup* active;
  ucontext_t scheduler;
  ucontext_t lanes[LANES];
  double values[2][LANES];
  std::vector<unsigned> exchanges;
  std::vector<bool> ended;
  std::function<void(unsigned)> start;
  int current = 0;
};

thread_local Simdgroup* Simdgroup::active = nullptr;

std::string type_of(mlx::core::Dtype type) {
  switch (type.val()) {
    case mlx::core::Dtype::Val::float32:
      return "float";
    case mlx::core::Dtype::Val::bfloat16:
      return "bfloat16_t";
    case mlx::core::Dtype::Val::float16:
      return "float16_t";
    case mlx::core::Dtype::Val::uint32:
      return "uint";
    default:
      throw std::invalid_argument("a type that kernels of ours do not have");
  }
}

std::string written(const mlx::core::fast::TemplateArg& argument) {
  if (auto* number = std::get_if<int>(&argument)) {
    return std::to_string(*number);
  }
  if (auto* yes = std::get_if<bool>(&argument)) {
    return *yes ? "true" : "false";
  }
  return type_of(std::get<mlx::core::Dtype>(argument));
}

Body compiled(const std::string& source) {
  static std::mutex lock;
  static std::map<std::string, Body> known;
  std::lock_guard<std::mutex> guard(lock);
  auto& body = known[source];
  if (body == nullptr) {
    char folder[] = "/tmp/espalier-metal-XXXXXX";
    if (mkdtemp(folder) == nullptr) {
      throw std::runtime_error("no folder for a kernel");
    }
    std::string code = std::string(folder) + "/kernel.cpp", library = std::string(folder) + "/kernel.so";
    std::ofstream(code) << source;
    std::string command = "c++ -std=c++20 -O1 -shared -fPIC -I" METAL_FOLDER " -I" MLX_INCLUDE " -o " + library + " " + code;
    if (std::system(command.c_str()) != 0) {
      throw std::runtime_error("the source of a kernel is no C++");
    }
    void* loaded = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    std::system(("rm -r " + std::string(folder)).c_str());
    body = loaded == nullptr ? nullptr : reinterpret_cast<Body>(dlsym(loaded, "body"));
    if (body == nullptr) {
      throw std::runtime_error("a kernel cannot be loaded");
    }
  }
  return body;
}

// One operation of the graph, as it is on a GPU.
class CustomKernel : public mlx::core::Primitive {
 public:
  CustomKernel(mlx::core::Stream stream, Body body, int rows) : Primitive(stream), body_(body), rows_(rows) {}

  void eval_cpu(const std::vector<mlx::core::array>& inputs, std::vector<mlx::core::array>& outputs) override {
    std::vector<void*> buffers;
    for (const auto& input : inputs) {
      if (!input.flags().row_contiguous) {
        throw std::invalid_argument("kernels of ours are tried on arrays that lie in order");
      }
      buffers.push_back(const_cast<char*>(input.data<char>()));
    }
    for (auto& output : outputs) {
      output.set_data(mlx::core::allocator::malloc(output.nbytes()));
      buffers.push_back(output.data<char>());
    }
    auto& encoder = mlx::core::cpu::get_command_encoder(stream());
    encoder.dispatch([body = body_, rows = rows_, buffers, inputs, outputs]() {
      Simdgroup group;
      for (int row = 0; row < rows; row++) {
        group.run(body, buffers.data(), row);
      }
    });
  }

  void eval_gpu(const std::vector<mlx::core::array>&, std::vector<mlx::core::array>&) override {
    throw std::runtime_error("there is no GPU");
  }

  const char* name() const override {
    return "CustomKernel";
  }

 private:
  Body body_;
  int rows_;
};

} // namespace

namespace mlx::core::fast {

CustomKernelFunction metal_kernel(
    const std::string& name,
    const std::vector<std::string>& input_names,
    const std::vector<std::string>& output_names,
    const std::string& source,
    const std::string& header,
    bool,
    bool,
    const CompileOptions&) {
  return [=](const std::vector<array>& inputs,
             const std::vector<Shape>& shapes,
             const std::vector<Dtype>& types,
             std::tuple<int, int, int> grid,
             std::tuple<int, int, int> group,
             std::vector<std::pair<std::string, TemplateArg>> arguments,
             std::optional<float>,
             bool,
             StreamOrDevice) {
    auto [lanes, rows, layers] = grid;
    if (lanes != LANES || layers != 1 || group != std::tuple{LANES, 1, 1}) {
      throw std::invalid_argument(name + " is not run by one simdgroup for each row");
    }
    std::ostringstream code;
    code << "#include \"metal.h\"\n"
         << "static thread_local const double* (*exchanged)(double);\n"
         << "const double* exchange(double value) { return exchanged(value); }\n"
         << header << "\nextern \"C\" void body(void* const* buffers, uint row_, uint lane_, const double* (*exchange_)(double)) {\n"
         << "exchanged = exchange_;\n"
         << "const uint3 thread_position_in_grid{lane_, row_, 0};\nconst uint thread_index_in_simdgroup = lane_;\n";
    for (const auto& [argument, value] : arguments) {
      bool is_type = std::holds_alternative<Dtype>(value);
      code << (is_type ? "using " : "constexpr auto ") << argument << " = " << written(value) << ";\n";
    }
    size_t buffer = 0;
    for (size_t i = 0; i < inputs.size(); i++) {
      auto type = type_of(inputs[i].dtype());
      code << "const " << type << "* " << input_names[i] << " = (const " << type << "*)buffers[" << buffer++ << "];\n";
    }
    for (size_t i = 0; i < types.size(); i++) {
      auto type = type_of(types[i]);
      code << type << "* " << output_names[i] << " = (" << type << "*)buffers[" << buffer++ << "];\n";
    }
    code << source << "\n}\n";
    auto kernel = std::make_shared<CustomKernel>(default_stream(default_device()), compiled(code.str()), rows);
    return array::make_arrays(shapes, types, kernel, inputs);
  };
}

} // namespace mlx::core::fast

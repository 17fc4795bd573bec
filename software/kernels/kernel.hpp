/// A kernel: one operation with its attributes, its meaning on a CPU, and how much work it is.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/tensor.hpp"

namespace cosoc {

/// What a cost model needs to know of a call.
struct Work {
  std::uint64_t operations = 0;  // multiply-accumulates, or the arithmetic operations of an element-wise kernel
  std::uint64_t bytes = 0;       // read and written
  /// Throughput of one core of the reference CPU, an in-order Cortex-A53 with one 64-bit NEON pipe: an estimate, not a
  /// measurement. The default is that of scalar float32 arithmetic.
  double operations_per_cycle = 0.5;
};

/// One operation with fixed attributes. Immutable, so calls may run concurrently.
class Kernel {
 public:
  Kernel() = default;
  virtual ~Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// Name of the operation in bundles and traces: `conv2d`.
  virtual std::string_view name() const = 0;
  /// Checks the inputs' types and returns the outputs'. `outputs` is what the graph declares: scale and zero point of a
  /// quantized output come from there, shapes and dtypes must agree.
  virtual Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const = 0;
  /// Computes on the calling CPU thread. Types were checked before.
  virtual Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const = 0;
  /// What an accelerator of a kind (`fft`) runs in its place.
  virtual const Kernel& on(std::string_view) const { return *this; }
  virtual Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const = 0;
  /// The attributes as they stand in a bundle.
  virtual nlohmann::json attributes() const = 0;
};

/// Makes a kernel from the operation's name and attributes of a bundle. Unknown operations list the known ones;
/// unknown, missing or wrong attributes are named.
Result<std::shared_ptr<const Kernel>> make_kernel(std::string_view name, const nlohmann::json& attributes);

/// Names of all operations.
std::vector<std::string_view> kernel_names();

}  // namespace cosoc

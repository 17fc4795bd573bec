/// What the tests of device, drivers and kernels share.
#pragma once

#include <bit>
#include <catch2/catch.hpp>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "device/platform.hpp"
#include "drivers/driver.hpp"
#include "kernels/kernel.hpp"

namespace cosoc::test {

using Shape = std::vector<std::int64_t>;

/// The value, or a failed test with the message of the error.
template <class T>
T value_of(Result<T> result) {
  INFO((result ? "" : result.error().message));
  REQUIRE(result);
  return std::move(*result);
}

inline void require_ok(const Status& status) {
  INFO((status ? "" : status.error().message));
  REQUIRE(status);
}

/// The message of a result that must be an error.
template <class T>
std::string message_of(const Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error().message;
}

inline TensorType feature_map(Shape shape, float scale = 1.0F, std::int32_t zero_point = 0) {
  return {.dtype = DType::int8, .shape = std::move(shape), .scale = scale, .zero_point = zero_point};
}
inline TensorType tensor(DType dtype, Shape shape) { return {.dtype = dtype, .shape = std::move(shape)}; }

/// Random bytes, including those that no one may rely on: padding of feature maps, bits of NaN.
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}

  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  float real(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  float any_float() { return std::bit_cast<float>(static_cast<std::uint32_t>(engine_())); }

  void fill(const TensorView& view) {
    const std::size_t bytes = view.type->bytes();
    const bool is_float = view.type->dtype == DType::float32 || view.type->dtype == DType::complex64;
    if (is_float) {
      for (std::size_t i = 0; i < bytes / 4; ++i) view.as<float>()[i] = real(-4.0F, 4.0F);
    } else {
      for (std::size_t i = 0; i < bytes; ++i) view.block.data[i] = static_cast<std::byte>(engine_());
    }
  }

 private:
  std::mt19937 engine_;
};

/// Tensors in a device memory, given back at the end.
class Tensors {
 public:
  explicit Tensors(DeviceMemory& memory) : memory_(memory) {}
  Tensors(const Tensors&) = delete;
  Tensors& operator=(const Tensors&) = delete;
  ~Tensors() {
    for (const auto& view : views_) memory_.release(view->block);
  }

  const TensorView& make(TensorType type, bool constant = false) {
    types_.push_back(std::make_unique<TensorType>(std::move(type)));
    const Block block = value_of(memory_.allocate(types_.back()->bytes()));
    views_.push_back(std::make_unique<TensorView>(TensorView{types_.back().get(), block, constant}));
    return *views_.back();
  }

 private:
  DeviceMemory& memory_;
  std::vector<std::unique_ptr<TensorType>> types_;
  std::vector<std::unique_ptr<TensorView>> views_;
};

/// Values without the padding of feature maps, as bytes.
inline std::vector<std::byte> dense(const TensorView& view) {
  std::vector<std::byte> bytes(view.type->dense_bytes());
  copy_to_dense(*view.type, view.block.data, bytes.data());
  return bytes;
}

template <class T>
std::vector<T> dense_values(const TensorView& view) {
  std::vector<T> values(view.type->dense_bytes() / sizeof(T));
  copy_to_dense(*view.type, view.block.data, reinterpret_cast<std::byte*>(values.data()));
  return values;
}

template <class T>
void set_dense(const TensorView& view, const std::vector<T>& values) {
  REQUIRE(values.size() * sizeof(T) == view.type->dense_bytes());
  copy_from_dense(*view.type, reinterpret_cast<const std::byte*>(values.data()), view.block.data);
}

inline std::vector<TensorType> types_of(const std::vector<TensorView>& views) {
  std::vector<TensorType> types;
  for (const TensorView& view : views) types.push_back(*view.type);
  return types;
}

/// Checks and runs on the CPU.
inline void run_on_cpu(const Kernel& kernel, const std::vector<TensorView>& inputs,
                       const std::vector<TensorView>& outputs) {
  require_ok(kernel.check(types_of(inputs), types_of(outputs)));
  require_ok(kernel.run(inputs, outputs));
}

inline std::shared_ptr<const Kernel> kernel(std::string_view name, const nlohmann::json& attributes) {
  return value_of(make_kernel(name, attributes));
}

/// Parameters of an FFT without options.
inline std::map<std::string, std::uint32_t> fft_config(std::uint32_t max_log2, std::uint32_t samples = 1) {
  return {{"max_log2", max_log2}, {"samples", samples}, {"number_format", 0}, {"mantissa_bits", 16},
          {"real_input", 0},      {"multiply", 0},      {"memory_ports", 1}};
}

/// Parameters of a ZIP.
inline std::map<std::string, std::uint32_t> zip_config(std::uint32_t lanes, std::uint32_t memory_ports = 1,
                                                       std::uint32_t number_format = 0) {
  return {{"lanes", lanes}, {"memory_ports", memory_ports}, {"number_format", number_format}};
}

/// A SoC with one accelerator.
inline SoCDescription soc_with(const std::string& kind, std::map<std::string, std::uint32_t> config) {
  SoCDescription soc;
  soc.board = "sim";
  soc.clock_hz = 300'000'000;
  soc.cpu_cores = 4;
  soc.memory_base = 0x1000'0000;
  soc.memory_bytes = 16 << 20;
  soc.accelerators.push_back({.name = kind + "0",
                              .kind = kind,
                              .base = 0xA000'0000,
                              .range = 65536,
                              .interrupt = 89,
                              .memory_ports = {"HP0"},
                              .config_hash = 7,
                              .config = std::move(config)});
  return soc;
}

/// An accelerator in simulated time with its driver.
struct Machine {
  explicit Machine(const SoCDescription& soc) : platform(value_of(make_functional_platform(soc))) {
    driver = value_of(make_driver(soc.accelerators[0].kind, platform->accelerator(0), platform->memory()));
  }

  /// Lets a started call come to its end.
  Status finish() {
    for (int interrupts = 0; interrupts < 100000; ++interrupts) {
      const auto line = value_of(platform->advance(platform->now() + std::chrono::seconds(100)));
      if (!line) return failure("no interrupt came");
      const auto done = driver->service();
      if (!done) return tl::unexpected(done.error());
      if (*done) return {};
    }
    return failure("the call does not end");
  }

  void run(const Kernel& kernel, const std::vector<TensorView>& inputs, const std::vector<TensorView>& outputs) {
    require_ok(driver->start(kernel, inputs, outputs));
    require_ok(finish());
  }

  std::unique_ptr<SimulatedPlatform> platform;
  std::unique_ptr<Driver> driver;
};

}  // namespace cosoc::test

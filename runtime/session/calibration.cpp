#include "cosoc/calibration.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cosoc/client.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {
namespace {

using nlohmann::json;

struct Sample {
  std::string kernel;
  json attributes;
  std::vector<TensorType> inputs;
  TensorType output;
};

/// A call is repeated at least so often, which is what the median needs; more as long as it takes less than the time.
constexpr int least_repetitions = 7;
constexpr int most_repetitions = 31;
constexpr Time enough = std::chrono::milliseconds(50);

TensorType complex_vectors(std::int64_t count, std::int64_t length) { return {DType::complex64, {count, length}}; }

TensorType feature_map(std::int64_t extent, std::int64_t channels) {
  return {DType::int8, {1, extent, extent, channels}, 0.1F, 0};
}

/// Square feature maps and kernels, with the padding that keeps their extent when the stride is 1.
Sample convolution(std::int64_t extent, std::int64_t channels, std::int64_t kernel, std::int64_t filters,
                   std::int64_t stride, std::int64_t groups) {
  const std::int64_t side = kernel / 2;
  const std::int64_t result = (extent + 2 * side - kernel) / stride + 1;
  return {"conv2d",
          {{"stride", {stride, stride}},
           {"padding", {side, side, side, side}},
           {"dilation", {1, 1}},
           {"groups", groups},
           {"clamp", {-128, 127}}},
          {feature_map(extent, channels),
           {DType::int8, {filters, kernel, kernel, channels / groups}},
           {DType::int32, {filters}},
           {DType::float32, {filters}}},
          feature_map(result, filters)};
}

void add_signal_processing(std::vector<Sample>& samples) {
  for (const std::int64_t length : {8, 64, 256, 1024, 2048}) {
    for (const std::int64_t count : {1, 16}) {
      const TensorType type = complex_vectors(count, length);
      samples.push_back({"fft", {{"direction", "forward"}}, {type}, type});
      for (const char* operation : {"add", "mul", "conjugate_mul", "div"}) {
        samples.push_back({"zip", {{"operation", operation}}, {type, type}, type});
      }
      samples.push_back({"magnitude_squared", json::object(), {type}, {DType::float32, type.shape}});
    }
    samples.push_back({"transpose", json::object(), {complex_vectors(16, length)}, complex_vectors(length, 16)});
  }
}

void add_networks(std::vector<Sample>& samples) {
  samples.push_back(convolution(56, 3, 7, 32, 2, 1));
  samples.push_back(convolution(28, 32, 3, 64, 1, 1));
  samples.push_back(convolution(14, 128, 3, 64, 1, 1));
  samples.push_back(convolution(28, 128, 1, 64, 1, 1));
  samples.push_back(convolution(28, 64, 3, 64, 2, 1));
  samples.push_back(convolution(28, 128, 3, 128, 1, 128));
  const json halves = {{"kernel", {2, 2}}, {"stride", {2, 2}}, {"padding", {0, 0, 0, 0}}};
  json average = halves;
  average["multiplier"] = 0.25;
  average["clamp"] = {-128, 127};
  for (const std::int64_t extent : {28, 56}) {
    const TensorType map = feature_map(extent, 64);
    const TensorType image{DType::float32, {1, 64, extent, extent}};
    samples.push_back({"max_pool2d", halves, {map}, feature_map(extent / 2, 64)});
    samples.push_back({"average_pool2d", average, {map}, feature_map(extent / 2, 64)});
    samples.push_back({"add", {{"multipliers", {0.5, 0.5}}, {"clamp", {-128, 127}}}, {map, map}, map});
    samples.push_back({"quantize", json::object(), {image}, map});
    samples.push_back({"dequantize", json::object(), {map}, image});
  }
}

Status measure(const Client& client, const Sample& sample, const std::string& kind) {
  const auto call = client.prepare(make_kernel(sample.kernel, sample.attributes), sample.inputs, {sample.output},
                                   {.devices = {kind}});
  if (!call) return {};  // this kind of device cannot run it
  std::vector<Buffer> inputs;
  for (const TensorType& type : sample.inputs) {
    auto buffer = client.allocate(type);
    if (!buffer) return tl::make_unexpected(buffer.error());
    inputs.push_back(std::move(*buffer));
  }
  const auto output = client.allocate(sample.output);
  if (!output) return tl::make_unexpected(output.error());
  const Time start = client.now();
  for (int i = 0; i < least_repetitions || (i < most_repetitions && client.now() - start < enough); ++i) {
    if (auto done = client.submit(*call, inputs, {&*output, 1}).wait(); !done) return done;
  }
  return {};
}

}  // namespace

Status calibrate(Session& session) {
  if (session.is_simulated()) {
    return failure(
        "calibration measures devices on the wall clock; this session runs in simulated time: use mode cpu or board");
  }
  const auto client = session.client({.name = "calibration"});
  if (!client) return tl::make_unexpected(client.error());
  std::vector<Sample> samples;
  add_signal_processing(samples);
  add_networks(samples);
  std::vector<std::string> kinds;
  for (const DeviceStatus& device : session.device_status()) {
    if (std::ranges::find(kinds, device.kind) == kinds.end()) kinds.push_back(device.kind);
  }
  for (const Sample& sample : samples) {
    for (const std::string& kind : kinds) {
      if (auto done = measure(*client, sample, kind); !done) return done;
    }
  }
  return {};
}

}  // namespace cosoc

/// Kernels of images that XNNPACK computes beside plain sums: special values, operands at the ends of pages, many
/// threads.
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <thread>

#include "fenced.hpp"

using namespace cosoc;
using namespace cosoc::test;

namespace {

/// A depthwise convolution, an average or a resampling of (N, C, H, W), and what it is in double precision.
struct Images {
  std::shared_ptr<const Kernel> kernel;
  TensorType in, weight, bias, out;  // weight and bias without elements where there are none
  std::function<double(const Images&, const float* in, std::int64_t channel, std::int64_t row, std::int64_t column)>
      exact;
};

const float* weights() {
  static const std::vector<float> values = [] {
    std::vector<float> made(4096);
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i * 5 % 11) * 0.125F - 0.5625F;
    return made;
  }();
  return values.data();
}

double depthwise_of(const Images& images, const float* in, std::int64_t channel, std::int64_t row,
                    std::int64_t column) {
  const std::int64_t rows = images.in.shape[2], columns = images.in.shape[3];
  double sum = weights()[channel % images.in.shape[1]];
  for (std::int64_t i = 0; i < 9; ++i) {
    const std::int64_t y = 2 * row + i / 3 - 1, x = 2 * column + i % 3 - 1;
    if (y < 0 || y >= rows || x < 0 || x >= columns) continue;
    sum +=
        static_cast<double>(in[(channel * rows + y) * columns + x]) * weights()[channel % images.in.shape[1] * 9 + i];
  }
  return sum < -0.5 ? -0.5 : sum > 6.0 ? 6.0 : sum;
}

Images depthwise(std::int64_t batch, std::int64_t channels, std::int64_t rows, std::int64_t columns) {
  return {.kernel = kernel("convolution", {{"stride", {2, 2}},
                                           {"padding", {1, 1}},
                                           {"dilation", {1, 1}},
                                           {"output_padding", {0, 0}},
                                           {"transposed", false},
                                           {"groups", channels},
                                           {"low", -0.5},
                                           {"high", 6.0}}),
          .in = tensor(DType::float32, {batch, channels, rows, columns}),
          .weight = tensor(DType::float32, {channels, 1, 3, 3}),
          .bias = tensor(DType::float32, {channels}),
          .out = tensor(DType::float32, {batch, channels, (rows + 1) / 2, (columns + 1) / 2}),
          .exact = depthwise_of};
}

double average_of(const Images& images, const float* in, std::int64_t channel, std::int64_t, std::int64_t) {
  const std::int64_t count = images.in.shape[2] * images.in.shape[3];
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += in[channel * count + i];
  return sum / static_cast<double>(count);
}

Images average(std::int64_t batch, std::int64_t channels, std::int64_t rows, std::int64_t columns) {
  return {.kernel = kernel("pool", {{"kind", "average"}, {"size", {1, 1}}}),
          .in = tensor(DType::float32, {batch, channels, rows, columns}),
          .weight = {},
          .bias = {},
          .out = tensor(DType::float32, {batch, channels, 1, 1}),
          .exact = average_of};
}

/// The same as a mean of the last axes.
Images mean(std::int64_t batch, std::int64_t channels, std::int64_t rows, std::int64_t columns) {
  Images images = average(batch, channels, rows, columns);
  images.kernel = kernel("reduce", {{"operation", "mean"}, {"axes", {2, 3}}, {"keep", true}});
  return images;
}

double resampled(const Images& images, const float* in, std::int64_t channel, std::int64_t row, std::int64_t column) {
  struct Tap {
    std::int64_t low, high;
    double rest;
  };
  const auto tap = [](std::int64_t at, std::int64_t length, std::int64_t made) {
    const double step = static_cast<double>(length) / static_cast<double>(made);
    const double real = std::max((static_cast<double>(at) + 0.5) * step - 0.5, 0.0);
    const std::int64_t low = std::min(static_cast<std::int64_t>(real), length - 1);
    return Tap{low, std::min(low + 1, length - 1), real - static_cast<double>(low)};
  };
  const std::int64_t rows = images.in.shape[2], columns = images.in.shape[3];
  const Tap y = tap(row, rows, images.out.shape[2]), x = tap(column, columns, images.out.shape[3]);
  const float* plane = in + channel * rows * columns;
  const auto along = [&](std::int64_t at) {
    return plane[at * columns + x.low] * (1.0 - x.rest) + plane[at * columns + x.high] * x.rest;
  };
  return along(y.low) * (1.0 - y.rest) + along(y.high) * y.rest;
}

Images resampling(std::int64_t batch, std::int64_t channels, std::int64_t rows, std::int64_t columns) {
  return {.kernel = kernel(
              "resample",
              {{"mode", "linear"}, {"size", {2 * rows, 4 * columns}}, {"steps", {0.5, 0.25}}, {"aligned", false}}),
          .in = tensor(DType::float32, {batch, channels, rows, columns}),
          .weight = {},
          .bias = {},
          .out = tensor(DType::float32, {batch, channels, 2 * rows, 4 * columns}),
          .exact = resampled};
}

std::vector<TensorView> inputs_of(const Images& images, const Fenced& in) {
  std::vector<TensorView> inputs = {in.view(images.in)};
  for (const TensorType* type : {&images.weight, &images.bias}) {
    if (type->shape.empty()) continue;
    auto* data = reinterpret_cast<std::byte*>(const_cast<float*>(weights()));
    inputs.push_back({.type = type, .block = {.data = data, .size = type->bytes()}, .constant = true});
  }
  return inputs;
}

/// Runs, and compares all outputs.
void check_images(const Images& images, const Fenced& in, const Fenced& out) {
  run_on_cpu(*images.kernel, inputs_of(images, in), {out.view(images.out)});
  const std::int64_t rows = images.out.shape[2], columns = images.out.shape[3];
  // Subnormal numbers count where nothing but they are averaged.
  double greatest = images.weight.shape.empty() ? 0x1p-126 : 2.0;
  for (std::int64_t i = 0; i < images.in.elements(); ++i) {
    if (std::isfinite(in.data()[i])) greatest = std::max(greatest, static_cast<double>(std::abs(in.data()[i])));
  }
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < images.out.elements(); ++i) {
    const std::int64_t channel = i / (rows * columns), row = i / columns % rows, column = i % columns;
    const double expected = images.exact(images, in.data(), channel, row, column);
    const bool same =
        is_near(out.data()[i], expected, 2e-6 * greatest) &&
        (expected != 0.0 || !images.weight.shape.empty() || std::signbit(out.data()[i]) == std::signbit(expected));
    if (!same)
      UNSCOPED_INFO(i << " of " << images.out.describe() << ": " << out.data()[i] << ", expected " << expected);
    wrong += same ? 0 : 1;
  }
  CHECK(wrong == 0);
}

using Make = Images (*)(std::int64_t, std::int64_t, std::int64_t, std::int64_t);
constexpr std::array<Make, 4> makers = {depthwise, average, mean, resampling};

}  // namespace

TEST_CASE("kernels of images touch nothing beside their operands", "[xnnpack]") {
  for (const bool at_end : {true, false}) {
    for (std::int64_t size = 0; size < 9 * 33; ++size) {
      const std::int64_t rows = 1 + size / 33, columns = 1 + size % 33;
      for (const Make make : makers) {
        const Images images = make(1 + size % 2, 1 + size % 19, rows, columns);
        const Fenced in(images.in.elements(), at_end), out(images.out.elements(), at_end);
        fill(in.data(), images.in.elements());
        check_images(images, in, out);
      }
    }
    for (const Make make : makers) {
      const Images images = make(2, 6, 150, 161);
      const Fenced in(images.in.elements(), at_end), out(images.out.elements(), at_end);
      fill(in.data(), images.in.elements());
      if (make != average) check_images(images, in, out);
    }
  }
}

TEST_CASE("kernels of images keep special values", "[xnnpack]") {
  for (const Make make : makers) {
    const Images images = make(2, 5, 6, 9);
    const Fenced in(images.in.elements(), true), out(images.out.elements(), true);
    for (const float special : specials) {
      INFO(special);
      // Sums of large numbers depend on their order.
      if (std::isfinite(special) && std::abs(special) > 1e10F) continue;
      for (std::int64_t at = 0; at < images.in.elements(); at += 53) {
        fill(in.data(), images.in.elements());
        in.data()[at] = special;
        check_images(images, in, out);
      }
      std::fill_n(in.data(), images.in.elements(), special);
      check_images(images, in, out);
    }
  }
}

TEST_CASE("threads compute with one kernel at a time", "[xnnpack]") {
  for (const Make make : makers) {
    const Images images = make(1, 40, 28, 28);
    const Fenced in(images.in.elements(), true), expected(images.out.elements(), true);
    fill(in.data(), images.in.elements());
    run_on_cpu(*images.kernel, inputs_of(images, in), {expected.view(images.out)});
    std::atomic<int> different = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        std::vector<float> made(static_cast<std::size_t>(images.out.elements()));
        const TensorView out = {.type = &images.out, .block = {.data = reinterpret_cast<std::byte*>(made.data())}};
        const std::vector<TensorView> inputs = inputs_of(images, in);
        for (int round = 0; round < 50; ++round) {
          std::fill(made.begin(), made.end(), not_a_number);
          if (!images.kernel->run(inputs, {{out}})) ++different;
          if (!std::equal(made.begin(), made.end(), expected.data())) ++different;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(different == 0);
  }
}

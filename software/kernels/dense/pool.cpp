/// Largest elements and averages of windows over the last axes of (N, C, ..), with the positions of the largest.
#include <limits>
#include <span>
#include <vector>

#include "kernels/dense/operation.hpp"
#include "kernels/dense/pool_rows.hpp"
#include "kernels/dense/spatial.hpp"
#include "kernels/dense/xnnpack.hpp"

namespace cosoc {
namespace dense {
namespace {

constexpr std::array<std::string_view, 2> kinds = {"average", "max"};

/// One axis of a window: the elements first, first + step .. before last, and the length that an average counts.
struct Reach {
  std::int64_t first, last, step, counted;
};

class Pool final : public Operation {
 public:
  struct Options {
    Windows windows;
    Axes3 kernel{1, 1, 1};
    Axes3 adaptive{0, 0, 0};  // output sizes; 0 where windows slide
    bool max = false;
    bool ceil = false;
    bool counts_padding = true;
    bool positions = false;
    std::int64_t divisor = 0;  // of every sum, or 0
  };

  Pool(const nlohmann::json& attributes, const Options& options) : Operation("pool", attributes), o_(options) {}

  Status check(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    TypeCheck check(name(), inputs, outputs);
    if (!check.counts(1, o_.positions ? 2 : 1)) return check.status();
    check.dtype(inputs[0], DType::float32);
    check.dtype(outputs[0], DType::float32);
    if (outputs.size() == 2) check.dtype(outputs[1], DType::int64);
    check.rank(inputs[0], {o_.windows.axes + 2});
    if (!check.good()) return check.status();
    Shape expected(inputs[0].shape.begin(), inputs[0].shape.begin() + 2);
    for (std::size_t axis = 3 - o_.windows.axes; axis < 3; ++axis) {
      const std::int64_t size = spatial(inputs[0].shape)[axis];
      const std::int64_t extent = (o_.kernel[axis] - 1) * o_.windows.dilation[axis] + 1;
      const std::int64_t room = size + 2 * o_.windows.padding[axis] - extent;
      check.require(is_adaptive() || (room >= 0 && 2 * o_.windows.padding[axis] <= o_.kernel[axis]),
                    "windows must fit the padded input, and padding half a window");
      expected.push_back(is_adaptive() ? o_.adaptive[axis] : output_size(axis, size, std::max<std::int64_t>(room, 0)));
    }
    for (const TensorType& output : outputs) check.shape(output, expected);
    return check.status();
  }

  Status run(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const override {
    const Axes3 in = spatial(inputs[0].type->shape);
    const Axes3 out = spatial(outputs[0].type->shape);
    const float* plane = inputs[0].as<float>();
    float* to = outputs[0].as<float>();
    if (!is_adaptive() && outputs.size() == 1) {
      pool_rows(inputs[0], outputs[0]);
      return {};
    }
    auto* positions = outputs.size() == 2 ? outputs[1].as<std::int64_t>() : nullptr;
    const std::int64_t planes = inputs[0].type->shape[0] * inputs[0].type->shape[1];
    const bool averages = volume(out) == 1 && !o_.max;
    const std::int64_t done = averages ? xnnpack::average_planes(plane, planes, volume(in), to) : 0;
    plane += done * volume(in);
    to += done;
    for (std::int64_t i = done; i < planes; ++i, plane += volume(in)) {
      for (std::int64_t d = 0; d < out[0]; ++d) {
        const Reach depth = reach(0, d, in, out);
        for (std::int64_t h = 0; h < out[1]; ++h) {
          const Reach height = reach(1, h, in, out);
          for (std::int64_t w = 0; w < out[2]; ++w) {
            const Reach width = reach(2, w, in, out);
            if (o_.max) {
              const std::int64_t at = largest(plane, in, {depth, height, width});
              *to++ = plane[at];
              if (positions != nullptr) *positions++ = at;
            } else {
              *to++ = average(plane, in, {depth, height, width});
            }
          }
        }
      }
    }
    return {};
  }

  Work work(std::span<const TensorType> inputs, std::span<const TensorType> outputs) const override {
    const auto taps = is_adaptive() ? inputs[0].elements() : volume(o_.kernel) * outputs[0].elements();
    return {static_cast<std::uint64_t>(taps), inputs[0].bytes() + outputs[0].bytes()};
  }

 private:
  bool is_adaptive() const { return o_.adaptive[2] > 0; }

  std::int64_t output_size(std::size_t axis, std::int64_t size, std::int64_t room) const {
    const std::int64_t stride = o_.windows.stride[axis];
    if (!o_.ceil) return room / stride + 1;
    const std::int64_t count = (room + stride - 1) / stride + 1;
    // The last window must begin inside the input or its padding before it.
    return (count - 1) * stride >= size + o_.windows.padding[axis] ? count - 1 : count;
  }

  Reach reach(std::size_t axis, std::int64_t position, const Axes3& in, const Axes3& out) const {
    const std::int64_t size = in[axis];
    if (is_adaptive()) {
      const std::int64_t first = position * size / out[axis];
      const std::int64_t last = ((position + 1) * size + out[axis] - 1) / out[axis];
      return {first, last, 1, last - first};
    }
    const std::int64_t step = o_.windows.dilation[axis];
    const std::int64_t start = position * o_.windows.stride[axis] - o_.windows.padding[axis];
    const std::int64_t end = start + (o_.kernel[axis] - 1) * step + 1;
    const std::int64_t first = start >= 0 ? start : start + (-start + step - 1) / step * step;
    const std::int64_t last = std::min(end, size);
    const std::int64_t counted =
        o_.counts_padding ? std::min(end, size + o_.windows.padding[axis]) - start : last - first;
    return {first, last, step, counted};
  }

  void pool_rows(const TensorView& input, const TensorView& output) const {
    const Axes3 in = spatial(input.type->shape);
    const Axes3 out = spatial(output.type->shape);
    const Windows& windows = o_.windows;
    PoolRow row = {.columns = in[2],
                   .padding = windows.padding[2],
                   .kernel = o_.kernel[2],
                   .dilation = windows.dilation[2],
                   .stride = windows.stride[2],
                   .max = o_.max,
                   .outputs = out[2],
                   .out = output.as<float>()};
    std::vector<float> joined(static_cast<std::size_t>(row.padded_columns()));
    std::vector<float> counts(static_cast<std::size_t>(out[2]), 1.0F);
    for (std::int64_t w = 0; w < out[2] && o_.divisor == 0; ++w) {
      counts[static_cast<std::size_t>(w)] = static_cast<float>(reach(2, w, in, out).counted);
    }
    row.joined = joined.data();
    row.counts = counts.data();
    const float* image = input.as<float>();
    for (std::int64_t i = 0; i < input.type->shape[0] * input.type->shape[1]; ++i, image += volume(in)) {
      for (std::int64_t d = 0; d < out[0]; ++d) {
        const Reach depth = reach(0, d, in, out);
        for (std::int64_t h = 0; h < out[1]; ++h, row.out += out[2]) {
          const Reach height = reach(1, h, in, out);
          row.in = image + (depth.first * in[1] + height.first) * in[2];
          row.planes = (depth.last - depth.first + depth.step - 1) / depth.step;
          row.plane_step = depth.step * in[1] * in[2];
          row.rows = (height.last - height.first + height.step - 1) / height.step;
          row.row_step = height.step * in[2];
          row.count = static_cast<float>(o_.divisor != 0 ? o_.divisor : depth.counted * height.counted);
          pool_row(row);
        }
      }
    }
  }

  static std::int64_t largest(const float* plane, const Axes3& in, const std::array<Reach, 3>& r) {
    std::int64_t best = (r[0].first * in[1] + r[1].first) * in[2] + r[2].first;
    float greatest = -std::numeric_limits<float>::infinity();
    for (std::int64_t d = r[0].first; d < r[0].last; d += r[0].step) {
      for (std::int64_t h = r[1].first; h < r[1].last; h += r[1].step) {
        const std::int64_t row = (d * in[1] + h) * in[2];
        for (std::int64_t w = r[2].first; w < r[2].last; w += r[2].step) {
          const float value = plane[row + w];
          if (value > greatest || value != value) {
            greatest = value;
            best = row + w;
          }
        }
      }
    }
    return best;
  }

  /// In several sums at once, which do not wait for each other.
  static double sum_of(const float* values, std::int64_t count) {
    double sums[8] = {};
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
      for (std::int64_t lane = 0; lane < 8; ++lane) sums[lane] += static_cast<double>(values[i + lane]);
    }
    double sum = 0.0;
    for (const double part : sums) sum += part;
    for (; i < count; ++i) sum += static_cast<double>(values[i]);
    return sum;
  }

  float average(const float* plane, const Axes3& in, const std::array<Reach, 3>& r) const {
    double sum = 0.0;
    // Rows that are there as a whole lie side by side.
    const bool whole = r[2].last - r[2].first == in[2];
    const std::int64_t rows = whole ? r[1].last - r[1].first : 1;
    for (std::int64_t d = r[0].first; d < r[0].last; ++d) {
      for (std::int64_t h = r[1].first; h < r[1].last; h += rows) {
        sum += sum_of(plane + (d * in[1] + h) * in[2] + r[2].first, rows * (r[2].last - r[2].first));
      }
    }
    const std::int64_t count = r[0].counted * r[1].counted * r[2].counted;
    return static_cast<float>(sum / static_cast<double>(o_.divisor != 0 ? o_.divisor : count));
  }

  Options o_;
};

}  // namespace
}  // namespace dense

KernelResult make_pool(const nlohmann::json& attributes) {
  AttributeReader reader("pool", attributes);
  dense::Pool::Options options;
  options.max = reader.choice("kind", dense::kinds) == 1;
  if (reader.has("size")) {
    const auto size = reader.list("size", 1, dense::max_window, 3);
    reader.require(!size.empty(), "size must have one to three numbers");
    options.windows.axes = size.size();
    options.adaptive = dense::last_axes(size, 1);
    return dense::finish<dense::Pool>(reader, attributes, options);
  }
  options.windows = dense::read_windows(reader);
  const auto kernel = reader.list("kernel", 1, dense::max_window, 3);
  reader.require(kernel.size() == options.windows.axes, "kernel must have as many numbers as stride");
  options.kernel = dense::last_axes(kernel, 1);
  options.ceil = reader.flag("ceil");
  options.counts_padding = reader.flag("counts_padding");
  options.positions = reader.flag("positions");
  options.divisor = reader.integer("divisor", -(std::int64_t{1} << 31), std::int64_t{1} << 31);
  reader.require(options.max || !options.positions, "only the largest elements have positions");
  reader.require(options.max || options.windows.dilation == dense::Axes3{1, 1, 1}, "averages have no dilation");
  return dense::finish<dense::Pool>(reader, attributes, options);
}

}  // namespace cosoc

#include "processing.hpp"

#include <algorithm>
#include <cmath>

namespace radar {
namespace {

/// Over the mean noise power: among 32768 cells of exponentially distributed power, one false alarm in 15,000 maps.
constexpr double threshold = 20.0;

/// Mean of exponentially distributed noise, from the median, which few strong targets do not move.
double noise_power(std::span<const float> power) {
  std::vector<float> sorted(power.begin(), power.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  return static_cast<double>(*middle) / std::numbers::ln2;
}

/// Whether no neighbour is stronger; both axes are cyclic.
bool is_peak(const Waveform& waveform, std::span<const float> power, std::size_t range, std::size_t doppler) {
  const std::size_t rows = waveform.samples;
  const std::size_t columns = waveform.pulses;
  const float value = power[range * columns + doppler];
  for (const std::size_t row : {range + rows - 1, range, range + 1}) {
    for (const std::size_t column : {doppler + columns - 1, doppler, doppler + 1}) {
      if (power[row % rows * columns + column % columns] > value) return false;
    }
  }
  return true;
}

}  // namespace

cosoc::Graph build_graph(const Waveform& waveform) {
  const cosoc::NodeOptions on_fft{.devices = {"cpu", "fft"}};
  const cosoc::NodeOptions on_zip{.devices = {"cpu", "zip"}};
  const cosoc::TensorType pulses{
      cosoc::DType::complex64,
      {static_cast<std::int64_t>(waveform.pulses), static_cast<std::int64_t>(waveform.samples)}};
  const std::vector<Sample> reference = reference_spectrum(waveform);

  cosoc::Graph graph("pulse_doppler_radar");
  const auto received = graph.input("received", pulses);
  const auto spectrum = cosoc::fft(graph, "range_fft", received, cosoc::FFTDirection::forward, on_fft);
  const auto chirp = graph.constant("reference", pulses, std::as_bytes(std::span(reference)));
  const auto product = cosoc::zip(graph, "matched_filter", spectrum, chirp, cosoc::ZIPOperator::conjugate_mul, on_zip);
  const auto ranges = cosoc::fft(graph, "range_inverse_fft", product, cosoc::FFTDirection::inverse, on_fft);
  const auto turned = cosoc::transpose(graph, "corner_turn", ranges);
  const auto doppler = cosoc::fft(graph, "doppler_fft", turned, cosoc::FFTDirection::forward, on_fft);
  graph.output(cosoc::magnitude_squared(graph, "power", doppler));
  return graph;
}

std::vector<Detection> detect(const Waveform& waveform, std::span<const float> power) {
  const double noise = noise_power(power);
  std::vector<Detection> detections;
  for (std::size_t range = 0; range < waveform.samples; ++range) {
    for (std::size_t doppler = 0; doppler < waveform.pulses; ++doppler) {
      const double value = static_cast<double>(power[range * waveform.pulses + doppler]);
      if (value < threshold * noise || !is_peak(waveform, power, range, doppler)) continue;
      const auto bin =
          static_cast<double>(doppler) - (doppler < waveform.pulses / 2 ? 0.0 : static_cast<double>(waveform.pulses));
      detections.push_back(
          {static_cast<double>(range) * waveform.range_bin(), bin * waveform.velocity_bin(), value / noise});
    }
  }
  std::ranges::sort(detections, std::greater(), &Detection::power);
  return detections;
}

std::vector<const Detection*> match(const Waveform& waveform, const std::vector<Target>& targets,
                                    const std::vector<Detection>& detections) {
  std::vector<const Detection*> found;
  for (const Target& target : targets) {
    const auto near = std::ranges::find_if(detections, [&](const Detection& detection) {
      return std::abs(detection.range - target.range) <= waveform.range_resolution() &&
             std::abs(detection.velocity - target.velocity) <= waveform.velocity_bin();
    });
    found.push_back(near == detections.end() ? nullptr : &*near);
  }
  return found;
}

}  // namespace radar

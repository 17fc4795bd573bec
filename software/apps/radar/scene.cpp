#include "scene.hpp"

#include <cmath>
#include <random>

namespace radar {
namespace {

constexpr double pi = std::numbers::pi;

std::complex<double> unit(double phase) { return std::polar(1.0, phase); }

}  // namespace

std::vector<std::complex<double>> Waveform::chirp() const {
  std::vector<std::complex<double>> result(chirp_samples);
  const double duration = static_cast<double>(chirp_samples) / sample_rate;
  for (std::size_t i = 0; i < chirp_samples; ++i) {
    const double time = static_cast<double>(i) / sample_rate;
    result[i] = unit(pi * bandwidth * (time * time / duration - time));
  }
  return result;
}

std::vector<Sample> receive(const Waveform& waveform, const std::vector<Target>& targets, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal(0.0, std::sqrt(0.5));
  std::vector<std::complex<double>> received(waveform.pulses * waveform.samples);
  for (auto& sample : received) {
    const double real = normal(generator);
    sample = {real, normal(generator)};
  }
  const auto chirp = waveform.chirp();
  for (const Target& target : targets) {
    for (std::size_t pulse = 0; pulse < waveform.pulses; ++pulse) {
      const double range = target.range - target.velocity * static_cast<double>(pulse) * waveform.interval();
      const auto delay = static_cast<std::size_t>(std::lround(range / waveform.range_bin()));
      const auto phase = target.amplitude * unit(-4 * pi * range / waveform.wavelength());
      for (std::size_t i = 0; i < chirp.size() && delay + i < waveform.samples; ++i) {
        received[pulse * waveform.samples + delay + i] += phase * chirp[i];
      }
    }
  }
  return {received.begin(), received.end()};
}

std::vector<Sample> reference_spectrum(const Waveform& waveform) {
  const auto chirp = waveform.chirp();
  const auto samples = static_cast<double>(waveform.samples);
  std::vector<std::complex<double>> spectrum(waveform.samples);
  for (std::size_t bin = 0; bin < waveform.samples; ++bin) {
    for (std::size_t i = 0; i < chirp.size(); ++i) {
      spectrum[bin] += chirp[i] * unit(-2 * pi * static_cast<double>(bin * i % waveform.samples) / samples);
    }
    const double signed_bin = static_cast<double>(bin) - (bin < waveform.samples / 2 ? 0.0 : samples);
    const double position = signed_bin / samples * waveform.sample_rate / waveform.bandwidth;  // the band: -0.5..0.5
    spectrum[bin] *= std::abs(position) > 0.5 ? 0.0 : 0.54 + 0.46 * std::cos(2 * pi * position);
  }
  std::vector<Sample> rows;
  for (std::size_t pulse = 0; pulse < waveform.pulses; ++pulse) {
    const double phase = 2 * pi * (static_cast<double>(pulse) + 0.5) / static_cast<double>(waveform.pulses);
    for (const auto& value : spectrum) rows.emplace_back(value * (0.5 - 0.5 * std::cos(phase)));
  }
  return rows;
}

}  // namespace radar

/// A pulse-Doppler radar and what it receives: chirp returns of point targets in noise.
#pragma once

#include <complex>
#include <cstdint>
#include <numbers>
#include <vector>

namespace radar {

using Sample = std::complex<float>;

inline constexpr double speed_of_light = 299792458.0;  // m/s

/// X band, complex baseband samples. A row of data is one pulse repetition interval.
struct Waveform {
  std::size_t pulses = 64;         // power of two
  std::size_t samples = 512;       // per pulse, power of two
  std::size_t chirp_samples = 64;  // length of the transmitted chirp
  double sample_rate = 10e6;       // Hz
  double bandwidth = 8e6;          // Hz, swept by the chirp
  double carrier = 10e9;           // Hz

  double wavelength() const { return speed_of_light / carrier; }
  /// From one pulse to the next, s.
  double interval() const { return static_cast<double>(samples) / sample_rate; }
  /// Metres per sample.
  double range_bin() const { return speed_of_light / (2 * sample_rate); }
  /// Metres that two targets must lie apart.
  double range_resolution() const { return speed_of_light / (2 * bandwidth); }
  /// Metres per second per Doppler bin, which is also the resolution.
  double velocity_bin() const { return wavelength() / (2 * static_cast<double>(pulses) * interval()); }

  /// The transmitted samples: linear sweep from -bandwidth / 2 to +bandwidth / 2, unit amplitude.
  std::vector<std::complex<double>> chirp() const;
};

struct Target {
  double range = 0;      // m, at the first pulse
  double velocity = 0;   // m/s, positive when it comes closer
  double amplitude = 0;  // of its return; the noise has unit power
};

/// What is received, (pulses, samples) row-major. Equal seeds give equal samples.
std::vector<Sample> receive(const Waveform& waveform, const std::vector<Target>& targets, std::uint64_t seed);

/// What the spectrum of each pulse is multiplied with (conjugated) for range compression, (pulses, samples): the
/// chirp's spectrum, with a Hamming window over the band and a Hann window over the pulses against sidelobes.
std::vector<Sample> reference_spectrum(const Waveform& waveform);

}  // namespace radar

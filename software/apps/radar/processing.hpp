/// Pulse-Doppler processing: from received samples to detections.
#pragma once

#include <span>
#include <vector>

#include "cosoc/cosoc.hpp"
#include "scene.hpp"

namespace radar {

/// Range compression (FFT, product with the conjugate reference, inverse FFT), corner turn, Doppler FFT and power, as
/// one graph: input "received" complex64 (pulses, samples), output "power" float32 (samples, pulses).
cosoc::Graph build_graph(const Waveform& waveform);

/// A peak of the range-Doppler map.
struct Detection {
  double range = 0;     // m
  double velocity = 0;  // m/s
  double power = 0;     // relative to the mean noise
};

/// Cells that are above their eight neighbours and far above the noise, strongest first. `power` is (samples, pulses).
std::vector<Detection> detect(const Waveform& waveform, std::span<const float> power);

/// For each target, its detection: at most one resolution cell away in range and velocity. Null when there is none.
std::vector<const Detection*> match(const Waveform& waveform, const std::vector<Target>& targets,
                                    const std::vector<Detection>& detections);

}  // namespace radar

#include "drivers/conv2d/result_readers.hpp"

namespace cosoc::conv2d {
namespace {

/// Sum of the phases that later calls need to read the result of this one. A result is in the pitch of its residual,
/// so what reads that counts too.
std::uint32_t phases_of_readers(const Config& config, std::span<const LayerCall> calls, std::size_t call,
                                std::int64_t row_pitch) {
  const Place& place = calls[call].out;
  std::uint32_t phases = 0;
  for (std::size_t later = call + 1; later <= last_use(calls, call); ++later) {
    const LayerCall& reader = calls[later];
    if (reader.layer.residual && reader.residual == place) phases += phases_of_readers(config, calls, later, row_pitch);
    if (reader.in != place || !validate(config, reader.layer)) continue;
    for (const Pass& each : passes_of(config, reader.layer)) {
      const Pass pass = with_whole_input(each);
      phases += read_phases(config, pass, row_pitch, pass.columns.out, pass.rows.out * pass.columns.out);
    }
  }
  return phases;
}

}  // namespace

std::size_t last_use(std::span<const LayerCall> calls, std::size_t call) {
  const Place& place = calls[call].out;
  std::size_t last = call;
  for (std::size_t later = call + 1; later < calls.size(); ++later) {
    const bool residual = calls[later].layer.residual && calls[later].residual == place;
    if (calls[later].in == place || residual) last = later;
    if (calls[later].out == place) break;
  }
  return last;
}

std::int64_t row_pitch_of_result(const Config& config, std::span<const LayerCall> calls, std::size_t call,
                                 const TensorShape& shape) {
  std::int64_t best = shape.columns;
  std::uint32_t least = phases_of_readers(config, calls, call, best);
  for (std::int64_t pitch = best + 1; least > 0 && pitch < shape.columns + banks(config); ++pitch) {
    const std::uint32_t phases = phases_of_readers(config, calls, call, pitch);
    if (phases >= least) continue;
    best = pitch;
    least = phases;
  }
  return best;
}

}  // namespace cosoc::conv2d

#include "drivers/conv2d/model.hpp"

#include <cmath>

#include "device/cycles.hpp"
#include "drivers/conv2d/schedule.hpp"

namespace cosoc::conv2d {

Execution Conv2DModel::execute(const CommandWords& words, CommandMemory& memory) {
  const ErrorCode error = machine_.run(Command::decode(words), memory);
  const std::span<const std::uint32_t> executed = machine_.executed();
  const double scheduled = schedule(machine_.config(), executed, static_cast<double>(memory.latency())).cycles;
  const std::uint64_t cycles = executed.empty() ? refused_cycles : static_cast<std::uint64_t>(std::ceil(scheduled));
  // A transfer's error goes before that of an instruction, which may follow from it.
  return {memory.error() == ErrorCode::none ? error : memory.error(), cycles, cycles};
}

}  // namespace cosoc::conv2d

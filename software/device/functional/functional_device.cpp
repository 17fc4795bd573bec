#include "device/functional/functional_device.hpp"

#include <algorithm>
#include <cstring>

#include "device/cycles.hpp"

namespace cosoc {
namespace {

constexpr std::uint32_t max_ring_log2 = 10;
constexpr std::uint32_t default_burst_beats = 16;

}  // namespace

FunctionalDevice::FunctionalDevice(IdentifiedModel model, const DeviceMemory& memory, const SoCDescription& soc)
    : identity_(model.identity), model_(std::move(model.model)), memory_(memory), soc_(soc) {
  reset();
}

void FunctionalDevice::reset() {
  registers_.fill(0);
  at(page::id) = id_prefix | identity_.kind;
  at(page::version) = page_version;
  at(page::layout_hash) = identity_.layout_hash;
  at(page::config_hash) = identity_.config_hash;
  for (std::uint32_t i = 0; i < identity_.capabilities.size(); ++i) {
    at(page::capability0 + 4 * i) = identity_.capabilities[i];
  }
  at(page::burst_beats) = default_burst_beats;
  at(page::window_limit_lo) = UINT32_MAX;
  at(page::window_limit_hi) = UINT32_MAX;
  submitted_ = 0;
  fetched_ = 0;
  in_flight_.clear();
}

std::uint32_t FunctionalDevice::read32(std::uint32_t offset) {
  if (offset % 4 != 0 || offset / 4 >= registers_.size()) return 0;
  if (offset == page::status) return in_flight_.empty() ? 0 : page::status_busy;
  return get(offset);
}

void FunctionalDevice::write32(std::uint32_t offset, std::uint32_t value) {
  switch (offset) {
    case page::control:
      write_control(value);
      break;
    case page::interrupt_status:
      at(offset) &= ~value;
      break;
    case page::ring_tail:
      at(offset) = value;
      accept_doorbell();
      break;
    case page::ring_log2:
    case page::ring_base_lo:
    case page::ring_base_hi:
    case page::burst_beats:
    case page::window_base_lo:
    case page::window_base_hi:
    case page::window_limit_lo:
    case page::window_limit_hi:
      at(offset) = value;
      break;
    default:
      break;  // read-only, or nothing there
  }
}

void FunctionalDevice::write_control(std::uint32_t value) {
  if ((value & page::control_reset) != 0) {
    // No transfer is ever under way between two register accesses, so a soft reset is done at once.
    reset();
    return;
  }
  at(page::control) = value & (page::control_run | page::control_interrupt_enable);
  execute_submitted();
}

void FunctionalDevice::accept_doorbell() {
  const std::uint32_t announced = get(page::ring_tail) - get(page::ring_head);
  const std::uint32_t known = submitted_ - get(page::ring_head);
  const std::uint32_t log2 = get(page::ring_log2);
  if (log2 > max_ring_log2 || announced > 1U << log2 || announced < known) {
    report(static_cast<std::uint32_t>(ErrorCode::bad_parameter));
    return;
  }
  submitted_ = get(page::ring_tail);
  execute_submitted();
}

void FunctionalDevice::execute_submitted() {
  if ((get(page::control) & page::control_run) == 0) return;
  const std::uint32_t slots = 1U << std::min(get(page::ring_log2), max_ring_log2);
  const std::uint64_t base = get64(page::ring_base_lo) / slot_bytes * slot_bytes;
  for (; fetched_ != submitted_; ++fetched_) {
    in_flight_.push_back(execute(base + static_cast<std::uint64_t>(fetched_ % slots) * slot_bytes));
  }
}

FunctionalDevice::InFlight FunctionalDevice::execute(std::uint64_t slot) {
  const bool alone = in_flight_.empty();
  const Time begin = alone ? now_ : in_flight_.back().end;
  InFlight result{};
  result.slot = slot;
  const auto bytes = memory_.at(slot, slot_bytes);
  if (!bytes) {
    result.error = static_cast<std::uint32_t>(ErrorCode::read_response);
    result.cycles = refused_cycles;
    result.end = begin + soc_.cycles_to_time(result.cycles);
    return result;
  }
  CommandWords words;
  std::memcpy(words.data(), bytes->data(), sizeof(words));
  // The header is the same in every command.
  result.tag = static_cast<std::uint16_t>(words[0] >> 8);
  result.interrupt = (words[0] >> 24 & 1) != 0;
  CommandMemory memory(memory_, get64(page::window_base_lo), get64(page::window_limit_lo),
                       soc_.memory_latency_cycles());
  const Execution execution = model_->execute(words, memory);
  const ErrorCode error = execution.error != ErrorCode::none ? execution.error : memory.error();
  result.error = static_cast<std::uint32_t>(error);
  result.cycles = alone ? execution.cycles : execution.queued_cycles;
  result.end = begin + soc_.cycles_to_time(result.cycles);
  result.beats_read = memory.beats_read();
  result.beats_written = memory.beats_written();
  return result;
}

std::optional<Time> FunctionalDevice::next_event() const {
  if (in_flight_.empty()) return std::nullopt;
  return in_flight_.front().end;
}

void FunctionalDevice::advance_to(Time now) {
  while (!in_flight_.empty() && in_flight_.front().end <= now) {
    complete(in_flight_.front());
    in_flight_.pop_front();
  }
  now_ = std::max(now_, now);
}

void FunctionalDevice::complete(const InFlight& command) {
  CompletionRecord record;
  record.error = static_cast<std::uint8_t>(command.error);
  record.tag = command.tag;
  record.done = 1;
  record.cycles = command.cycles;
  const auto words = record.encode();
  const auto target = memory_.at(command.slot + slot_bytes - sizeof(words), sizeof(words));
  if (target) std::memcpy(target->data(), words.data(), sizeof(words));

  if (command.interrupt) at(page::interrupt_status) |= page::interrupt_status_completion;
  if (command.error != 0) report(command.error);
  if (!target) report(static_cast<std::uint32_t>(ErrorCode::write_response));
  ++at(page::ring_head);
  add64(page::cycles_busy_lo, command.cycles);
  add64(page::beats_read_lo, command.beats_read);
  add64(page::beats_written_lo, command.beats_written);
}

void FunctionalDevice::report(std::uint32_t error) {
  at(page::interrupt_status) |= page::interrupt_status_error;
  at(page::error_code) = error;
}

bool FunctionalDevice::interrupt() const {
  return (get(page::control) & page::control_interrupt_enable) != 0 && get(page::interrupt_status) != 0;
}

std::uint64_t FunctionalDevice::get64(std::uint32_t offset) const {
  return get(offset) | static_cast<std::uint64_t>(get(offset + 4)) << 32;
}

void FunctionalDevice::add64(std::uint32_t offset, std::uint64_t increment) {
  const std::uint64_t sum = get64(offset) + increment;
  at(offset) = static_cast<std::uint32_t>(sum);
  at(offset + 4) = static_cast<std::uint32_t>(sum >> 32);
}

}  // namespace cosoc

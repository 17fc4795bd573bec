#include "drivers/driver.hpp"

#include <cstdio>
#include <cstring>
#include <string>

#include "drivers/accelerator_kind.hpp"

namespace cosoc {
namespace {

constexpr std::uint32_t kind_mask = 0xFF;
constexpr std::uint32_t command_tag_lsb = 8;
constexpr std::uint32_t command_interrupt = 1U << 24;
constexpr std::size_t completion_offset = 4 * command_words;
/// Far more register reads than a soft reset can take: it waits for the bursts in flight only.
constexpr int max_reset_reads = 10000;

std::string hexadecimal(std::uint32_t value) {
  std::array<char, 11> text{};
  std::snprintf(text.data(), text.size(), "0x%08x", value);
  return text.data();
}

void write_pair(Device& device, std::uint32_t offset, std::uint64_t value) {
  device.write32(offset, static_cast<std::uint32_t>(value));
  device.write32(offset + 4, static_cast<std::uint32_t>(value >> 32));
}

}  // namespace

Driver::~Driver() {
  // A ring that the accelerator might still write into is never given to anyone else.
  if (ring_.data == nullptr || !reset()) return;
  device_.write32(page::control, 0);
  memory_.release(ring_);
}

Status Driver::check_identity() const {
  const std::uint32_t id = device_.read32(page::id);
  if ((id & ~kind_mask) != id_prefix) {
    return failure(title_ + ": expected ID " + hexadecimal(id_prefix | kind_) + ", found " + hexadecimal(id) +
                   ": no accelerator of cosoc answers at this address; load the bitstream of this soc.json");
  }
  if ((id & kind_mask) != kind_) {
    return failure(title_ + ": expected an accelerator of kind " + std::to_string(kind_) + ", found kind " +
                   std::to_string(id & kind_mask) + "; load the bitstream of this soc.json");
  }
  const std::uint32_t version = device_.read32(page::version);
  if (version >> 16 != page_version >> 16) {
    return failure(title_ + ": expected version " + std::to_string(page_version >> 16) +
                   " of the register page, found " + std::to_string(version >> 16) +
                   "; rebuild hardware and software together with scons");
  }
  const std::uint32_t found = device_.read32(page::layout_hash);
  if (found != layout_hash_) {
    return failure(title_ + ": software built for another register layout: expected " + hexadecimal(layout_hash_) +
                   ", found " + hexadecimal(found) + " in the hardware; rebuild both together with scons");
  }
  return check_configuration();
}

Status Driver::check_configuration() const {
  const std::uint32_t config = device_.read32(page::config_hash);
  if (config == config_hash_) return {};
  return failure(title_ + ": it was opened with the parameters " + hexadecimal(config_hash_) + ", found " +
                 hexadecimal(config) + ": another bitstream was loaded; open a new session");
}

Status Driver::open(std::string_view title, std::uint32_t kind, std::uint32_t layout_hash) {
  title_ = title;
  kind_ = kind;
  layout_hash_ = layout_hash;
  config_hash_ = device_.read32(page::config_hash);
  if (auto status = check_identity(); !status) return status;
  // One slot more than needed: blocks begin at multiples of 64 bytes, the ring at a multiple of a slot.
  auto ring = memory_.allocate((ring_slots + 1) * slot_bytes);
  if (!ring) return tl::unexpected(ring.error());
  ring_ = *ring;
  return reset();
}

void Driver::set_up_ring() {
  write_pair(device_, page::ring_base_lo, ring_.physical + ring_offset());
  device_.write32(page::ring_log2, ring_log2);
  arena_ = nullptr;
  set_window();
  device_.write32(page::control, page::control_run | page::control_interrupt_enable);
}

/// Only between calls: the accelerator has no transfer of the core under way then.
void Driver::set_window() {
  const std::uint64_t base = arena_ == nullptr ? memory_.physical() : arena_->window_base;
  const std::uint64_t limit = arena_ == nullptr ? base + memory_.region().size() - 1 : arena_->window_limit;
  write_pair(device_, page::window_base_lo, base);
  write_pair(device_, page::window_limit_lo, limit);
}

void Driver::forget(const Arena& arena) {
  release_kept(arena.kept);
  if (arena_ != &arena) return;
  // Another arena may come to lie at the same address.
  arena_ = nullptr;
  set_window();
}

Status Driver::start(const Kernel& kernel, std::span<const TensorView> inputs, std::span<const TensorView> outputs,
                     const Arena* arena) {
  if (running_) return failure(title_ + ": a call is running; wait for it before the next one starts");
  if (failed_) return failure(title_ + ": the last call failed; reset the accelerator before the next one starts");
  std::vector<TensorType> input_types;
  std::vector<TensorType> output_types;
  for (const TensorView& view : inputs) input_types.push_back(*view.type);
  for (const TensorView& view : outputs) output_types.push_back(*view.type);
  if (auto status = supports(kernel, input_types, output_types); !status) return status;
  if (arena != arena_) {
    arena_ = arena;
    set_window();
  }
  auto list = commands(kernel, inputs, outputs);
  if (!list) return tl::unexpected(list.error());

  for (const TensorView& view : inputs) memory_.sync_for_device(view.block);
  outputs_.clear();
  for (const TensorView& view : outputs) {
    // A dirty cache line of an output could otherwise be written over the accelerator's result.
    memory_.sync_for_device(view.block);
    outputs_.push_back(view.block);
  }
  submit(*list);
  return {};
}

void Driver::submit(std::span<const CommandWords> commands) {
  pending_.assign(commands.begin(), commands.end());
  counters_ = {};
  // Commands overlap in the hardware, so the sum of their own cycles would be more than the call's.
  busy_before_ = device_.read32(page::cycles_busy_lo);
  running_ = true;
  submit_pending();
}

void Driver::submit_pending() {
  if (pending_.empty() || tail_ - head_ >= ring_slots) return;
  const bool more_follow = pending_.size() > ring_slots - (tail_ - head_);
  while (!pending_.empty() && tail_ - head_ < ring_slots) {
    CommandWords words = pending_.front();
    pending_.pop_front();
    // The last command tells the end; before that, each half of the ring tells that there is room while the other runs.
    const bool half = tail_ % (ring_slots / 2) == ring_slots / 2 - 1;
    const bool interrupt = pending_.empty() || (more_follow && half);
    words[0] |= (tail_ & 0xFFFF) << command_tag_lsb | (interrupt ? command_interrupt : 0);
    std::byte* target = slot(tail_);
    std::memcpy(target, words.data(), sizeof(words));
    std::memset(target + completion_offset, 0, slot_bytes - completion_offset);
    ++tail_;
  }
  memory_.sync_for_device(ring_);
  device_.write32(page::ring_tail, tail_);
}

Status Driver::collect_completions() {
  memory_.sync_for_cpu(ring_);
  while (head_ != tail_) {
    std::array<std::uint32_t, 4> words{};
    std::memcpy(words.data(), slot(head_) + completion_offset, sizeof(words));
    const auto record = CompletionRecord::decode(words);
    if (record.done == 0) return {};
    if (record.error != 0) {
      return failure(title_ + ": command " + std::to_string(counters_.commands) + " of the call failed with error " +
                     std::to_string(record.error) + ": " + std::string(describe(record.error)));
    }
    if (record.tag != (head_ & 0xFFFF)) {
      return failure(title_ + ": expected the completion of command " + std::to_string(head_ & 0xFFFF) +
                     ", found that of " + std::to_string(record.tag) + "; reset the accelerator");
    }
    ++head_;
    ++counters_.commands;
  }
  return {};
}

Result<bool> Driver::service() {
  // Acknowledged before the completions are read: one that comes in between raises the interrupt again.
  device_.write32(page::interrupt_status, device_.read32(page::interrupt_status));
  if (!running_) return true;
  if (auto status = collect_completions(); !status) {
    running_ = false;
    failed_ = true;
    return tl::unexpected(status.error());
  }
  submit_pending();
  if (head_ != tail_) return false;
  running_ = false;
  // What another bitstream computed is no result.
  if (auto status = check_configuration(); !status) {
    failed_ = true;
    return tl::unexpected(status.error());
  }
  counters_.cycles = device_.read32(page::cycles_busy_lo) - busy_before_;
  if (counts_traffic_) read_traffic();
  for (const Block& block : outputs_) memory_.sync_for_cpu(block);
  return true;
}

/// They stand still between calls, so one reading serves as the end of one call and the start of the next.
void Driver::read_traffic() {
  constexpr std::array offsets = {page::cycles_starved_lo, page::cycles_blocked_lo, page::beats_read_lo,
                                  page::beats_written_lo};
  const std::array counters = {&counters_.starved, &counters_.blocked, &counters_.beats_read, &counters_.beats_written};
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const std::uint32_t before = traffic_[i];
    traffic_[i] = device_.read32(offsets[i]);
    *counters[i] = traffic_[i] - before;
  }
}

Status Driver::reset() {
  device_.write32(page::control, page::control_reset);
  for (int reads = 0; (device_.read32(page::control) & page::control_reset) != 0; ++reads) {
    if (reads == max_reset_reads) {
      return failure(title_ + ": still in reset after " + std::to_string(max_reset_reads) +
                     " reads of its control register: a transfer on the bus does not end; reload the bitstream");
    }
  }
  pending_.clear();
  head_ = 0;
  tail_ = 0;
  running_ = false;
  failed_ = false;
  traffic_.fill(0);
  if (auto status = check_identity(); !status) return status;
  set_up_ring();
  return {};
}

Result<std::unique_ptr<Driver>> make_driver(std::string_view kind, Device& device, DeviceMemory& memory) {
  const auto found = find_accelerator_kind(kind);
  if (!found) return tl::unexpected(found.error());
  return (*found)->open_driver(device, memory);
}

}  // namespace cosoc

#include "device/functional/functional_model.hpp"

namespace cosoc {
namespace {

constexpr std::uint64_t beat_bytes = 16;

}  // namespace

std::span<std::byte> CommandMemory::transfer(std::uint64_t address, std::uint64_t size, ErrorCode bus_error) {
  ErrorCode error = ErrorCode::none;
  if (size == 0 || address < base_ || address > limit_ || size - 1 > limit_ - address)
    error = ErrorCode::outside_window;
  if (error == ErrorCode::none) {
    if (const auto bytes = memory_.at(address, size)) return *bytes;
    error = bus_error;
  }
  if (error_ == ErrorCode::none) error_ = error;
  return {};
}

std::span<const std::byte> CommandMemory::read(std::uint64_t address, std::uint64_t size) {
  const auto bytes = transfer(address, size, ErrorCode::read_response);
  beats_read_ += (bytes.size() + beat_bytes - 1) / beat_bytes;
  return bytes;
}

std::span<std::byte> CommandMemory::write(std::uint64_t address, std::uint64_t size) {
  const auto bytes = transfer(address, size, ErrorCode::write_response);
  beats_written_ += (bytes.size() + beat_bytes - 1) / beat_bytes;
  return bytes;
}

}  // namespace cosoc

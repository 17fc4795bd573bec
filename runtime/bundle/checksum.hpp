/// CRC-32 as zlib computes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cosoc {

/// Polynomial 0xEDB88320 (reflected), initial value and final inversion all ones.
std::uint32_t crc32(std::span<const std::byte> bytes);

}  // namespace cosoc

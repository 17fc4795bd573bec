#include "device/functional/functional_model.hpp"

#include <algorithm>

#include "device/functional/conv2d_model.hpp"
#include "device/functional/fft_model.hpp"
#include "device/functional/zip_model.hpp"

namespace cosoc {
namespace {

constexpr std::uint64_t beat_bytes = 16;

/// `Config` is that of a generated header, `Model` is made from it.
template <class Config, class Model>
Result<IdentifiedModel> make_model(const AcceleratorDescription& description, std::uint32_t kind,
                                   std::uint32_t layout_hash) {
  std::array<std::uint32_t, Config::names.size()> values{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto found = description.config.find(std::string(Config::names[i]));
    if (found == description.config.end()) {
      return failure("accelerator '" + description.name + "' has no parameter '" + std::string(Config::names[i]) + "'");
    }
    values[i] = found->second;
  }
  IdentifiedModel result{.identity = {.kind = kind,
                                      .layout_hash = layout_hash,
                                      .config_hash = description.config_hash,
                                      .capabilities = {}},
                         .model = std::make_unique<Model>(Config::from(values))};
  std::copy(values.begin(), values.end(), result.identity.capabilities.begin());
  return result;
}

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

Result<IdentifiedModel> make_functional_model(const AcceleratorDescription& description) {
  if (description.kind == conv2d::name) {
    return make_model<conv2d::Config, Conv2DModel>(description, conv2d::kind, conv2d::layout_hash);
  }
  if (description.kind == fft::name) return make_model<fft::Config, FFTModel>(description, fft::kind, fft::layout_hash);
  if (description.kind == zip::name) return make_model<zip::Config, ZIPModel>(description, zip::kind, zip::layout_hash);
  return failure("no functional model of accelerator '" + description.name + "' of kind '" + description.kind + "'");
}

}  // namespace cosoc

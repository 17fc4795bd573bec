/// The kinds of accelerators that this software was compiled for.
///
/// The table is generated from gateware/accelerators.py. Each kind has a folder drivers/<module>/ with a driver in
/// driver.hpp, made by its static function `open`, and a functional model in model.hpp, made from its `Config`.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "device/functional/functional_model.hpp"
#include "drivers/driver.hpp"

namespace cosoc {

/// What software knows of one kind.
struct AcceleratorKind {
  std::string_view name;                         // in build options and soc.json: c2d
  std::uint32_t id;                              // bits 7..0 of the ID register
  std::uint32_t layout_hash;                     // of the registers and commands that the driver is compiled for
  std::span<const std::string_view> parameters;  // in the order of the capability registers
  Result<std::unique_ptr<Driver>> (*open_driver)(Device& device, DeviceMemory& memory);
  /// From the values of all parameters.
  std::unique_ptr<FunctionalModel> (*make_model)(std::span<const std::uint32_t> values);
};

/// The entry of an accelerator with these classes; the values are those of its generated header.
template <class Config, class OwnDriver, class OwnModel>
constexpr AcceleratorKind accelerator_kind(std::string_view name, std::uint32_t id, std::uint32_t layout_hash) {
  return {.name = name,
          .id = id,
          .layout_hash = layout_hash,
          .parameters = Config::names,
          .open_driver = OwnDriver::open,
          .make_model = [](std::span<const std::uint32_t> values) -> std::unique_ptr<FunctionalModel> {
            return std::make_unique<OwnModel>(Config::from(values.first<Config::names.size()>()));
          }};
}

/// The kind with this name, or an error that lists all.
Result<const AcceleratorKind*> find_accelerator_kind(std::string_view name);

}  // namespace cosoc

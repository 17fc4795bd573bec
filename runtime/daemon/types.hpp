/// Calls and SoCs as JSON of messages.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "device/platform.hpp"
#include "kernels/kernel.hpp"

namespace cosoc::daemon {

nlohmann::json to_json(const TensorType& type);
nlohmann::json to_json(const SoCDescription& soc);

/// A kernel with the types of its operands, checked.
struct CheckedCall {
  std::shared_ptr<const Kernel> kernel;
  std::vector<TensorType> inputs;
  std::vector<TensorType> outputs;
};

/// Reads `operation`, `attributes`, `inputs` and `outputs` of a message from anybody. Every tensor has at most
/// `max_bytes`.
Result<CheckedCall> read_call(const nlohmann::json& message, std::uint64_t max_bytes);
/// Reads what `to_json` wrote.
Result<SoCDescription> read_soc(const nlohmann::json& object);

/// An answer that tells an error.
nlohmann::json error_message(const std::string& text);

/// A member with this type; otherwise nothing.
const std::string* find_text(const nlohmann::json& object, const char* key);
std::optional<std::uint64_t> find_number(const nlohmann::json& object, const char* key);

}  // namespace cosoc::daemon

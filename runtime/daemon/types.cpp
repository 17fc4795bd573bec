#include "daemon/types.hpp"

#include <cmath>

#include "daemon/shared_page.hpp"

namespace cosoc::daemon {
namespace {

constexpr std::size_t max_rank = 8;
constexpr std::int64_t max_axis = std::int64_t{1} << 30;

Result<TensorType> read_type(const nlohmann::json& object, std::uint64_t max_bytes) {
  const std::string* dtype = object.is_object() ? find_text(object, "dtype") : nullptr;
  if (dtype == nullptr) return failure("a tensor needs a dtype");
  const auto parsed = dtype_of(*dtype);
  if (!parsed) return tl::make_unexpected(parsed.error());
  TensorType type{.dtype = *parsed, .shape = {}};
  const auto shape = object.find("shape");
  if (shape == object.end() || !shape->is_array() || shape->size() > max_rank) {
    return failure("a tensor needs a shape of at most " + std::to_string(max_rank) + " axes");
  }
  for (const auto& axis : *shape) {
    const bool number = axis.is_number_unsigned() || (axis.is_number_integer() && axis.get<std::int64_t>() > 0);
    if (!number || axis.get<std::uint64_t>() == 0 || axis.get<std::uint64_t>() > static_cast<std::uint64_t>(max_axis)) {
      return failure("an axis of a tensor is a number of 1.." + std::to_string(max_axis) + ", not " + axis.dump());
    }
    type.shape.push_back(axis.get<std::int64_t>());
  }
  const auto scale = object.find("scale");
  if (scale != object.end()) {
    if (!scale->is_number()) return failure("the scale of a tensor is a number");
    type.scale = scale->get<float>();
  }
  if (!std::isfinite(type.scale) || type.scale <= 0.0F) return failure("the scale of a tensor is above 0");
  const auto zero_point = object.find("zero_point");
  if (zero_point != object.end()) {
    const auto [low, high] = value_range(type.dtype);
    if (!zero_point->is_number_integer() || zero_point->get<std::int64_t>() < low ||
        zero_point->get<std::int64_t>() > high) {
      return failure("the zero point of a tensor is of its type");
    }
    type.zero_point = zero_point->get<std::int32_t>();
  }
  if (type.bytes() > max_bytes) {
    return failure("tensor " + type.describe() + " has more than the application's " + std::to_string(max_bytes) +
                   " bytes of memory");
  }
  return type;
}

Status read_types(const nlohmann::json& message, const char* key, std::uint64_t max_bytes,
                  std::vector<TensorType>& types) {
  const auto list = message.find(key);
  if (list == message.end() || !list->is_array() || list->size() > max_operands) {
    return failure(std::string("a call needs a list '") + key + "' of at most " + std::to_string(max_operands));
  }
  for (const auto& object : *list) {
    auto type = read_type(object, max_bytes);
    if (!type) return tl::make_unexpected(type.error());
    types.push_back(std::move(*type));
  }
  return {};
}

}  // namespace

const std::string* find_text(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

std::optional<std::uint64_t> find_number(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

nlohmann::json error_message(const std::string& text) { return {{"error", text}}; }

nlohmann::json to_json(const TensorType& type) {
  return {
      {"dtype", name_of(type.dtype)}, {"shape", type.shape}, {"scale", type.scale}, {"zero_point", type.zero_point}};
}

nlohmann::json to_json(const SoCDescription& soc) {
  nlohmann::json accelerators = nlohmann::json::array();
  for (const AcceleratorDescription& accelerator : soc.accelerators) {
    accelerators.push_back({{"name", accelerator.name},
                            {"kind", accelerator.kind},
                            {"memory_ports", accelerator.memory_ports},
                            {"config_hash", accelerator.config_hash},
                            {"config", accelerator.config}});
  }
  return {{"board", soc.board},
          {"clock_hz", soc.clock_hz},
          {"cpu_cores", soc.cpu_cores},
          {"latency_ns", soc.memory_latency.count()},
          {"accelerators", accelerators}};
}

Result<SoCDescription> read_soc(const nlohmann::json& object) {
  // A daemon of another version is refused before this; a wrong type all the same must not end the process.
  try {
    SoCDescription soc;
    object.at("board").get_to(soc.board);
    object.at("clock_hz").get_to(soc.clock_hz);
    object.at("cpu_cores").get_to(soc.cpu_cores);
    soc.memory_latency = Time(object.at("latency_ns").get<std::int64_t>());
    for (const auto& item : object.at("accelerators")) {
      AcceleratorDescription accelerator;
      item.at("name").get_to(accelerator.name);
      item.at("kind").get_to(accelerator.kind);
      item.at("memory_ports").get_to(accelerator.memory_ports);
      item.at("config_hash").get_to(accelerator.config_hash);
      item.at("config").get_to(accelerator.config);
      soc.accelerators.push_back(std::move(accelerator));
    }
    return soc;
  } catch (const nlohmann::json::exception& error) {
    return failure(std::string("the daemon describes its SoC in a form that this library does not know (") +
                   error.what() + "); use both of one version");
  }
}

Result<CheckedCall> read_call(const nlohmann::json& message, std::uint64_t max_bytes) {
  const std::string* operation = find_text(message, "operation");
  const auto attributes = message.find("attributes");
  if (operation == nullptr || attributes == message.end()) return failure("a call needs 'operation' and 'attributes'");
  CheckedCall call;
  auto kernel = make_kernel(*operation, *attributes);
  if (!kernel) return tl::make_unexpected(kernel.error());
  call.kernel = std::move(*kernel);
  if (auto good = read_types(message, "inputs", max_bytes, call.inputs); !good)
    return tl::make_unexpected(good.error());
  if (auto good = read_types(message, "outputs", max_bytes, call.outputs); !good) {
    return tl::make_unexpected(good.error());
  }
  if (call.inputs.size() + call.outputs.size() > max_operands) {
    return failure("a call has at most " + std::to_string(max_operands) + " operands");
  }
  if (call.inputs.empty() || call.outputs.empty()) return failure("a call has inputs and outputs");
  if (auto good = call.kernel->check(call.inputs, call.outputs); !good) return tl::make_unexpected(good.error());
  return call;
}

}  // namespace cosoc::daemon

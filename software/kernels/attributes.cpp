#include "kernels/attributes.hpp"

#include <cmath>

namespace cosoc {
namespace {

bool is_integer_in(const nlohmann::json& value, std::int64_t low, std::int64_t high) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) return false;
  const auto number = value.get<std::int64_t>();
  return low <= number && number <= high;
}

bool is_finite_float(const nlohmann::json& value) {
  return value.is_number() && std::isfinite(static_cast<float>(value.get<double>()));
}

std::string range_text(std::int64_t low, std::int64_t high) {
  return std::to_string(low) + ".." + std::to_string(high);
}

}  // namespace

AttributeReader::AttributeReader(std::string_view operation, const nlohmann::json& attributes)
    : operation_(operation), attributes_(attributes) {
  if (!attributes_.is_object()) fail("attributes must be an object, not " + attributes_.dump());
}

void AttributeReader::fail(const std::string& message) {
  if (problem_.empty()) problem_ = operation_ + ": " + message;
}

const nlohmann::json* AttributeReader::find(const std::string& name) {
  known_.insert(name);
  if (!attributes_.is_object()) return nullptr;
  const auto found = attributes_.find(name);
  if (found != attributes_.end()) return &*found;
  fail("attribute '" + name + "' is missing");
  return nullptr;
}

std::int64_t AttributeReader::integer(const std::string& name, std::int64_t low, std::int64_t high) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return low;
  if (is_integer_in(*value, low, high)) return value->get<std::int64_t>();
  fail("attribute '" + name + "' must be an integer in " + range_text(low, high) + ", not " + value->dump());
  return low;
}

void AttributeReader::integers(const std::string& name, std::int64_t low, std::int64_t high,
                               std::span<std::int64_t> values) {
  const nlohmann::json* list = find(name);
  if (list == nullptr) return;
  bool good = list->is_array() && list->size() == values.size();
  for (std::size_t i = 0; good && i < values.size(); ++i) {
    good = is_integer_in((*list)[i], low, high);
    if (good) values[i] = (*list)[i].get<std::int64_t>();
  }
  if (!good) {
    fail("attribute '" + name + "' must be " + std::to_string(values.size()) + " integers in " + range_text(low, high) +
         ", not " + list->dump());
  }
}

std::vector<std::int64_t> AttributeReader::list(const std::string& name, std::int64_t low, std::int64_t high,
                                                std::size_t most) {
  const nlohmann::json* given = find(name);
  std::vector<std::int64_t> values;
  if (given == nullptr) return values;
  bool good = given->is_array() && given->size() <= most;
  for (std::size_t i = 0; good && i < given->size(); ++i) {
    good = is_integer_in((*given)[i], low, high);
    if (good) values.push_back((*given)[i].get<std::int64_t>());
  }
  if (!good) {
    fail("attribute '" + name + "' must be at most " + std::to_string(most) + " integers in " + range_text(low, high) +
         ", not " + given->dump());
  }
  return values;
}

std::vector<double> AttributeReader::numbers64(const std::string& name, std::size_t count) {
  const nlohmann::json* given = find(name);
  std::vector<double> values;
  if (given == nullptr) return values;
  bool good = given->is_array() && given->size() == count;
  for (std::size_t i = 0; good && i < count; ++i) {
    good = is_finite_float((*given)[i]);
    if (good) values.push_back((*given)[i].get<double>());
  }
  if (!good)
    fail("attribute '" + name + "' must be " + std::to_string(count) + " finite numbers, not " + given->dump());
  return values;
}

bool AttributeReader::flag(const std::string& name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return false;
  if (value->is_boolean()) return value->get<bool>();
  fail("attribute '" + name + "' must be true or false, not " + value->dump());
  return false;
}

void AttributeReader::numbers(const std::string& name, std::span<float> values) {
  const nlohmann::json* list = find(name);
  if (list == nullptr) return;
  bool good = list->is_array() && list->size() == values.size();
  for (std::size_t i = 0; good && i < values.size(); ++i) {
    good = is_finite_float((*list)[i]);
    if (good) values[i] = static_cast<float>((*list)[i].get<double>());
  }
  if (!good) {
    fail("attribute '" + name + "' must be " + std::to_string(values.size()) + " finite float32 numbers, not " +
         list->dump());
  }
}

float AttributeReader::number(const std::string& name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return 0.0F;
  if (is_finite_float(*value)) return static_cast<float>(value->get<double>());
  fail("attribute '" + name + "' must be a finite float32 number, not " + value->dump());
  return 0.0F;
}

std::size_t AttributeReader::choice(const std::string& name, std::span<const std::string_view> choices) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return 0;
  std::string list;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (value->is_string() && value->get_ref<const std::string&>() == choices[i]) return i;
    list += (i > 0 ? ", " : "") + std::string(choices[i]);
  }
  fail("attribute '" + name + "' must be one of " + list + ", not " + value->dump());
  return 0;
}

std::array<std::int16_t, 2> AttributeReader::clamp(const std::string& name) {
  const auto [low, high] = integers<2>(name, INT16_MIN, INT16_MAX);
  if (low > high) fail("attribute '" + name + "' has its minimum " + std::to_string(low) + " above its maximum");
  return {static_cast<std::int16_t>(low), static_cast<std::int16_t>(high)};
}

Status AttributeReader::finish() {
  if (problem_.empty()) {
    for (const auto& [name, value] : attributes_.items()) {
      if (known_.contains(name)) continue;
      std::string list;
      for (const std::string& known : known_) list += (list.empty() ? "" : ", ") + known;
      fail("unknown attribute '" + name + "'; " + (list.empty() ? "there are none" : "there are " + list));
    }
  }
  if (!problem_.empty()) return failure(problem_);
  return {};
}

}  // namespace cosoc

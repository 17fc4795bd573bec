/// Reading the attributes of an operation from a bundle, with messages that name what is wrong.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/result.hpp"

namespace cosoc {

/// Reads each attribute once; the first problem is kept for `finish`, and what is read after it is unspecified.
class AttributeReader {
 public:
  AttributeReader(std::string_view operation, const nlohmann::json& attributes);

  /// Whether there is an attribute of this name.
  bool has(const std::string& name) const { return attributes_.is_object() && attributes_.contains(name); }
  /// An integer in [low, high].
  std::int64_t integer(const std::string& name, std::int64_t low, std::int64_t high);
  /// `count` integers in [low, high].
  template <std::size_t count>
  std::array<std::int64_t, count> integers(const std::string& name, std::int64_t low, std::int64_t high) {
    std::array<std::int64_t, count> values{};
    integers(name, low, high, values);
    return values;
  }
  /// At most `most` integers in [low, high].
  std::vector<std::int64_t> list(const std::string& name, std::int64_t low, std::int64_t high, std::size_t most = 8);
  /// `count` finite numbers.
  std::vector<double> numbers64(const std::string& name, std::size_t count);
  /// true or false.
  bool flag(const std::string& name);
  /// `count` finite numbers, rounded to float32.
  template <std::size_t count>
  std::array<float, count> numbers(const std::string& name) {
    std::array<float, count> values{};
    numbers(name, values);
    return values;
  }
  /// A finite number, rounded to float32.
  float number(const std::string& name);
  /// The position of a string in `choices`.
  std::size_t choice(const std::string& name, std::span<const std::string_view> choices);
  /// The lowest and highest value of a quantized output.
  std::array<std::int16_t, 2> clamp(const std::string& name = "clamp");

  /// A condition on what was read.
  void require(bool condition, const std::string& message) {
    if (!condition) fail(message);
  }

  /// Fails when something was wrong, or when there are attributes that nobody read.
  Status finish();

 private:
  const nlohmann::json* find(const std::string& name);
  void integers(const std::string& name, std::int64_t low, std::int64_t high, std::span<std::int64_t> values);
  void numbers(const std::string& name, std::span<float> values);
  void fail(const std::string& message);

  std::string operation_;
  const nlohmann::json& attributes_;
  std::set<std::string> known_;
  std::string problem_;
};

}  // namespace cosoc

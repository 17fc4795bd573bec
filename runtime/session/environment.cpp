#include "session/environment.hpp"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "policies/policy.hpp"

namespace cosoc {
namespace {

/// Of a deadline, in s; later ones are none.
constexpr double longest = 1e9;

template <class Number>
Result<std::optional<Number>> read(const char* name, const char* expected) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::optional<Number>();
  const char* end = text + std::strlen(text);
  Number number{};
  const auto [stop, error] = std::from_chars(text, end, number);
  if (error == std::errc() && stop == end && number >= Number{}) return std::optional(number);
  return failure(std::string(name).append(" must be ").append(expected).append(", not \"").append(text).append("\""));
}

}  // namespace

Status read_environment(SessionOptions& options) {
  const auto seed = read<std::uint64_t>("COSOC_SEED", "a number of at least 0");
  if (!seed) return tl::make_unexpected(seed.error());
  const auto deadline = read<double>("COSOC_DEADLINE", "a number of seconds above 0");
  if (!deadline) return tl::make_unexpected(deadline.error());
  if (*seed && options.seed == SessionOptions().seed) options.seed = **seed;
  if (*deadline && !options.deadline) {
    options.deadline = **deadline < longest ? Time(static_cast<std::int64_t>(**deadline * 1e9)) : impossible;
  }
  return {};
}

}  // namespace cosoc

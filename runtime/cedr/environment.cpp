#include "cedr/environment.hpp"

#include <errno.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "session/environment.hpp"

namespace cosoc::cedr {
namespace {

const char* text_of(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? nullptr : text;
}

template <class Number>
Status read(const char* name, Number& number) {
  const char* text = text_of(name);
  if (text == nullptr) return {};
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  if (error == std::errc() && stop == end) return {};
  return failure(std::string(name).append(" must be a number, not \"").append(text).append("\""));
}

}  // namespace

Result<SessionOptions> options_of_environment() {
  SessionOptions options;
  if (const char* text = text_of("COSOC_MODE")) {
    const auto mode = mode_of(text);
    if (!mode) return failure("COSOC_MODE: " + mode.error().message);
    options.mode = *mode;
  }
  if (const char* text = text_of("COSOC_SOC")) options.soc = text;
  if (const char* text = text_of("COSOC_POLICY")) options.policy = text;
  if (const char* text = text_of("COSOC_TRACE")) options.trace = text;
  if (auto good = read_environment(options); !good) return tl::make_unexpected(good.error());
  std::uint32_t cores = 0;
  if (auto good = read("COSOC_CPU_CORES", cores); !good) return tl::make_unexpected(good.error());
  if (text_of("COSOC_CPU_CORES") != nullptr) options.cpu_cores = cores;
  return options;
}

std::string name_of_application() {
  const char* name = text_of("COSOC_NAME");
  return name == nullptr ? program_invocation_short_name : name;
}

}  // namespace cosoc::cedr

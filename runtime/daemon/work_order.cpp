#include "daemon/work_order.hpp"

#include <charconv>

namespace cosoc::daemon {
namespace {

void write(std::string& text, std::string_view field) {
  text += field;
  text += '\0';
}

std::string read_text(std::string_view& text) {
  const std::size_t end = text.find('\0');
  std::string field(text.substr(0, end));
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return field;
}

std::uint64_t read_number(std::string_view& text) {
  const std::string field = read_text(text);
  std::uint64_t number = 0;
  std::from_chars(field.data(), field.data() + field.size(), number);
  return number;
}

}  // namespace

std::string encode(const WorkOrder& work) {
  std::string text;
  write(text, std::to_string(work.kind));
  write(text, std::to_string(work.needs_session ? 1 : 0));
  write(text, std::to_string(work.host_memory));
  write(text, work.folder);
  write(text, std::to_string(work.environment.size()));
  for (const std::string& entry : work.environment) write(text, entry);
  for (const std::string& argument : work.arguments) write(text, argument);
  return text;
}

WorkOrder decode(std::string_view text) {
  WorkOrder work;
  work.kind = static_cast<WorkOrder::Kind>(read_number(text));
  work.needs_session = read_number(text) != 0;
  work.host_memory = read_number(text);
  work.folder = read_text(text);
  for (std::uint64_t left = read_number(text); left > 0 && !text.empty(); --left) {
    work.environment.push_back(read_text(text));
  }
  while (!text.empty()) work.arguments.push_back(read_text(text));
  return work;
}

}  // namespace cosoc::daemon

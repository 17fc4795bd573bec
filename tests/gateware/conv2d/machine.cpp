/// Executes Conv2D commands on the functional model, for tests of the RTL.
///
/// Input: 8 words of parameters, the number of commands, and whether to check their waits; 64-bit physical address and
/// size of memory, first and last address of the window; the commands, 28 words each; the bytes of memory. Output: a
/// word with the error code of each command, then the bytes of memory. All little endian.
#include <cstdint>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <vector>

#include "drivers/conv2d/model.hpp"
#include "drivers/conv2d/program_checker.hpp"

namespace {

using namespace cosoc;

template <class T>
std::vector<T> read(std::size_t count) {
  std::vector<T> values(count);
  const auto bytes = static_cast<std::streamsize>(count * sizeof(T));
  if (!std::cin.read(reinterpret_cast<char*>(values.data()), bytes)) throw std::runtime_error("the input is too short");
  return values;
}

template <class T>
void write(const std::vector<T>& values) {
  std::cout.write(reinterpret_cast<const char*>(values.data()),
                  static_cast<std::streamsize>(values.size() * sizeof(T)));
}

void run() {
  constexpr std::size_t parameters = conv2d::Config::names.size();
  const auto header = read<std::uint32_t>(parameters + 2);
  const auto addresses = read<std::uint64_t>(4);
  const auto commands = read<std::uint32_t>(header[parameters] * std::size_t{command_words});
  auto bytes = read<std::byte>(addresses[1]);
  const auto config = conv2d::Config::from(std::span(header).first<parameters>());
  const DeviceMemory memory(bytes, addresses[0]);
  conv2d::Conv2DModel model(config);
  conv2d::ProgramChecker checker(config);

  std::vector<std::uint32_t> errors;
  for (std::size_t i = 0; i < header[parameters]; ++i) {
    CommandWords words;
    std::memcpy(words.data(), commands.data() + i * command_words, sizeof(words));
    if (header[parameters + 1] != 0) {
      const auto command = conv2d::Command::decode(words);
      const auto place = memory.at(command.instruction_address,
                                   std::size_t{command.instruction_count} * conv2d::isa::instruction_bytes);
      if (!place) throw std::runtime_error(place.error().message);
      std::vector<std::uint32_t> program(place->size() / 4);
      std::memcpy(program.data(), place->data(), place->size());
      const auto checked = checker.check(command, program);
      if (!checked) throw std::runtime_error("command " + std::to_string(i) + ": " + checked.error().message);
    }
    CommandMemory window(memory, addresses[2], addresses[3]);
    errors.push_back(static_cast<std::uint32_t>(model.execute(words, window).error));
  }
  write(errors);
  write(bytes);
}

}  // namespace

int main() {
  try {
    run();
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}

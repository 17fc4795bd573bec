/// Seeded mutations of the corpora of libFuzzer: a few seconds of what `scons fuzz` does for hours.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "fuzz/targets.hpp"

namespace test {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> corpus(const std::string& name) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator("tests/fuzz/corpus/" + name)) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<Bytes> inputs;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

/// Numbers that overflow, and pieces of syntax.
constexpr std::string_view words[] = {
    "-1", "0", "1", "9223372036854775807", "18446744073709551615", "1e999", "null", "[]", "{}", "\"", ",", ":", "true"};

Bytes mutate(const std::vector<Bytes>& inputs, std::mt19937& random) {
  Bytes bytes = inputs[random() % inputs.size()];
  const auto place = [&] { return bytes.empty() ? 0 : static_cast<std::ptrdiff_t>(random() % bytes.size()); };
  const unsigned changes = 1 + random() % 4;
  for (unsigned i = 0; i < changes; ++i) {
    const std::ptrdiff_t at = place();
    const auto length = std::min<std::ptrdiff_t>(std::ssize(bytes) - at, 1 + random() % 32);
    switch (random() % 5) {
      case 0:
        if (!bytes.empty()) bytes[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(random());
        break;
      case 1:
        bytes.erase(bytes.begin() + at, bytes.begin() + at + length);
        break;
      case 2: {
        const Bytes copy(bytes.begin() + at, bytes.begin() + at + length);
        bytes.insert(bytes.begin() + place(), copy.begin(), copy.end());
        break;
      }
      case 3: {
        // In place of a number, if there is one near.
        const std::string_view word = words[random() % std::size(words)];
        auto begin = std::find_if(bytes.begin() + at, bytes.end(), [](std::uint8_t c) { return c >= '0' && c <= '9'; });
        const auto end = std::find_if(begin, bytes.end(), [](std::uint8_t c) { return c < '0' || c > '9'; });
        begin = bytes.erase(begin, end);
        bytes.insert(begin, word.begin(), word.end());
        break;
      }
      default:
        bytes.resize(static_cast<std::size_t>(at));
        break;
    }
  }
  return bytes;
}

void run(const std::string& name, void (*target)(std::span<const std::uint8_t>), int count) {
  const auto inputs = corpus(name);
  REQUIRE_FALSE(inputs.empty());
  for (const Bytes& input : inputs) target(input);
  std::mt19937 random(1);
  for (int i = 0; i < count; ++i) target(mutate(inputs, random));
}

TEST_CASE("the daemon survives damaged messages and shared pages") { run("message", fuzz::message, 400); }
TEST_CASE("damaged bundles are refused or planned") { run("bundle", fuzz::bundle, 2000); }
TEST_CASE("damaged descriptions of a SoC are refused or opened") { run("soc", fuzz::soc, 1000); }

}  // namespace
}  // namespace test

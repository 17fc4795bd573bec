/// Where a test writes a trace.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace test {

/// A file that is gone after the test.
class TraceFile {
 public:
  TraceFile()
      : path(std::filesystem::temp_directory_path() / ("cosoc_trace_" + std::to_string(::getpid()) + ".json")) {}
  ~TraceFile() { std::filesystem::remove(path); }

  std::string text() const {
    std::ifstream stream(path);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  }
  /// Tasks by name.
  std::map<std::string, nlohmann::json> tasks() const {
    std::map<std::string, nlohmann::json> found;
    for (const nlohmann::json& event : nlohmann::json::parse(text())) {
      if (event["ph"] == "X" && event["cat"] != "policy") found.emplace(event["name"], event);
    }
    return found;
  }

  const std::filesystem::path path;
};

}  // namespace test

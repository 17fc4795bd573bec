/// Model bundles: the directory that the converter writes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "cosoc/graph.hpp"

namespace cosoc {

/// Version of `graph.json` that this library reads.
inline constexpr int bundle_schema = 1;

/// Reads a bundle (`graph.json`, `weights.safetensors`) and builds its graph. Whatever is wrong with the files gives an
/// error that names the file, the place in it, what was expected and what was found.
Result<Graph> load_bundle(const std::filesystem::path& directory);

struct WeightsFile;

/// The constants of a bundle, for programs that build its graph themselves (`model.cpp`). Copies share the file.
class Weights {
 public:
  /// Dense, row-major bytes of a constant; none when there is no such constant or it has another type, which
  /// `Graph::constant` reports.
  std::span<const std::byte> bytes(const std::string& name, const TensorType& type) const;

 private:
  friend Result<Weights> load_weights(const std::filesystem::path& directory);
  explicit Weights(std::shared_ptr<const WeightsFile> file) : file_(std::move(file)) {}
  std::shared_ptr<const WeightsFile> file_;
};

/// Reads the constants of a bundle, checked against the size and checksum in its `graph.json`.
Result<Weights> load_weights(const std::filesystem::path& directory);

}  // namespace cosoc

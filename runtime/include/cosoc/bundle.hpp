/// Model bundles: the directory that the converter writes.
#pragma once

#include <filesystem>

#include "cosoc/graph.hpp"

namespace cosoc {

/// Version of `graph.json` that this library reads.
inline constexpr int bundle_schema = 1;

/// Reads a bundle (`graph.json`, `weights.safetensors`) and builds its graph. Whatever is wrong with the files gives an
/// error that names the file, the place in it, what was expected and what was found.
Result<Graph> load_bundle(const std::filesystem::path& directory);

}  // namespace cosoc

/// Compiles calls, one after the other, into one program.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "drivers/conv2d/estimator.hpp"
#include "drivers/conv2d/residents.hpp"

namespace cosoc::conv2d {

/// How a pass will be executed.
struct Choice {
  Pass pass;
  Residency residency;
  bool stored = true;  // the result goes to memory
  Tiling tiling = {};
  ConstantLayout layout = {};
  double cycles = 0;
};

/// Compiles one call after the other into one program.
class Compilation {
 public:
  /// `width` is the number of tilings that are tried for each pass.
  Compilation(const Config& config, Estimator& estimator, std::span<const LayerCall> calls, Place constants,
              std::size_t width)
      : config_(config),
        estimator_(estimator),
        calls_(calls),
        constants_(constants),
        width_(width),
        engine_(config),
        residents_(config) {}

  Result<Program> run();

 private:
  Result<PackedConstants::Part> add_pass(std::size_t call, const Pass& pass, bool only);
  std::vector<Choice> options(const LayerCall& call, const Pass& pass);
  std::optional<Choice> choose(const LayerCall& call, const Pass& pass, const Places& places);
  bool plan(const LayerCall& call, const Places& places, const FeatureAllocator& features, Choice& choice) const;
  void keep_result(std::size_t call, const Places& places, Choice& choice);
  bool append(const LayerCall& call, const Places& places, const Choice& choice);

  const Config& config_;
  Estimator& estimator_;
  std::span<const LayerCall> calls_;
  Place constants_;
  std::size_t width_;
  Engine engine_;
  Residents residents_;
  Program program_;
};

}  // namespace cosoc::conv2d

/// The results that stay in the feature buffer while later calls of a program are compiled.
#pragma once

#include <vector>

#include "drivers/conv2d/compiler.hpp"

namespace cosoc::conv2d {

struct Resident {
  Place place;
  TensorShape shape;
  ResidentTensor tensor;
  std::size_t last_use = 0;  // number of the call
  bool stored = true;        // it is in memory as well
};

class Residents {
 public:
  explicit Residents(const Config& config) : config_(config) {}

  bool empty() const { return residents_.empty(); }
  void add(const Resident& resident) { residents_.push_back(resident); }
  const Resident* find(const Place& place, const TensorShape& shape) const;
  /// Cycles for tensors that are only in the feature buffer when a call reads them from memory.
  double cycles_to_store(const LayerCall& call, const Residency& residency) const;
  /// Stores the tensors that a call will read from memory.
  void store_what_is_read(const LayerCall& call, const Residency& residency, Engine& engine);
  /// Frees what no call after this one reads.
  void drop(std::size_t finished_call, Engine& engine);
  /// Makes room: the oldest one is only in memory from now on.
  void drop_oldest(Engine& engine);

 private:
  void store(Resident& resident, Engine& engine) const;

  const Config& config_;
  std::vector<Resident> residents_;
};

}  // namespace cosoc::conv2d

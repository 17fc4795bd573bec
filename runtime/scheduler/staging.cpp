#include "scheduler/staging.hpp"

#include <cstring>

namespace cosoc {

Status Staging::begin(const Task& task) {
  views_.assign(task.inputs.begin(), task.inputs.end());
  views_.insert(views_.end(), task.outputs.begin(), task.outputs.end());
  inputs_ = task.inputs.size();
  for (std::size_t i = 0; i < views_.size(); ++i) {
    TensorView& view = views_[i];
    if (!is_outside(view)) continue;
    const auto block = memory_.allocate(view.block.size);
    if (!block) return failure("no room for a copy of an operand: " + block.error().message);
    copies_.push_back({i, view.block});
    view.block = *block;
  }
  return {};
}

std::size_t Staging::copied_bytes() const {
  std::size_t bytes = 0;
  for (const Copy& copy : copies_) bytes += copy.outside.size;
  return bytes;
}

void Staging::copy_in() const {
  for (const Copy& copy : copies_) {
    if (copy.operand < inputs_) std::memcpy(views_[copy.operand].block.data, copy.outside.data, copy.outside.size);
  }
}

void Staging::copy_out() const {
  for (const Copy& copy : copies_) {
    if (copy.operand >= inputs_) std::memcpy(copy.outside.data, views_[copy.operand].block.data, copy.outside.size);
  }
}

void Staging::end() {
  for (const Copy& copy : copies_) memory_.release(views_[copy.operand].block);
  copies_.clear();
}

}  // namespace cosoc

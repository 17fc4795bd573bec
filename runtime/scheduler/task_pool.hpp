/// Memory of tasks that are submitted one by one.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "scheduler/task.hpp"

namespace cosoc {

/// Gives tasks out and takes them back, from any thread. It grows to the
/// greatest number of tasks that were on their way at the same time, and keeps
/// them until it ends, so a handle can always be looked at.
class TaskPool {
 public:
  /// A task that was reset, with an identifier of its own.
  Task& allocate();
  /// Takes tasks back, linked by `next` from `first` to `last`.
  void release(Task& first, Task& last);

 private:
  static constexpr std::size_t slab_tasks = 256;

  void grow();

  std::atomic<Task*> returned_ = nullptr;
  std::mutex mutex_;  // of everything below
  Task* free_ = nullptr;
  std::uint64_t last_id_ = 0;
  std::vector<std::unique_ptr<Task[]>> slabs_;
};

}  // namespace cosoc

#include "scheduler/task_pool.hpp"

namespace cosoc {

Task& TaskPool::allocate() {
  Task* task = nullptr;
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (free_ == nullptr) free_ = returned_.exchange(nullptr, std::memory_order_acquire);
    if (free_ == nullptr) grow();
    task = free_;
    free_ = task->next;
    id = ++last_id_;
  }
  task->reset();
  task->what = nullptr;
  task->completion = nullptr;
  task->planned_device = no_device;
  task->pooled = true;
  task->id.store(id, std::memory_order_relaxed);
  return *task;
}

void TaskPool::release(Task& first, Task& last) {
  last.next = returned_.load(std::memory_order_relaxed);
  while (!returned_.compare_exchange_weak(last.next, &first, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

void TaskPool::grow() {
  auto slab = std::make_unique<Task[]>(slab_tasks);
  for (std::size_t i = 0; i < slab_tasks; ++i) slab[i].next = i + 1 < slab_tasks ? &slab[i + 1] : nullptr;
  free_ = slab.get();
  slabs_.push_back(std::move(slab));
}

}  // namespace cosoc

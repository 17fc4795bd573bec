/// Tasks that a device will run, by priority and order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "scheduler/task.hpp"

namespace cosoc {

/// Highest priority first, then smallest order, then first in. Taking and
/// adding are O(1) as long as tasks come in that order, otherwise logarithmic.
class DeviceQueue {
 public:
  bool empty() const { return in_order_.empty() && heap_.empty(); }
  std::size_t size() const { return in_order_.size() + heap_.size(); }

  void push(Task& task) {
    const Entry entry{task.group->application().priority, task.order, count_++, &task};
    if (in_order_.empty() || !before(entry, in_order_.back())) {
      in_order_.push_back(entry);
    } else {
      heap_.push_back(entry);
      std::ranges::push_heap(heap_, after);
    }
  }

  Task& front() const { return *(heap_is_first() ? heap_.front() : in_order_.front()).task; }

  void pop() {
    if (heap_is_first()) {
      std::ranges::pop_heap(heap_, after);
      heap_.pop_back();
    } else {
      in_order_.pop_front();
    }
  }

 private:
  struct Entry {
    std::int32_t priority;
    Time order;
    std::uint64_t count;
    Task* task;
  };

  static bool before(const Entry& a, const Entry& b) {
    if (a.priority != b.priority) return a.priority > b.priority;
    return a.order != b.order ? a.order < b.order : a.count < b.count;
  }
  static bool after(const Entry& a, const Entry& b) { return before(b, a); }
  bool heap_is_first() const {
    return !heap_.empty() && (in_order_.empty() || before(heap_.front(), in_order_.front()));
  }

  std::deque<Entry> in_order_;
  std::vector<Entry> heap_;  // what came out of order
  std::uint64_t count_ = 0;
};

}  // namespace cosoc

/// Calls of clients that are checked and compiled, on a thread of their own: a large layer takes a while.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "daemon/accelerators.hpp"
#include "daemon/event_loop.hpp"

namespace cosoc::daemon {

class Preparations {
 public:
  using Prepared = Result<std::shared_ptr<const PreparedCall>>;
  using Done = std::function<void(const Prepared&)>;

  /// Both outlive it.
  Preparations(const Accelerators& accelerators, EventLoop& loop);
  /// What is being compiled ends first; what waits is dropped.
  ~Preparations();
  Preparations(const Preparations&) = delete;
  Preparations& operator=(const Preparations&) = delete;

  /// Reads the call of a message; every tensor has at most `max_bytes`. `done` runs in the loop.
  void add(nlohmann::json message, std::uint64_t max_bytes, Done done);

 private:
  struct Item {
    nlohmann::json message;
    std::uint64_t max_bytes;
    Done done;
  };

  void work();
  Prepared prepare(const Item& item) const;

  const Accelerators& accelerators_;
  EventLoop& loop_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<Item> items_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace cosoc::daemon

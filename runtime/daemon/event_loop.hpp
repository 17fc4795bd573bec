/// One thread that sleeps until a descriptor or a point in time calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "device/descriptor.hpp"
#include "device/result.hpp"

namespace cosoc::daemon {

using Clock = std::chrono::steady_clock;
using Instant = Clock::time_point;

class EventLoop {
 public:
  using Handler = std::function<void(std::uint32_t events)>;

  static Result<std::unique_ptr<EventLoop>> make();

  /// Calls the handler when the descriptor has EPOLLIN, or has ended. The descriptor stays the caller's until `remove`.
  Status add(int descriptor, Handler handler);
  void remove(int descriptor);
  /// Calls once at that time.
  void at(Instant time, std::function<void()> what);
  /// Runs `what` in the loop soon; from any thread.
  void post(std::function<void()> what);

  /// Until `stop`, which may be called from any thread.
  void run();
  void stop();

 private:
  EventLoop(Descriptor epoll, Descriptor bell) : epoll_(std::move(epoll)), bell_(std::move(bell)) {}
  int timeout() const;
  void run_posted();
  void run_timers();

  struct Entry {
    int descriptor;
    std::shared_ptr<Handler> handler;
  };

  Descriptor epoll_;
  Descriptor bell_;
  std::map<std::uint64_t, Entry> entries_;  // by a number that is never used again
  std::uint64_t last_ = 0;
  std::multimap<Instant, std::function<void()>> timers_;
  std::mutex mutex_;  // of what follows
  std::vector<std::function<void()>> posted_;
  bool stopping_ = false;
};

}  // namespace cosoc::daemon

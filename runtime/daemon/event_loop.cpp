#include "daemon/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace cosoc::daemon {

Result<std::unique_ptr<EventLoop>> EventLoop::make() {
  Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  Descriptor bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll || !bell) return failure(std::string("cannot wait for events: ") + std::strerror(errno));
  std::unique_ptr<EventLoop> loop(new EventLoop(std::move(epoll), std::move(bell)));
  EventLoop& self = *loop;
  auto added = self.add(self.bell_.get(), [&self](std::uint32_t) { self.run_posted(); });
  if (!added) return tl::make_unexpected(added.error());
  return loop;
}

Status EventLoop::add(int descriptor, Handler handler) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.u64 = ++last_;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) {
    return failure(std::string("cannot wait for a descriptor: ") + std::strerror(errno));
  }
  entries_.emplace(last_, Entry{descriptor, std::make_shared<Handler>(std::move(handler))});
  return {};
}

void EventLoop::remove(int descriptor) {
  const auto found =
      std::ranges::find_if(entries_, [descriptor](const auto& item) { return item.second.descriptor == descriptor; });
  if (found == entries_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
  entries_.erase(found);
}

void EventLoop::at(Instant time, std::function<void()> what) { timers_.emplace(time, std::move(what)); }

void EventLoop::post(std::function<void()> what) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(what));
  }
  const std::uint64_t one = 1;
  static_cast<void>(!::write(bell_.get(), &one, sizeof(one)));
}

void EventLoop::stop() {
  post([this] { stopping_ = true; });
}

void EventLoop::run_posted() {
  std::uint64_t count = 0;
  static_cast<void>(!::read(bell_.get(), &count, sizeof(count)));
  std::vector<std::function<void()>> posted;
  {
    const std::lock_guard lock(mutex_);
    posted.swap(posted_);
  }
  for (const auto& what : posted) what();
}

void EventLoop::run_timers() {
  const Instant now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto what = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    what();
  }
}

/// In ms, rounded up, so that a timer is never early; -1 without timers.
int EventLoop::timeout() const {
  if (timers_.empty()) return -1;
  const auto left = timers_.begin()->first - Clock::now();
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<std::int64_t>(milliseconds, 0, 1'000'000));
}

void EventLoop::run() {
  std::array<epoll_event, 64> events{};
  while (!stopping_) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout());
    for (int i = 0; i < count; ++i) {
      // The kernel packs them: a member is not aligned for a reference to it.
      const epoll_event event = events[static_cast<std::size_t>(i)];
      const std::uint64_t id = event.data.u64;
      // A handler before this one may have removed it.
      const auto found = entries_.find(id);
      if (found == entries_.end()) continue;
      const std::shared_ptr<Handler> handler = found->second.handler;
      (*handler)(event.events);
    }
    run_timers();
  }
}

}  // namespace cosoc::daemon

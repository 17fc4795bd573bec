#include "daemon/preparations.hpp"

namespace cosoc::daemon {

Preparations::Preparations(const Accelerators& accelerators, EventLoop& loop)
    : accelerators_(accelerators), loop_(loop), thread_([this] { work(); }) {}

Preparations::~Preparations() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Preparations::add(nlohmann::json message, std::uint64_t max_bytes, Done done) {
  {
    const std::lock_guard lock(mutex_);
    items_.push_back({std::move(message), max_bytes, std::move(done)});
  }
  changed_.notify_one();
}

void Preparations::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ending_ || !items_.empty(); });
    if (ending_) return;
    const Item item = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    loop_.post([done = item.done, prepared = prepare(item)] { done(prepared); });
  }
}

Preparations::Prepared Preparations::prepare(const Item& item) const {
  auto call = read_call(item.message, item.max_bytes);
  if (!call) return tl::make_unexpected(call.error());
  return accelerators_.prepare(std::move(*call));
}

}  // namespace cosoc::daemon

#include "cedr/completions.hpp"

#include <time.h>

#include <algorithm>

#include "cedr/library.hpp"

namespace cosoc::cedr {
namespace {

/// How long the thread waits for one mutex before it looks at the others.
constexpr long patience_ns = 1'000'000;

bool lock_soon(pthread_mutex_t* mutex) {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  time.tv_nsec += patience_ns;
  if (time.tv_nsec >= 1'000'000'000) {
    time.tv_nsec -= 1'000'000'000;
    ++time.tv_sec;
  }
  // Not by the monotonic clock: thread sanitizers do not know that function.
  return pthread_mutex_timedlock(mutex, &time) == 0;
}

/// With the barrier's mutex held, which it gives back.
void count_up(const cedr_barrier_t& barrier, std::uint32_t count) {
  // Not by signal: several threads may wait, each for a number of its own.
  if (barrier.cond != nullptr) pthread_cond_broadcast(barrier.cond);
  *barrier.completion_ctr += count;
  pthread_mutex_unlock(barrier.mutex);
}

/// Locks one of these mutexes, if any is free soon; which one.
template <class Entry>
std::optional<std::size_t> lock_any(const std::vector<Entry>& entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (pthread_mutex_trylock(entries[i].barrier->mutex) == 0) return i;
  }
  if (!entries.empty() && lock_soon(entries.front().barrier->mutex)) return 0;
  return std::nullopt;
}

}  // namespace

void PendingCall::complete(const Task&, const Status& status) {
  if (!status) recover(*this, status.error());
  completions->end(*this);
}

Completions::Completions(Scheduler& scheduler, std::shared_ptr<const Application> application, bool simulated)
    : scheduler_(scheduler), application_(std::move(application)), simulated_(simulated) {
  std::thread([this] { work(); }).detach();
}

/// The workers need nothing of the application, so there will be room, whatever mutex it holds.
void Completions::wait_for_room() {
  while (true) {
    const std::uint32_t count = on_their_way_.load(std::memory_order_relaxed);
    if (count < most_on_their_way) return;
    on_their_way_.wait(count);
  }
}

PendingCall& Completions::allocate() {
  if (!simulated_) wait_for_room();
  on_their_way_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (free_ == nullptr) free_ = returned_.exchange(nullptr, std::memory_order_acquire);
  if (free_ == nullptr) {
    free_ = all_.emplace_back(std::make_unique<PendingCall>(application_)).get();
    free_->completions = this;
  }
  PendingCall& call = *free_;
  free_ = call.next;
  call.next = nullptr;
  call.has_ended = false;
  return call;
}

void Completions::expect(PendingCall& call) {
  if (!simulated_) return;
  const std::lock_guard lock(mutex_);
  expected_.push_back(&call);
}

void Completions::submitted() {
  if (simulated_) wake();
}

void Completions::end(PendingCall& call) {
  PendingCall* before = ended_.load(std::memory_order_relaxed);
  do {
    call.next = before;
  } while (!ended_.compare_exchange_weak(before, &call));
  // From here on the call may be another one.
  if (before == nullptr) wake();
}

void Completions::wake() {
  news_.fetch_add(1);
  news_.notify_one();
}

void Completions::work() {
  std::vector<Told> told;
  while (true) {
    const std::uint32_t seen = news_.load();
    collect(told);
    if (!told.empty()) {
      tell(told);
    } else if (!simulated_ || !carry_on()) {
      news_.wait(seen);
    }
  }
}

/// Takes calls that have ended, and gives them back to those that submit.
void Completions::collect(std::vector<Told>& told) {
  PendingCall* const first = ended_.exchange(nullptr);
  if (first == nullptr) return;
  PendingCall* last = first;
  std::uint32_t count = 0;
  for (PendingCall* call = first; call != nullptr; call = call->next) {
    last = call;
    ++count;
    call->has_ended = true;
    call->owned = nullptr;
    call->copy.clear();
    const auto barrier = std::exchange(call->barrier, std::nullopt);
    if (!barrier) continue;
    const auto same = [&](const Told& other) { return other.barrier->completion_ctr == barrier->completion_ctr; };
    const auto found = std::ranges::find_if(told, same);
    found == told.end() ? told.push_back({barrier, 1}) : static_cast<void>(++found->count);
  }
  if (simulated_) {
    const std::lock_guard lock(mutex_);
    std::erase_if(expected_, [](const PendingCall* call) { return call->has_ended; });
  }
  if (on_their_way_.fetch_sub(count) >= most_on_their_way) on_their_way_.notify_all();
  last->next = returned_.load(std::memory_order_relaxed);
  while (!returned_.compare_exchange_weak(last->next, first, std::memory_order_release)) {
  }
}

/// Tells one barrier, if the application lets any.
void Completions::tell(std::vector<Told>& told) {
  const auto place = lock_any(told);
  if (!place) return;
  const auto entry = told.begin() + static_cast<std::ptrdiff_t>(*place);
  count_up(*entry->barrier, entry->count);
  told.erase(entry);
}

/// Lets simulated time pass until a call has ended whose barrier somebody may wait for. False: there is none to carry
/// on.
bool Completions::carry_on() {
  std::vector<Expected> waiting;
  PendingCall* ready = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (expected_.empty()) return false;
    for (PendingCall* call : expected_) {
      if (!call->barrier) ready = call;
      if (call->barrier) waiting.push_back({call->barrier, call});
    }
  }
  if (!waiting.empty()) {
    if (const auto place = lock_any(waiting)) {
      pthread_mutex_unlock(waiting[*place].barrier->mutex);
      ready = waiting[*place].call;
    }
  }
  if (ready != nullptr) scheduler_.wait(ready->group);
  return true;
}

}  // namespace cosoc::cedr

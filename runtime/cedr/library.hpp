/// What stands behind CEDR's calls in a process: a session that begins with the first of them.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "cedr/completions.hpp"
#include "cedr/operations.hpp"
#include "session/session_state.hpp"

namespace cosoc::cedr {

/// A shape of calls, checked, with its expected time on every device.
struct Prepared {
  Operands operands;
  TaskTemplate what;
};

/// Where the operands of a call lie.
struct Places {
  std::array<const void*, 2> inputs{};
  void* output = nullptr;
};

/// Calls of any thread. Nothing of it ever ends, because programs may call until their very last exit handler. When the
/// session cannot be opened, which is reported once, calls are computed where they are made.
class Library {
 public:
  /// The one of this process; a child of a fork has its own.
  static Library& instance();

  /// A call from start to end.
  void call(const Shape& shape, const Places& places);
  /// `barrier` may be null.
  void submit(const Shape& shape, const Places& places, const cedr_barrier_t* barrier);

 private:
  struct ShapeOrder {
    bool operator()(const Shape& a, const Shape& b) const;
  };

  Library();
  static Library& make();
  Status open();
  const Prepared* find(const Shape& shape, std::shared_ptr<const Prepared>& owned);
  const Prepared* find_shared(const Shape& shape, std::shared_ptr<const Prepared>& owned);
  Result<std::shared_ptr<const Prepared>> prepare(const Shape& shape) const;
  Completions& completions();

  std::shared_ptr<SessionState> session_;  // null: none could be opened
  std::shared_ptr<const Application> application_;
  bool simulated_ = false;
  std::mutex mutex_;  // of what follows
  std::map<Shape, std::shared_ptr<const Prepared>, ShapeOrder> prepared_;
  std::atomic<Completions*> completions_ = nullptr;
};

/// Computes a call that failed on its way, and says why it did.
void recover(PendingCall& call, const Error& why);

}  // namespace cosoc::cedr

/// What clients, buffers, prepared calls and futures share.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "cosoc/client.hpp"
#include "session/session_state.hpp"

namespace cosoc {

/// A block of device memory; given back under the lock of those that take it.
struct BufferState {
  BufferState(std::shared_ptr<SessionState> owner, const TensorType& of, const Block& where)
      : session(std::move(owner)), type(of), block(where) {}
  ~BufferState() {
    const auto lock = session->scheduler().lock_drivers();
    session->platform().memory().release(block);
  }
  BufferState(const BufferState&) = delete;
  BufferState& operator=(const BufferState&) = delete;

  TensorView view() const { return {&type, block, false}; }

  std::shared_ptr<SessionState> session;
  const TensorType type;
  const Block block;
};

struct CallState {
  TaskTemplate what;
  std::vector<TensorType> inputs;
  std::vector<TensorType> outputs;
};

/// A submitted call with everything that its task refers to: it stays until the task has ended.
struct PendingCall {
  PendingCall(std::shared_ptr<SessionState> owner, std::shared_ptr<const Application> application)
      : session(std::move(owner)), group(std::move(application)) {}

  /// Whether it has ended; then `outcome` is known and what it held is given back.
  bool finish();
  /// Blocks until it has ended.
  const Status& wait();

  std::shared_ptr<SessionState> session;
  std::shared_ptr<const CallState> call;
  TaskGroup group;
  std::vector<TensorView> inputs;
  std::vector<TensorView> outputs;
  TaskHandle handle;

  std::mutex mutex;                                       // of what follows
  std::vector<std::shared_ptr<const BufferState>> holds;  // until the end
  std::vector<std::shared_ptr<PendingCall>> after;        // until the end
  bool finished = false;
  Status outcome;

 private:
  /// Under `mutex`, when those that it follows have finished, or the group has failed.
  void conclude();
};

class ClientState {
 public:
  ClientState(std::shared_ptr<SessionState> owner, std::shared_ptr<const Application> application)
      : session(std::move(owner)), application(std::move(application)) {}
  /// All its calls have ended.
  ~ClientState();
  ClientState(const ClientState&) = delete;
  ClientState& operator=(const ClientState&) = delete;

  /// Keeps a call until it has ended, and lets go of older ones that have.
  void keep(std::shared_ptr<PendingCall> call);
  /// Blocks until all calls have ended; the first error since the last wait.
  Status wait();

  const std::shared_ptr<SessionState> session;
  const std::shared_ptr<const Application> application;

 private:
  std::mutex mutex_;
  std::deque<std::shared_ptr<PendingCall>> pending_;  // in the order of their submission
  Status first_error_;
};

}  // namespace cosoc

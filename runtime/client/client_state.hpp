/// What clients, buffers, prepared calls and futures share.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "cosoc/client.hpp"
#include "session/session_state.hpp"

namespace cosoc {

/// A block of device memory, given back under the lock of those that take it, or somebody else's memory.
struct BufferState {
  BufferState(std::shared_ptr<SessionState> owner, const TensorType& of, const Block& where)
      : session(std::move(owner)), type(of), block(where) {}
  ~BufferState() {
    if (block.id == 0) return;
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

/// Buffers of the types that the call was prepared for, or what differs.
Status check_operands(const CallState& call, std::span<const Buffer> inputs, std::span<const Buffer> outputs);

/// A submitted call, or a run of a plan, with everything that its tasks refer to: it stays until they have ended.
struct PendingCall {
  PendingCall(std::shared_ptr<SessionState> owner, std::shared_ptr<const Application> application)
      : session(std::move(owner)), group(std::move(application)) {}

  /// Makes this one follow others. False: one of them has failed already, and this one with it.
  bool follow(std::span<const Future> others);
  /// Ends it before it began.
  void refuse(const Error& why);
  /// Whether it has ended; then `outcome` is known and what it held is given back.
  bool finish();
  /// Blocks until it has ended.
  const Status& wait();

  std::shared_ptr<SessionState> session;
  TaskGroup group;
  std::vector<TensorView> inputs;
  std::vector<TensorView> outputs;
  std::vector<TaskHandle> before;  // tasks that its first ones follow
  std::vector<TaskHandle> last;    // its own, which others follow

  std::mutex mutex;                                 // of what follows
  std::vector<std::shared_ptr<const void>> holds;   // until the end
  std::vector<std::shared_ptr<PendingCall>> after;  // until the end
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

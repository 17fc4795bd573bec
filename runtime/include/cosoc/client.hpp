/// Calls of kernels one by one, as a program goes, beside or instead of whole models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cosoc/session.hpp"
#include "kernels/kernel.hpp"

namespace cosoc {

class ClientState;
class PlanRuns;
class TaskGraph;
struct BufferState;
struct CallState;
struct PendingCall;

/// Memory that CPU cores and accelerators share, with the type of what lies in it. Copies are the same memory, which is
/// given back with the last of them.
class Buffer {
 public:
  const TensorType& type() const;
  /// The stored values. Feature maps are padded, see `TensorType`: use `write` and `read` for them.
  template <class T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(storage().data()), storage().size() / sizeof(T)};
  }
  /// Copies `type().dense_bytes()` bytes, dense and row-major, into the memory, or out of it.
  Status write(std::span<const std::byte> values) const;
  Status read(std::span<std::byte> values) const;

 private:
  friend class Client;
  friend class Model;
  friend class TaskGraph;
  explicit Buffer(std::shared_ptr<const BufferState> state) : state_(std::move(state)) {}
  std::span<std::byte> storage() const;
  std::shared_ptr<const BufferState> state_;
};

/// A kernel with fixed types of operands, checked, and its expected time on every device. Make it once and submit it as
/// often as you like. Copies are the same.
class Call {
 public:
  /// Why no accelerator can run it; empty when one can.
  const std::string& reason() const;

 private:
  friend class Client;
  friend class TaskGraph;
  explicit Call(std::shared_ptr<const CallState> state) : state_(std::move(state)) {}
  std::shared_ptr<const CallState> state_;
};

/// The end of a submitted call. Copies are the same; all may be forgotten before the call has ended.
class Future {
 public:
  bool ended() const;
  /// Blocks until the call has ended; its error, or that of a call that it follows.
  Status wait() const;

 private:
  friend class Client;
  friend class PlanRuns;
  friend class TaskGraph;
  friend struct PendingCall;
  explicit Future(std::shared_ptr<PendingCall> call) : call_(std::move(call)) {}
  std::shared_ptr<PendingCall> call_;
};

inline Future Model::submit(std::initializer_list<Buffer> inputs, std::initializer_list<Buffer> outputs,
                            std::initializer_list<Future> after) {
  return submit(std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()),
                std::span(after.begin(), after.size()));
}

struct CallOptions {
  /// In reports, traces and messages; the operation's name when empty.
  std::string name = {};
  /// Kinds of devices that may run it; every kind of the session when empty.
  std::vector<std::string> devices = {};
  /// Whether operands will be memory of the program, see `Client::wrap`; counts for the expected times.
  bool wrapped = false;
};

/// An application of a session: it shares the devices with others, and with models. Copies are the same client. Every
/// function may be called from any thread.
///
///     auto client = session->client({.name = "radar"});
///     auto fft = client->prepare(make_kernel("fft", {{"direction", "forward"}}), {type}, {type});
///     auto x = client->allocate(type), y = client->allocate(type);
///     Future first = client->submit(*fft, {*x}, {*y});
///     Future second = client->submit(*other, {*y}, {*z}, {first});
///     Status done = second.wait();
class Client {
 public:
  /// Zeroed memory.
  Result<Buffer> allocate(const TensorType& type) const;
  /// The program's own memory as a buffer, without a copy: `type.bytes()` bytes that stay until all calls that use them
  /// have ended. CPU cores work on them in place; accelerators work on a copy.
  Result<Buffer> wrap(const TensorType& type, std::span<std::byte> memory) const;

  /// Checks the types, and finds which devices may run the call and how long each would take. A kernel that could not
  /// be made is the error.
  Result<Call> prepare(const Result<std::shared_ptr<const Kernel>>& kernel, std::vector<TensorType> inputs,
                       std::vector<TensorType> outputs, const CallOptions& options = {}) const;
  /// For these buffers, and others of their types.
  Result<Call> prepare_for(const Result<std::shared_ptr<const Kernel>>& kernel, std::span<const Buffer> inputs,
                           std::span<const Buffer> outputs, const CallOptions& options = {}) const;
  Result<Call> prepare_for(const Result<std::shared_ptr<const Kernel>>& kernel, std::initializer_list<Buffer> inputs,
                           std::initializer_list<Buffer> outputs, const CallOptions& options = {}) const {
    return prepare_for(kernel, std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()),
                       options);
  }

  /// Submits a call that starts when all of `after` have ended well; when one of them fails, this one fails too.
  /// Buffers of other types than the prepared ones make a future that has failed. The buffers live until the call has
  /// ended.
  Future submit(const Call& call, std::span<const Buffer> inputs, std::span<const Buffer> outputs,
                std::span<const Future> after = {}) const;
  Future submit(const Call& call, std::initializer_list<Buffer> inputs, std::initializer_list<Buffer> outputs,
                std::initializer_list<Future> after = {}) const {
    return submit(call, std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()),
                  std::span(after.begin(), after.size()));
  }
  /// A call from start to end.
  Status call(const Call& call, std::span<const Buffer> inputs, std::span<const Buffer> outputs) const;
  Status call(const Call& call, std::initializer_list<Buffer> inputs, std::initializer_list<Buffer> outputs) const {
    return this->call(call, std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()));
  }
  /// Blocks until every call that was submitted so far has ended; the error of the first one that failed.
  Status wait() const;

  /// Since the session was opened: simulated, or of the wall clock.
  Time now() const;
  /// Blocks until the clock is there.
  void sleep_until(Time time) const;

 private:
  friend class Session;
  friend class TaskGraph;
  explicit Client(std::shared_ptr<ClientState> state) : state_(std::move(state)) {}
  std::shared_ptr<ClientState> state_;
};

using KernelFunction = std::function<Status(std::span<const TensorView> inputs, std::span<const TensorView> outputs)>;

/// What accelerators of a kind run in place of a user's function: a kernel that they know, on the same operands.
struct AcceleratorImplementation {
  std::string device;  // "zip"
  Result<std::shared_ptr<const Kernel>> kernel;
};

/// A kernel of the program's own: a function of operands whose types `Client::prepare` was given, for CPU cores, and
/// what does the same on accelerators, if anything does. The function may run on several threads at once. `operations`
/// is what a call computes, for its expected time.
std::shared_ptr<const Kernel> make_user_kernel(std::string name, KernelFunction run, std::uint64_t operations,
                                               std::vector<AcceleratorImplementation> accelerators = {});

}  // namespace cosoc

/// The daemon's side of one client: its memory, its page, its calls.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "daemon/accelerators.hpp"
#include "daemon/cores.hpp"

namespace cosoc::daemon {

/// Process and wishes of a client.
struct ClientFacts {
  std::uint64_t id = 0;
  int process = 0;
  std::string name;
  std::int32_t priority = 0;
  double weight = 1.0;
  std::uint64_t memory_bytes = 0;
  bool waits = false;            // for an application
  std::uint32_t call_limit = 0;  // on accelerators at a time; 0: one for each
};

class ClientSession {
 public:
  struct Ended {
    bool held = false;     // other calls of this client wait for the end, see `serve`
    bool refused = false;  // no accelerator was there for it
  };
  /// Called on any thread whenever a call has ended.
  using AtRest = std::function<void(Ended ended)>;

  static Result<std::unique_ptr<ClientSession>> make(ClientFacts facts, Accelerators& accelerators, AtRest at_rest);
  /// All its calls have ended.
  ~ClientSession();

  const ClientFacts& facts() const { return facts_; }
  /// A process that waited is an application from now on, before its first call.
  Status become(std::string name, std::int32_t priority, double weight);
  SharedPage& page() { return *reinterpret_cast<SharedPage*>(page_.bytes().data()); }
  /// For the client: page, memory, bell.
  std::array<int, 3> descriptors() const { return {page_file_.get(), slot_->file().get(), bell_.get()}; }
  int bell() const { return bell_.get(); }
  std::uint64_t memory_bytes() const { return slot_->bytes(); }
  std::uint64_t calls() const { return served_; }

  /// Remembers a call under the index that the client chose, below `max_prepared`.
  void remember(std::uint64_t index, std::shared_ptr<const PreparedCall> call) { prepared_[index] = std::move(call); }
  /// Looks into the mailboxes and starts what was posted, as long as fewer calls than its limit are on their way; the
  /// rest is held back until one of them has ended. Errors: the page has what no client writes.
  Status serve();
  /// Whether none of its calls is on its way.
  bool idle() const;
  /// Blocks until it is.
  void wait();

 private:
  class Running;

  Status enter();
  Status start(std::size_t mailbox);
  std::size_t in_flight() const;

  ClientSession(ClientFacts facts, Accelerators& accelerators, AtRest at_rest);
  Result<std::shared_ptr<const PreparedCall>> read(const PostedCall& posted, std::vector<TensorView>& inputs,
                                                   std::vector<TensorView>& outputs) const;

  ClientFacts facts_;
  Accelerators& accelerators_;
  const AtRest at_rest_;
  Descriptor page_file_;
  Descriptor bell_;
  SharedMapping page_;
  std::unique_ptr<Slot> slot_;
  std::vector<std::shared_ptr<const PreparedCall>> prepared_;
  std::vector<std::unique_ptr<Running>> running_;  // by mailbox
  std::size_t next_ = 0;                           // mailbox that is looked at first
  std::atomic<bool> held_ = false;                 // something waits for the end of a call
  std::uint64_t served_ = 0;
};

}  // namespace cosoc::daemon

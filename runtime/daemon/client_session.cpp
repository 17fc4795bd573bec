#include "daemon/client_session.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>

#include "daemon/futex.hpp"

namespace cosoc::daemon {
namespace {

/// Of addresses in commands; parts of tensors begin there.
constexpr std::uint64_t operand_alignment = 16;
/// Blocks without a number lie outside of device memory; those of clients never do.
constexpr std::uint64_t allocation = std::uint64_t{1} << 63;

/// A copy that the client cannot change any more; the compiler must not look at the original again either.
PostedCall snapshot(const PostedCall& shared) {
  PostedCall copy{};
  std::memcpy(&copy, &shared, sizeof(copy));
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return copy;
}

}  // namespace

/// One mailbox's call, from its start to its end.
class ClientSession::Running final : public Completion {
 public:
  Running(Mailbox& mailbox, std::shared_ptr<const Application> application, ClientSession& session)
      : mailbox_(mailbox), group_(std::move(application)), session_(session) {}

  bool busy() const { return busy_.load(); }
  /// Nothing refers to what it owns any more.
  bool ended() const { return !busy() && group_.ended(); }

  void start(Scheduler& scheduler, std::shared_ptr<const PreparedCall> call, std::vector<TensorView> inputs,
             std::vector<TensorView> outputs, Time slack) {
    // The last call was answered a moment before its group ended.
    scheduler.wait(group_);
    group_.reset(slack >= impossible ? impossible : scheduler.now() + std::max(slack, Time{}));
    call_ = std::move(call);
    inputs_ = std::move(inputs);
    outputs_ = std::move(outputs);
    busy_.store(true, std::memory_order_relaxed);
    scheduler.submit(group_, call_->what, inputs_, outputs_, {}, this);
  }

  void wait(Scheduler& scheduler) { scheduler.wait(group_); }

  void complete(const Task& task, const Status& status) override {
    if (status) {
      answer(MailOutcome::done, task.note, task.counters);
    } else {
      // The daemon has no CPU core of its own: whatever fails here failed on accelerators, which it looks after itself.
      answer(MailOutcome::refused, status.error().message, task.counters);
    }
  }

  void answer(MailOutcome outcome, std::string_view note, const CallCounters& counters) {
    mailbox_.outcome = static_cast<std::uint32_t>(outcome);
    mailbox_.cycles = counters.cycles;
    mailbox_.commands = counters.commands;
    const std::size_t length = std::min(note.size(), note_bytes - 1);
    std::memcpy(mailbox_.note.data(), note.data(), length);
    mailbox_.note[length] = 0;
    mailbox_.state.store(static_cast<std::uint32_t>(MailState::done), std::memory_order_release);
    futex_wake(mailbox_.state);
    // Only now: while it is busy nobody takes what lies in the mailbox for the next call.
    busy_.store(false);
    session_.at_rest_({.held = session_.held_.exchange(false), .refused = outcome == MailOutcome::refused});
  }

 private:
  Mailbox& mailbox_;
  TaskGroup group_;
  ClientSession& session_;
  std::shared_ptr<const PreparedCall> call_;
  std::vector<TensorView> inputs_;
  std::vector<TensorView> outputs_;
  std::atomic<bool> busy_ = false;
};

ClientSession::ClientSession(ClientFacts facts, Accelerators& accelerators, AtRest at_rest)
    : facts_(std::move(facts)), accelerators_(accelerators), at_rest_(std::move(at_rest)), prepared_(max_prepared) {}

Result<std::unique_ptr<ClientSession>> ClientSession::make(ClientFacts facts, Accelerators& accelerators,
                                                           AtRest at_rest) {
  std::unique_ptr<ClientSession> session(new ClientSession(std::move(facts), accelerators, std::move(at_rest)));
  auto file = make_shared_file(sizeof(SharedPage));
  if (!file) return tl::make_unexpected(file.error());
  session->page_file_ = std::move(*file);
  session->page_ = SharedMapping::of(session->page_file_, sizeof(SharedPage));
  session->bell_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!session->page_ || !session->bell_) return failure("cannot make the page of a client");
  session->page().layout = page_layout;
  auto slot = accelerators.make_slot(session->facts_.memory_bytes);
  if (!slot) return tl::make_unexpected(slot.error());
  session->slot_ = std::move(*slot);
  if (auto entered = session->enter(); !entered) return tl::make_unexpected(entered.error());
  return session;
}

/// Makes an application of the accelerators' scheduler of it.
Status ClientSession::enter() {
  Scheduler* scheduler = accelerators_.scheduler();
  if (scheduler == nullptr) return {};
  const auto application = scheduler->add_application(
      {.name = facts_.name, .priority = facts_.priority, .weight = facts_.weight, .arena = slot_->arena()});
  if (!application) return tl::make_unexpected(application.error());
  running_.clear();
  for (std::size_t i = 0; i < accelerators_.count(); ++i) {
    running_.push_back(std::make_unique<Running>(page().mailboxes[i], *application, *this));
  }
  return {};
}

Status ClientSession::become(std::string name, std::int32_t priority, double weight) {
  if (!idle()) return failure("a process that waited for an application has made a call before");
  facts_.name = std::move(name);
  facts_.priority = priority;
  facts_.weight = weight;
  facts_.waits = false;
  return enter();
}

ClientSession::~ClientSession() {
  if (slot_) accelerators_.end_slot(std::move(slot_));
}

/// What was posted as views of the client's memory, every number checked.
Result<std::shared_ptr<const PreparedCall>> ClientSession::read(const PostedCall& posted,
                                                                std::vector<TensorView>& inputs,
                                                                std::vector<TensorView>& outputs) const {
  if (posted.call >= max_prepared || !prepared_[posted.call]) return failure("a call was posted that was not prepared");
  const auto& call = prepared_[posted.call];
  if (posted.inputs != call->call.inputs.size() || posted.outputs != call->call.outputs.size()) {
    return failure("a call was posted with another number of operands than was prepared");
  }
  const SharedOperand* operand = posted.operands.data();
  const auto add = [&](const std::vector<TensorType>& types, std::vector<TensorView>& views) {
    for (const TensorType& type : types) {
      const SharedOperand& where = *operand++;
      const std::uint64_t size = type.bytes();
      const bool inside = size <= slot_->bytes() && where.offset <= slot_->bytes() - size;
      if (!inside || where.offset % operand_alignment != 0) return false;
      // What is copied for a call lies elsewhere in the next one.
      const bool constant = where.constant != 0 && slot_->arena() != nullptr;
      views.push_back({&type, slot_->block(where.offset, size, where.id | allocation), constant});
    }
    return true;
  };
  if (!add(call->call.inputs, inputs) || !add(call->call.outputs, outputs)) {
    return failure("a call was posted with memory that is not the application's");
  }
  return call;
}

std::size_t ClientSession::in_flight() const {
  return static_cast<std::size_t>(std::ranges::count_if(running_, [](const auto& running) { return running->busy(); }));
}

/// Starts what was posted in a mailbox that has nothing on its way.
Status ClientSession::start(std::size_t index) {
  const PostedCall posted = snapshot(page().mailboxes[index].posted);
  std::vector<TensorView> inputs;
  std::vector<TensorView> outputs;
  auto call = read(posted, inputs, outputs);
  if (!call) return tl::make_unexpected(call.error());
  ++served_;
  running_[index]->start(*accelerators_.scheduler(), std::move(*call), std::move(inputs), std::move(outputs),
                         Time(posted.slack_ns));
  return {};
}

Status ClientSession::serve() {
  if (page().layout != page_layout) return failure("the head of its page was overwritten");
  const std::size_t count = running_.size();
  const std::size_t limit = facts_.call_limit == 0 ? count : facts_.call_limit;
  const std::size_t first = next_;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t index = (first + i) % count;
    const std::uint32_t state = page().mailboxes[index].state.load();
    if (state > static_cast<std::uint32_t>(MailState::done)) return failure("a mailbox has a state that is none");
    const auto waits = [&] { return running_[index]->busy() || in_flight() >= limit; };
    if (state != static_cast<std::uint32_t>(MailState::posted)) continue;
    if (waits()) {
      // The end of a call is told after this, or was before the second look.
      held_.store(true);
      if (waits()) continue;
    }
    next_ = index + 1;
    if (auto started = start(index); !started) return started;
  }
  return {};
}

void ClientSession::wait() {
  for (const auto& running : running_) running->wait(*accelerators_.scheduler());
}

bool ClientSession::idle() const {
  return std::ranges::all_of(running_, [](const auto& running) { return running->ended(); });
}

}  // namespace cosoc::daemon

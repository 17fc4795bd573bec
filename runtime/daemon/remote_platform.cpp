#include "daemon/remote_platform.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "daemon/futex.hpp"
#include "daemon/types.hpp"
#include "device/functional/functional_device.hpp"
#include "scheduler/remote.hpp"

namespace cosoc::daemon {
namespace {

/// Types of views; their order is that of the operands.
std::vector<TensorType> types_of(std::span<const TensorView> views) {
  std::vector<TensorType> types;
  for (const TensorView& view : views) types.push_back(*view.type);
  return types;
}

nlohmann::json to_json(std::span<const TensorType> types) {
  nlohmann::json list = nlohmann::json::array();
  for (const TensorType& type : types) list.push_back(daemon::to_json(type));
  return list;
}

/// Which calls the daemon knows of this client, by kernel and types.
class PreparedCalls {
 public:
  explicit PreparedCalls(Connection& connection) : connection_(connection) {}

  /// `owner` keeps the kernel alive.
  Result<std::uint32_t> find(const std::shared_ptr<const Kernel>& owner, const Kernel& kernel,
                             std::span<const TensorView> inputs, std::span<const TensorView> outputs) {
    const std::lock_guard lock(mutex_);
    const auto [begin, end] = by_kernel_.equal_range(&kernel);
    for (auto found = begin; found != end; ++found) {
      if (same(entries_[found->second], inputs, outputs)) return found->second;
    }
    return prepare(owner, kernel, types_of(inputs), types_of(outputs));
  }

 private:
  struct Entry {
    std::shared_ptr<const Kernel> owner;  // kept, so that no other one gets its address
    std::vector<TensorType> inputs;
    std::vector<TensorType> outputs;
  };

  static bool same(const Entry& entry, std::span<const TensorView> inputs, std::span<const TensorView> outputs) {
    const auto equal = [](const TensorType& type, const TensorView& view) { return type == *view.type; };
    return std::ranges::equal(entry.inputs, inputs, equal) && std::ranges::equal(entry.outputs, outputs, equal);
  }

  /// The oldest one goes when there are too many.
  Result<std::uint32_t> prepare(const std::shared_ptr<const Kernel>& owner, const Kernel& kernel,
                                std::vector<TensorType> inputs, std::vector<TensorType> outputs) {
    const std::uint32_t index = next_;
    const auto answer = connection_.request({{"type", "prepare"},
                                             {"id", index},
                                             {"operation", kernel.name()},
                                             {"attributes", kernel.attributes()},
                                             {"inputs", to_json(inputs)},
                                             {"outputs", to_json(outputs)}});
    if (!answer) return tl::make_unexpected(answer.error());
    next_ = (next_ + 1) % max_prepared;
    std::erase_if(by_kernel_, [index](const auto& item) { return item.second == index; });
    entries_[index] = {owner, std::move(inputs), std::move(outputs)};
    by_kernel_.emplace(&kernel, index);
    return index;
  }

  Connection& connection_;
  std::mutex mutex_;
  std::unordered_multimap<const Kernel*, std::uint32_t> by_kernel_;
  std::vector<Entry> entries_ = std::vector<Entry>(max_prepared);
  std::uint32_t next_ = 0;
};

class RemotePlatform final : public WallClockPlatform, public Remote {
 public:
  RemotePlatform(std::shared_ptr<Connection> connection, const SoCDescription& soc)
      : connection_(std::move(connection)),
        page_(connection_->page()),
        soc_(soc),
        memory_(connection_->memory(), 0),
        prepared_(*connection_) {}

  /// Registers from which a driver reads the parameters of an accelerator; nothing runs there.
  Status add(const AcceleratorDescription& description) {
    auto model = make_functional_model(description);
    if (!model) return tl::make_unexpected(model.error());
    devices_.push_back(std::make_unique<FunctionalDevice>(std::move(*model), memory_, soc_));
    return {};
  }

  DeviceMemory& memory() override { return memory_; }
  std::size_t accelerator_count() const override { return devices_.size(); }
  Device& accelerator(std::size_t index) override { return *devices_.at(index); }
  Result<bool> wait_interrupt(std::size_t, Time) override { return failure("the daemon has the accelerators"); }

  std::uint32_t absent() const override { return page_.absent.load(std::memory_order_relaxed); }

  std::optional<Core> try_take_core(std::size_t preferred) override {
    for (std::uint32_t i = 0; i < soc_.cpu_cores; ++i) {
      const auto index = static_cast<std::uint32_t>((preferred + i) % soc_.cpu_cores);
      std::atomic<std::uint32_t>& shared = page_.cores[index].word;
      std::uint32_t word = shared.load(std::memory_order_relaxed);
      if (loan_of(word) != Loan::idle) continue;
      const std::uint32_t taken = with_loan(word, Loan::busy);
      if (shared.compare_exchange_strong(word, taken)) return Core{index, taken};
    }
    // Without a daemon nobody else asks for cores.
    if (connection_->ended()) return Core{no_core, 0};
    return std::nullopt;
  }

  Core take_core(std::size_t preferred) override {
    if (const auto core = try_take_core(preferred)) return *core;
    waiting_.fetch_add(1);
    page_.wanted.fetch_add(1);
    for (;;) {
      const std::uint32_t lent = page_.lent.load();
      if (const auto core = try_take_core(preferred)) {
        page_.wanted.fetch_sub(1);
        waiting_.fetch_sub(1);
        return *core;
      }
      connection_->ring();
      futex_wait(page_.lent, lent);
    }
  }

  void give_core(Core core) override {
    if (core.index == no_core) return;
    std::atomic<std::uint32_t>& shared = page_.cores[core.index].word;
    std::uint32_t word = core.word;
    if (shared.compare_exchange_strong(word, with_loan(core.word, Loan::idle))) {
      if (waiting_.load() == 0) return;
      page_.lent.fetch_add(1);
      futex_wake(page_.lent, 1);
      return;
    }
    // The daemon wants it back; or it has it already, and our time was over.
    if (word != with_loan(core.word, Loan::wanted)) return;
    if (shared.compare_exchange_strong(word, with_loan(word, Loan::none))) connection_->ring();
  }

  void run(std::size_t accelerator, const Kernel& kernel, std::span<const TensorView> inputs,
           std::span<const TensorView> outputs, Task& task) override {
    const auto fail = [&task](Outcome outcome, std::string why) {
      task.outcome = outcome;
      task.note = std::move(why);
    };
    if (connection_->ended()) return fail(Outcome::device_failed, "the daemon has ended");
    if (inputs.size() + outputs.size() > max_operands)
      return fail(Outcome::refused, "has more than " + std::to_string(max_operands) + " operands");
    const auto call = prepared_.find(task.what->kernel, kernel, inputs, outputs);
    if (!call) return fail(connection_->ended() ? Outcome::device_failed : Outcome::refused, call.error().message);
    Mailbox& mailbox = page_.mailboxes[accelerator];
    post(mailbox, *call, inputs, outputs, slack_of(task));
    connection_->ring();
    while (mailbox.state.load(std::memory_order_acquire) != static_cast<std::uint32_t>(MailState::done)) {
      if (connection_->ended()) return fail(Outcome::device_failed, "the daemon has ended");
      futex_wait(mailbox.state, static_cast<std::uint32_t>(MailState::posted));
    }
    task.counters = {.cycles = mailbox.cycles, .commands = mailbox.commands};
    task.note.assign(mailbox.note.data(), ::strnlen(mailbox.note.data(), mailbox.note.size()));
    const bool done = mailbox.outcome == static_cast<std::uint32_t>(MailOutcome::done);
    task.outcome = done ? Outcome::done : Outcome::refused;
    mailbox.state.store(static_cast<std::uint32_t>(MailState::free), std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint32_t no_core = UINT32_MAX;

  /// Until it should have ended: no clock is the daemon's and ours.
  static Time slack_of(const Task& task) {
    const Time deadline = task.group->deadline();
    return deadline >= impossible ? impossible : deadline - task.start;
  }

  static void post(Mailbox& mailbox, std::uint32_t call, std::span<const TensorView> inputs,
                   std::span<const TensorView> outputs, Time slack) {
    mailbox.posted.call = call;
    mailbox.posted.slack_ns = slack.count();
    mailbox.posted.inputs = static_cast<std::uint32_t>(inputs.size());
    mailbox.posted.outputs = static_cast<std::uint32_t>(outputs.size());
    SharedOperand* operand = mailbox.posted.operands.data();
    for (const auto views : {inputs, outputs}) {
      for (const TensorView& view : views) {
        *operand++ = {view.block.physical, view.block.id, view.constant ? 1U : 0U, 0};
      }
    }
    mailbox.state.store(static_cast<std::uint32_t>(MailState::posted), std::memory_order_release);
  }

  std::shared_ptr<Connection> connection_;
  SharedPage& page_;
  SoCDescription soc_;
  DeviceMemory memory_;
  PreparedCalls prepared_;
  std::atomic<std::uint32_t> waiting_ = 0;
  std::vector<std::unique_ptr<FunctionalDevice>> devices_;
};

}  // namespace

Result<RemoteSession> make_remote_session(std::shared_ptr<Connection> connection) {
  const nlohmann::json& welcome = connection->welcome();
  const auto described = welcome.find("soc");
  const std::string* policy = find_text(welcome, "policy");
  if (described == welcome.end() || policy == nullptr) return failure("the daemon does not describe its SoC");
  auto soc = read_soc(*described);
  if (!soc) return tl::make_unexpected(soc.error());
  if (soc->cpu_cores > max_cores || soc->accelerators.size() > max_accelerators) {
    return failure("the daemon has more cores or accelerators than this library knows; use both of one version");
  }
  std::filesystem::path trace;
  const std::string* traces = find_text(welcome, "traces");
  const auto client = find_number(welcome, "client");
  if (traces != nullptr && client && ::access(traces->c_str(), W_OK) == 0) {
    trace = std::filesystem::path(*traces) / ("client-" + std::to_string(*client) + ".json");
  }
  auto platform = std::make_unique<RemotePlatform>(std::move(connection), *soc);
  for (const AcceleratorDescription& accelerator : soc->accelerators) {
    if (auto added = platform->add(accelerator); !added) return tl::make_unexpected(added.error());
  }
  return RemoteSession{std::move(*soc), *policy, std::move(trace), std::move(platform)};
}

}  // namespace cosoc::daemon

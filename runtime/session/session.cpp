#include "cosoc/session.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

#include "cosoc/client.hpp"
#include "daemon/remote_platform.hpp"
#include "session/environment.hpp"
#include "session/session_state.hpp"

namespace cosoc {
namespace {

struct ModeName {
  std::string_view name;
  Mode mode;
};

constexpr std::array<ModeName, 5> modes = {{{"cpu", Mode::cpu},
                                            {"rtl", Mode::rtl},
                                            {"functional", Mode::functional},
                                            {"model", Mode::model},
                                            {"board", Mode::board}}};

Result<AnyPlatform> make_platform(Mode mode, const SessionOptions& options, const SoCDescription& soc) {
  const auto wrap = [](auto result) -> Result<AnyPlatform> {
    if (!result) return tl::make_unexpected(result.error());
    return AnyPlatform(std::move(*result));
  };
  switch (mode) {
    case Mode::rtl:
      return wrap(make_rtl_platform(soc));
    case Mode::functional:
    case Mode::model:  // drivers find their parameters there, and start nothing
      return wrap(make_functional_platform(soc));
    case Mode::board:
      return wrap(make_uio_platform(soc));
    case Mode::cpu:
      break;
  }
  return AnyPlatform(make_cpu_platform(options.memory_bytes));
}

/// The SoC of a session: in mode `cpu` this machine's cores, otherwise what the build described.
Result<SoCDescription> find_soc(const SessionOptions& options) {
  SoCDescription soc;
  if (options.mode == Mode::cpu) {
    soc.cpu_cores = std::max(1U, std::thread::hardware_concurrency());
  } else {
    if (options.soc.empty()) return failure("this mode needs the SoC: give soc.json or the directory of its build");
    auto loaded = SoCDescription::load(options.soc);
    if (!loaded) return loaded;
    soc = std::move(*loaded);
  }
  soc.cpu_cores = options.cpu_cores.value_or(soc.cpu_cores);
  return soc;
}

/// A session that was opened in advance. A child of a fork has none.
struct ReadySession {
  std::mutex mutex;  // of what follows
  std::shared_ptr<SessionState> state;
  int process = 0;
};

/// Never destroyed: children of a fork have not got its threads, and end as any process.
ReadySession& ready_session() {
  static ReadySession& ready = *new ReadySession;
  return ready;
}

/// The one that was opened in advance, if it is what these options ask for.
std::shared_ptr<SessionState> take_ready(const SessionOptions& options) {
  ReadySession& ready = ready_session();
  const std::lock_guard lock(ready.mutex);
  const SessionOptions usual;
  const auto same = [&](auto... members) { return ((options.*members == usual.*members) && ...); };
  if (ready.process != ::getpid() ||
      !same(&SessionOptions::policy, &SessionOptions::seed, &SessionOptions::trace, &SessionOptions::costs,
            &SessionOptions::shard, &SessionOptions::keep_tensors, &SessionOptions::minimum_deadline)) {
    return nullptr;
  }
  return std::exchange(ready.state, nullptr);
}

/// A session on the SoC of a daemon. Traces and policy stay the session's own.
Result<std::shared_ptr<SessionState>> connect(SessionOptions options, const daemon::ConnectionOptions& how) {
  auto connection = daemon::Connection::open(how);
  if (!connection) return tl::make_unexpected(connection.error());
  auto remote = daemon::make_remote_session(std::move(*connection));
  if (!remote) return tl::make_unexpected(remote.error());
  options.mode = Mode::cpu;
  if (options.trace.empty()) options.trace = remote->trace;
  if (options.policy == SessionOptions().policy) options.policy = remote->policy;
  return SessionState::make(options, remote->soc, std::move(remote->platform));
}

/// The daemon that options or environment name.
std::filesystem::path daemon_of(const SessionOptions& options) {
  if (!options.daemon.empty()) return options.daemon;
  const char* socket = std::getenv("COSOC_DAEMON");
  return socket == nullptr ? "" : socket;
}

}  // namespace

Status keep_session_ready(const std::filesystem::path& socket) {
  auto state = connect({}, {.socket = socket, .name = "ready", .waits = true});
  if (!state) return tl::make_unexpected(state.error());
  ReadySession& ready = ready_session();
  const std::lock_guard lock(ready.mutex);
  ready.state = std::move(*state);
  ready.process = ::getpid();
  return {};
}

void rehearse_ready_session() {
  std::shared_ptr<SessionState> state;
  {
    const std::lock_guard lock(ready_session().mutex);
    state = ready_session().state;
  }
  if (!state) return;
  const TensorType type{.dtype = DType::complex64, .shape = {1, 8}};
  const auto client = Session(std::move(state)).client();
  if (!client) return;
  const auto buffer = client->allocate(type);
  static_cast<void>(
      client->prepare(make_kernel("fft", {{"direction", "forward"}}), {type}, {type}, {.devices = {"cpu"}}));
}

void drop_ready_session() {
  ReadySession& ready = ready_session();
  const std::lock_guard lock(ready.mutex);
  ready.state.reset();
}

Result<Mode> mode_of(std::string_view name) {
  const auto found = std::ranges::find(modes, name, &ModeName::name);
  if (found != modes.end()) return found->mode;
  return failure("no mode \"" + std::string(name) + "\"; there are cpu, rtl, functional, model, board");
}

Result<Session> Session::open(const SessionOptions& options) {
  if (const auto socket = daemon_of(options); !socket.empty()) {
    SessionOptions chosen = options;
    if (auto read = read_environment(chosen); !read) return tl::make_unexpected(read.error());
    if (auto ready = take_ready(chosen)) {
      ready->set_deadline(chosen.deadline);
      return Session(std::move(ready));
    }
    auto state = connect(std::move(chosen), daemon::Connection::options_of_environment(socket));
    if (!state) return tl::make_unexpected(state.error());
    return Session(std::move(*state));
  }
  const auto soc = find_soc(options);
  if (!soc) return tl::make_unexpected(soc.error());
  auto platform = make_platform(options.mode, options, *soc);
  if (!platform) return tl::make_unexpected(platform.error());
  SessionOptions chosen = options;
  if (const char* costs = std::getenv("COSOC_COSTS"); chosen.costs.empty() && costs != nullptr) chosen.costs = costs;
  auto state = SessionState::make(chosen, *soc, std::move(*platform));
  if (!state) return tl::make_unexpected(state.error());
  return Session(std::move(*state));
}

std::vector<std::string> Session::devices() const {
  std::vector<std::string> names;
  for (const ComputeDevice& device : state_->devices()) names.push_back(device.name);
  return names;
}

Status Session::remove_device(const std::string& name) {
  const auto device = state_->find_device(name);
  return device ? state_->scheduler().remove_device(*device) : tl::make_unexpected(device.error());
}

Status Session::add_device(const std::string& name) {
  const auto device = state_->find_device(name);
  return device ? state_->scheduler().add_device(*device) : tl::make_unexpected(device.error());
}

std::vector<DeviceStatus> Session::device_status() const {
  std::vector<DeviceStatus> list;
  for (std::size_t i = 0; i < state_->devices().size(); ++i) list.push_back(state_->scheduler().status(i));
  return list;
}

bool Session::is_simulated() const { return state_->is_simulated(); }

std::vector<MeasuredCost> Session::measured_costs() const {
  std::vector<MeasuredCost> list;
  for (const CostEntry& entry : state_->costs().entries()) {
    list.push_back({entry.device, entry.call, entry.estimate, entry.measured, entry.samples});
  }
  return list;
}

Status Session::save_costs() const { return state_->save_costs(); }

}  // namespace cosoc

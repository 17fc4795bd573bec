#include "daemon/server.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policies/plugin.hpp"

namespace cosoc::daemon {
namespace {

constexpr std::uint64_t largest_memory_without_soc = std::uint64_t{4} << 30;
constexpr std::uint64_t memory_without_soc = std::uint64_t{256} << 20;
/// Connections beyond the clients: commands that ask or wait.
constexpr std::size_t more_peers = 256;
/// How long a client waits for memory that others have.
constexpr auto memory_patience = std::chrono::seconds(10);

/// The user's alone, without what clients of an earlier daemon wrote.
Status make_trace_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directory(folder, error);
  if (error) return failure("cannot make the folder " + folder.string() + ": " + error.message());
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    std::error_code ignored;
    if (name.starts_with("client-") && name.ends_with(".json")) std::filesystem::remove(entry.path(), ignored);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Server>> Server::open(const ServerOptions& options) {
  // The address first: a second daemon must not touch anything of the first one.
  auto listener = Listener::open(options.socket, options.group);
  if (!listener) return tl::make_unexpected(listener.error());
  auto accelerators = Accelerators::open(options.accelerators);
  if (!accelerators) return tl::make_unexpected(accelerators.error());
  return over(options, std::move(*listener), std::move(*accelerators));
}

Result<std::unique_ptr<Server>> Server::over(const ServerOptions& options, Listener listener,
                                             std::unique_ptr<Accelerators> accelerators) {
  if (auto policy = find_policy(options.client_policy); !policy) return tl::make_unexpected(policy.error());
  auto loop = EventLoop::make();
  if (!loop) return tl::make_unexpected(loop.error());
  std::unique_ptr<Server> server(new Server(options, std::move(*loop), std::move(listener), std::move(accelerators)));
  if (auto started = server->start(); !started) return tl::make_unexpected(started.error());
  return server;
}

Server::Server(ServerOptions options, std::unique_ptr<EventLoop> loop, Listener listener,
               std::unique_ptr<Accelerators> accelerators)
    : options_(std::move(options)),
      loop_(std::move(loop)),
      accelerators_(std::move(accelerators)),
      preparations_(*accelerators_, *loop_),
      device_orders_(*accelerators_, *loop_),
      cores_(accelerators_->soc().cpu_cores, options_.times),
      listener_(std::move(listener)) {
  // Applications open it, each from a folder of its own.
  if (is_policy_path(options_.client_policy)) {
    options_.client_policy = std::filesystem::absolute(options_.client_policy).string();
  }
  const bool device = accelerators_->memory() != nullptr;
  const std::uint64_t all = device ? accelerators_->soc().memory_bytes : 0;
  if (options_.memory_bytes == 0) options_.memory_bytes = device ? all / 16 : memory_without_soc;
  if (options_.memory_limit == 0) options_.memory_limit = device ? all / 2 : largest_memory_without_soc;
}

Server::~Server() {
  jobs_.reset();
  for (auto& [id, peer] : peers_) {
    if (peer.client) leaving_.push_back(std::move(peer.client));
  }
  peers_.clear();
  // Their calls end at their deadlines at the latest.
  for (const auto& client : leaving_) client->wait();
}

Status Server::start() {
  if (const auto traces = client_traces(); !traces.empty()) {
    if (auto made = make_trace_folder(traces); !made) return made;
  }
  auto jobs = Jobs::start(options_.jobs, options_.socket, *loop_,
                          [this](int process, const JobSpec& job) { become(process, job); });
  if (!jobs) return tl::make_unexpected(jobs.error());
  jobs_ = std::move(*jobs);
  return loop_->add(listener_.descriptor(), [this](std::uint32_t) { accept(); });
}

void Server::accept() {
  Descriptor socket = listener_.accept();
  if (!socket) return;
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return;
  if (peers_.size() >= options_.clients + more_peers) {
    static_cast<void>(
        send_message(socket.get(), error_message("the daemon has too many connections; try again later"), {}, false));
    return;
  }
  const std::uint64_t id = ++last_peer_;
  Peer& peer = peers_[id];
  peer.id = id;
  peer.process = credentials.pid;
  peer.owner = credentials.uid == ::getuid() || credentials.uid == 0;
  peer.socket = std::move(socket);
  // The first message is there already, as a rule: somebody waits for what it asks, and nobody for this.
  receive(id, EPOLLIN);
  if (!peers_.contains(id)) return;
  if (!loop_->add(peer.socket.get(), [this, id](std::uint32_t events) { receive(id, events); })) end(id);
}

void Server::receive(std::uint64_t id, std::uint32_t events) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  if ((events & EPOLLIN) == 0) return end(id);
  const auto received = receive_message(peer.socket.get());
  if (received && !*received) {
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) end(id);
    return;
  }
  // Before it is parsed. If it is something else after all, a process has woken in vain.
  const bool submits =
      received && !peer.client && peer.owner && (**received).text.find("\"submit\"") != std::string::npos;
  if (submits) jobs_->alert();
  const auto message = received ? parse_message((**received).text) : tl::make_unexpected(received.error());
  if (!message) {
    return expel(id, message.error().message);
  }
  handle(peer, *message);
}

void Server::handle(Peer& peer, const nlohmann::json& message) {
  const std::string* type = find_text(message, "type");
  const std::string name = type == nullptr ? "" : *type;
  Result<nlohmann::json> result = failure("no message \"" + name + "\"");
  const bool known = name == "hello" || name == "prepare" || name == "ps" || name == "wait" || name == "logs" ||
                     name == "submit" || name == "end" || name == "stop" || name == "remove" || name == "add";
  if (!known) return expel(peer.id, result.error().message);
  if (name == "hello") {
    const auto done = hello(peer, message, Clock::now() + memory_patience);
    if (done) return;
    result = tl::make_unexpected(done.error());
  } else if (name == "prepare" && peer.client) {
    return prepare(peer, message);
  } else if (name == "ps") {
    result = overview();
  } else if (name == "wait") {
    return jobs_->wait(message, peer.id, answering(peer.id));
  } else if (name == "logs") {
    result = jobs_->read_log(message);
  } else if (name == "submit" || name == "end" || name == "stop" || name == "remove" || name == "add") {
    // Members of a group may share the SoC; programs run as the daemon's user, so only he starts and ends them, and
    // whose accelerators they are says when one leaves.
    if (!peer.owner) {
      result = failure("only the user that runs the daemon may " + name);
    } else if (name == "submit") {
      result = jobs_->submit(message);
    } else if (name == "end") {
      result = jobs_->end(message);
    } else if (name == "remove" || name == "add") {
      return order(peer, message, name == "add");
    } else {
      result = nlohmann::json::object();
      stop();
    }
  }
  answer(peer, result ? *result : error_message(result.error().message));
}

void Server::answer(Peer& peer, const nlohmann::json& message, std::span<const int> descriptors) {
  if (send_message(peer.socket.get(), message, descriptors, false)) return;
  // Whoever has gone is found to be so elsewhere.
  pollfd request{.fd = peer.socket.get(), .events = POLLOUT, .revents = 0};
  if (::poll(&request, 1, 0) == 0) expel(peer.id, "it does not read the answers to its messages");
}

nlohmann::json Server::overview() const {
  nlohmann::json clients = nlohmann::json::array();
  for (const auto& [id, peer] : peers_) {
    if (!peer.client) continue;
    const ClientFacts& facts = peer.client->facts();
    clients.push_back({{"process", facts.process},
                       {"name", facts.name},
                       {"job", jobs_->job_of(facts.process)},
                       {"priority", facts.priority},
                       {"weight", facts.weight},
                       {"memory", peer.client->memory_bytes()},
                       {"cores", cores_.held_by(id)},
                       {"overruns", cores_.overruns(id)},
                       {"calls", peer.client->calls()}});
  }
  return {{"process", ::getpid()},      {"soc", to_json(accelerators_->soc())},
          {"mode", options_.mode_name}, {"trace", options_.accelerators.trace.string()},
          {"devices", devices()},       {"leaving", leaving_.size()},
          {"clients", clients},         {"jobs", jobs_->overview()},
          {"expelled", expelled_},      {"traces", client_traces().string()}};
}

nlohmann::json Server::devices() const {
  nlohmann::json list = nlohmann::json::array();
  for (std::size_t i = 0; i < accelerators_->count(); ++i) {
    const DeviceStatus status = accelerators_->scheduler()->status(i);
    const char* condition = status.condition == DeviceCondition::working   ? "working"
                            : status.condition == DeviceCondition::removed ? "removed"
                                                                           : "failed";
    list.push_back({{"name", status.name}, {"condition", condition}, {"reason", status.reason}});
  }
  return list;
}

void Server::order(Peer& peer, const nlohmann::json& message, bool adds) {
  const std::string* device = find_text(message, "device");
  if (device == nullptr) return answer(peer, error_message("the name of a device is missing"));
  const auto done = [this, answer = answering(peer.id)](const Status& status) {
    tell_devices();
    if (accelerators_->reclaim()) retry_hellos();
    answer(status ? Result<nlohmann::json>(nlohmann::json::object()) : tl::make_unexpected(status.error()));
  };
  const Status begun = adds ? device_orders_.add(*device, done) : device_orders_.remove(*device, done);
  if (!begun) answer(peer, error_message(begun.error().message));
}

std::function<void(const Result<nlohmann::json>&)> Server::answering(std::uint64_t id) {
  return [this, id](const Result<nlohmann::json>& result) {
    const auto found = peers_.find(id);
    if (found == peers_.end()) return;
    answer(found->second, result ? *result : error_message(result.error().message));
  };
}

}  // namespace cosoc::daemon

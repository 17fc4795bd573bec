/// The part of the server that is about clients: their beginning, their calls and cores, their end.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "daemon/connection.hpp"
#include "daemon/server.hpp"

namespace cosoc::daemon {
namespace {

constexpr double least_weight = 0.01;
constexpr double largest_weight = 100.0;
/// Expelled clients that `ps` tells of.
constexpr std::size_t most_expelled = 16;

double clamped_weight(double weight) {
  return std::isfinite(weight) ? std::clamp(weight, least_weight, largest_weight) : 1.0;
}

}  // namespace

Result<std::uint64_t> Server::memory_for(const nlohmann::json& message) const {
  const std::uint64_t asked = find_number(message, "memory").value_or(0);
  const std::uint64_t bytes = asked == 0 ? options_.memory_bytes : asked;
  if (bytes > options_.memory_limit) {
    return failure("an application has at most " + std::to_string(options_.memory_limit) + " bytes of memory, not " +
                   std::to_string(bytes) + "; start the daemon with a larger --memory-limit");
  }
  return bytes;
}

std::filesystem::path Server::client_traces() const {
  const std::filesystem::path& own = options_.accelerators.trace;
  return own.empty() ? own : std::filesystem::absolute(own.string() + ".applications");
}

Status Server::hello(Peer& peer, const nlohmann::json& message, Instant patience) {
  if (peer.client) return failure("this connection is a client's already");
  if (find_number(message, "protocol") != protocol_version) {
    return failure("the daemon speaks version " + std::to_string(protocol_version) +
                   " of the protocol, the application another one; use both of one version");
  }
  const auto clients = std::ranges::count_if(peers_, [](const auto& item) { return item.second.client != nullptr; });
  if (static_cast<std::uint32_t>(clients) >= options_.clients) {
    return failure("the daemon has " + std::to_string(clients) + " applications, as many as it may; try again later");
  }
  const auto memory = memory_for(message);
  if (!memory) return tl::make_unexpected(memory.error());
  ClientFacts facts;
  facts.id = peer.id;
  facts.process = peer.process;
  facts.memory_bytes = *memory;
  facts.call_limit = options_.call_limit;
  const std::string* name = find_text(message, "name");
  facts.name = name == nullptr ? "client" : name->substr(0, 64);
  if (const auto found = message.find("priority"); found != message.end() && found->is_number_integer()) {
    facts.priority = static_cast<std::int32_t>(std::clamp<std::int64_t>(found->get<std::int64_t>(), -1000, 1000));
  }
  const auto waits = message.find("waits");
  facts.waits = waits != message.end() && *waits == true;
  if (const auto found = message.find("weight"); found != message.end() && found->is_number()) {
    facts.weight = clamped_weight(found->get<double>());
  }
  // The end of the process is seen also when a child of it still holds the connection.
  if (!peer.exit) peer.exit = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, peer.process, 0)));
  auto client = ClientSession::make(std::move(facts), *accelerators_, [this, id = peer.id](ClientSession::Ended ended) {
    if (ended.held) loop_->post([this, id] { serve(id); });
    if (ended.refused) loop_->post([this] { tell_devices(); });
    if (leaving_count_.load() != 0) loop_->post([this] { reap(); });
  });
  if (!client) {
    if (Clock::now() >= patience) return tl::make_unexpected(client.error());
    parked_.push_back({peer.id, message, patience});
    loop_->at(patience, [this] { retry_hellos(); });
    return {};
  }
  peer.client = std::move(*client);
  peer.client->page().absent.store(absent_);
  const std::uint64_t id = peer.id;
  if (peer.exit) static_cast<void>(loop_->add(peer.exit.get(), [this, id](std::uint32_t) { end(id); }));
  static_cast<void>(loop_->add(peer.client->bell(), [this, id](std::uint32_t) { ring(id); }));
  const ClientFacts& known = peer.client->facts();
  if (!known.waits) cores_.add(id, peer.client->page(), known.priority, known.weight, Clock::now());
  const nlohmann::json welcome = {{"client", id},
                                  {"policy", options_.client_policy},
                                  {"soc", to_json(accelerators_->soc())},
                                  {"traces", peer.owner ? client_traces().string() : ""}};
  answer(peer, welcome, peer.client->descriptors());
  return {};
}

void Server::become(int process, const JobSpec& job) {
  const auto found = std::ranges::find_if(peers_, [process](const auto& item) {
    return item.second.process == process && item.second.client && item.second.client->facts().waits;
  });
  if (found == peers_.end()) return;
  ClientSession& client = *found->second.client;
  // Whatever it was called then, it may compute.
  static_cast<void>(client.become(job.name, static_cast<std::int32_t>(job.priority), clamped_weight(job.weight)));
  cores_.add(found->first, client.page(), client.facts().priority, client.facts().weight, Clock::now());
}

void Server::retry_hellos() {
  std::list<Parked> waiting;
  waiting.swap(parked_);
  for (const Parked& parked : waiting) {
    const auto found = peers_.find(parked.peer);
    if (found == peers_.end()) continue;
    const auto done = hello(found->second, parked.message, parked.patience);
    if (!done) answer(found->second, error_message(done.error().message));
  }
}

void Server::prepare(Peer& peer, const nlohmann::json& message) {
  const auto index = find_number(message, "id");
  if (!index || *index >= max_prepared) {
    return answer(peer, error_message("a call has an id below " + std::to_string(max_prepared)));
  }
  if (peer.preparing) return answer(peer, error_message("another call of this application is being prepared"));
  peer.preparing = true;
  const auto done = [this, id = peer.id, index = *index](const Preparations::Prepared& call) {
    const auto found = peers_.find(id);
    if (found == peers_.end()) return;
    found->second.preparing = false;
    if (call) found->second.client->remember(index, *call);
    answer(found->second, call ? nlohmann::json::object() : error_message(call.error().message));
  };
  preparations_.add(message, peer.client->memory_bytes(), done);
}

void Server::ring(std::uint64_t id) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || !found->second.client) return;
  std::uint64_t count = 0;
  static_cast<void>(!::read(found->second.client->bell(), &count, sizeof(count)));
  serve(id);
  balance();
}

void Server::serve(std::uint64_t id) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || !found->second.client) return;
  if (const Status good = found->second.client->serve(); !good) expel(id, good.error().message);
}

void Server::tell_devices() {
  std::uint32_t absent = 0;
  for (std::size_t i = 0; i < accelerators_->count(); ++i) {
    if (accelerators_->scheduler()->status(i).condition != DeviceCondition::working) absent |= 1U << i;
  }
  if (absent == absent_) return;
  absent_ = absent;
  for (auto& [id, peer] : peers_) {
    if (peer.client) peer.client->page().absent.store(absent);
  }
}

void Server::balance() {
  const auto next = cores_.balance(Clock::now());
  for (const std::uint64_t id : cores_.take_violators()) expel(id, "the words of its cores have what no client writes");
  if (!next || next_balance_) return;
  next_balance_ = next;
  loop_->at(*next, [this] {
    next_balance_.reset();
    balance();
  });
}

void Server::end(std::uint64_t id) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  loop_->remove(peer.socket.get());
  jobs_->forget_waiting(id);
  if (peer.client) {
    if (peer.exit) loop_->remove(peer.exit.get());
    loop_->remove(peer.client->bell());
    cores_.remove(id, Clock::now());
    leaving_.push_back(std::move(peer.client));
    ++leaving_count_;
  }
  peers_.erase(found);
  reap();
  balance();
}

void Server::expel(std::uint64_t id, const std::string& why) {
  // Whoever is at it now goes on with this connection.
  loop_->post([this, id, why] {
    const auto found = peers_.find(id);
    if (found == peers_.end()) return;
    Peer& peer = found->second;
    const std::string report = "broke the protocol of the daemon: " + why;
    static_cast<void>(send_message(peer.socket.get(), error_message("this application " + report), {}, false));
    if (peer.client) {
      const ClientFacts& facts = peer.client->facts();
      const std::uint64_t job = jobs_->job_of(facts.process);
      expelled_.push_back({{"process", facts.process}, {"name", facts.name}, {"job", job}, {"report", report}});
      if (expelled_.size() > most_expelled) expelled_.pop_front();
      jobs_->condemn(facts.process, "because it " + report);
    }
    end(id);
  });
}

/// Gives memory of dead clients back as soon as no transfer can touch it any more.
void Server::reap() {
  const std::size_t gone = std::erase_if(leaving_, [](const auto& client) { return client->idle(); });
  leaving_count_ -= gone;
  if (gone != 0) retry_hellos();
  // Between a call's answer and the end of its group lies a moment.
  if (!leaving_.empty()) loop_->at(Clock::now() + std::chrono::milliseconds(10), [this] { reap(); });
}

}  // namespace cosoc::daemon

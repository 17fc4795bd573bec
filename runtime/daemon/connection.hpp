/// The client's end: one connection with a daemon, and the memory that it shares with it.
#pragma once

#include <memory>
#include <mutex>
#include <thread>

#include "daemon/shared_page.hpp"
#include "daemon/socket.hpp"
#include "device/descriptor.hpp"

namespace cosoc::daemon {

/// Version of messages and of the shared page; both sides must have the same.
inline constexpr std::uint64_t protocol_version = 1;

struct ConnectionOptions {
  std::filesystem::path socket;
  std::string name = "client";
  std::uint64_t memory_bytes = 0;  // 0: what the daemon gives
  std::int32_t priority = 0;
  double weight = 1.0;
  bool waits = false;  // for an application: it gets no cores until it has become one
};

class Connection {
 public:
  /// Blocks while the daemon is full.
  static Result<std::shared_ptr<Connection>> open(const ConnectionOptions& options);
  /// What the environment says: COSOC_NAME, COSOC_PRIORITY, COSOC_WEIGHT, COSOC_MEMORY.
  static ConnectionOptions options_of_environment(const std::filesystem::path& socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// What the daemon said at the start: mode, policy, soc.
  const nlohmann::json& welcome() const { return welcome_; }
  std::span<std::byte> memory() const { return memory_.bytes(); }
  SharedPage& page() const { return *reinterpret_cast<SharedPage*>(page_.bytes().data()); }

  /// A message and its answer; an answer that tells an error is that error. From any thread.
  Result<nlohmann::json> request(const nlohmann::json& message);
  /// Tells the daemon that something in the page changed.
  void ring();
  bool ended() const { return page().ended.load(std::memory_order_acquire) != 0; }

 private:
  Connection() = default;
  Status map(std::vector<Descriptor> descriptors);
  void watch();

  Descriptor socket_;
  Descriptor bell_;
  SharedMapping page_;
  SharedMapping memory_;
  nlohmann::json welcome_;
  std::mutex mutex_;     // of a message and its answer
  std::thread watcher_;  // wakes everybody when the daemon is gone
};

/// Sends one message over an open connection with a daemon and gives its answer.
Result<nlohmann::json> ask(const Descriptor& connection, const nlohmann::json& message);
/// The same over a connection of its own: what the command line does.
Result<nlohmann::json> ask(const std::filesystem::path& socket, const nlohmann::json& message);

}  // namespace cosoc::daemon

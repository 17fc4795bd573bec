/// The daemon: its socket, clients and jobs, on one thread beside those of the accelerators.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>

#include "daemon/accelerators.hpp"
#include "daemon/client_session.hpp"
#include "daemon/cores.hpp"
#include "daemon/device_orders.hpp"
#include "daemon/event_loop.hpp"
#include "daemon/jobs.hpp"
#include "daemon/preparations.hpp"
#include "daemon/socket.hpp"

namespace cosoc::daemon {

struct ServerOptions {
  std::filesystem::path socket = {};
  std::string mode_name = {};  // for `ps`
  std::string group = {};      // that may use it too, as clients
  AcceleratorOptions accelerators = {};
  std::string client_policy = "EFT";  // of the sessions of clients
  std::uint64_t memory_bytes = 0;     // of a client that asks for none; 0: a 16th of the SoC's
  std::uint64_t memory_limit = 0;     // of any client; 0: half of the SoC's
  std::uint32_t clients = 64;         // at a time
  std::uint32_t call_limit = 0;       // calls of one client on accelerators at a time; 0: one for each accelerator
  CoreTimes times = {};
  JobOptions jobs = {};
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> open(const ServerOptions& options);
  /// Over accelerators of the caller's, for tests.
  static Result<std::unique_ptr<Server>> over(const ServerOptions& options, Listener listener,
                                              std::unique_ptr<Accelerators> accelerators);
  ~Server();

  /// Serves until `stop`, or a client's wish.
  void run() { loop_->run(); }
  /// Stops when the descriptor, which outlives this, has something to read.
  Status stop_on(int descriptor) {
    return loop_->add(descriptor, [this](std::uint32_t) { stop(); });
  }
  /// From any thread.
  void stop() { loop_->stop(); }

 private:
  /// One connection: a client, or somebody who asks something.
  struct Peer {
    std::uint64_t id = 0;
    Descriptor socket;
    int process = 0;
    bool owner = false;  // the daemon's own user, or root
    Descriptor exit;     // of its process
    bool preparing = false;
    std::unique_ptr<ClientSession> client;
  };

  Server(ServerOptions options, std::unique_ptr<EventLoop> loop, Listener listener,
         std::unique_ptr<Accelerators> accelerators);
  Status start();
  void accept();
  void receive(std::uint64_t id, std::uint32_t events);
  void handle(Peer& peer, const nlohmann::json& message);
  void answer(Peer& peer, const nlohmann::json& message, std::span<const int> descriptors = {});
  void end(std::uint64_t id);
  /// Ends a connection, and the application if it is one's, because of what it did; when the loop comes to it.
  void expel(std::uint64_t id, const std::string& why);
  void reap();

  /// Makes a client of a connection. When only memory is missing and `patience` is left, it waits for that of others.
  Status hello(Peer& peer, const nlohmann::json& message, Instant patience);
  void retry_hellos();
  /// The client of a process that waited becomes an application: it gets its name, and cores.
  void become(int process, const JobSpec& job);
  /// Answers when the call is compiled.
  void prepare(Peer& peer, const nlohmann::json& message);
  Result<std::uint64_t> memory_for(const nlohmann::json& message) const;
  /// The folder where clients of the daemon's user write what their cores do; none without a trace.
  std::filesystem::path client_traces() const;
  nlohmann::json overview() const;
  nlohmann::json devices() const;
  /// Removes or adds an accelerator; answers when that is done.
  void order(Peer& peer, const nlohmann::json& message, bool adds);
  /// Answers a connection later, if it is still there.
  std::function<void(const Result<nlohmann::json>&)> answering(std::uint64_t id);
  /// Tells all clients which accelerators there are for them.
  void tell_devices();
  void ring(std::uint64_t id);
  void serve(std::uint64_t id);
  void balance();

  ServerOptions options_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Accelerators> accelerators_;
  Preparations preparations_;
  DeviceOrders device_orders_;
  Cores cores_;
  std::optional<Instant> next_balance_;
  std::map<std::uint64_t, Peer> peers_;
  std::vector<std::unique_ptr<ClientSession>> leaving_;  // dead clients with calls on their way
  std::atomic<std::size_t> leaving_count_ = 0;
  std::uint64_t last_peer_ = 0;
  std::uint32_t absent_ = 0;  // accelerators, as clients were told
  /// Clients that wait for memory, in the order in which they came.
  struct Parked {
    std::uint64_t peer;
    nlohmann::json message;
    Instant patience;
  };
  std::list<Parked> parked_;
  /// The last clients that were expelled, for `ps`.
  std::deque<nlohmann::json> expelled_;
  std::unique_ptr<Jobs> jobs_;
  Listener listener_;  // last made, first gone: nobody connects to a daemon that ends
};

}  // namespace cosoc::daemon

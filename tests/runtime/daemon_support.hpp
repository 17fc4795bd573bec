/// A daemon in the process of a test, and what its applications do.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <thread>

#include "daemon/connection.hpp"
#include "daemon/server.hpp"
#include "support.hpp"

namespace test {

using namespace cosoc;
using namespace cosoc::daemon;
using std::chrono::milliseconds;

/// Of calls that do not hang: none takes so long, however slow the machine is.
constexpr Time patience = std::chrono::seconds(60);

/// A daemon in this process, over a platform with a fault in its FFT.
class FaultyDaemon {
 public:
  explicit FaultyDaemon(Fault fault, int times = 1, Time deadline = milliseconds(100),
                        const AcceleratorOptions& how = {}, const ServerOptions& options = {})
      : FaultyDaemon({"fft0", fault, times}, make_soc(), fault == Fault::none ? patience : deadline, how, options) {}
  FaultyDaemon(const FaultPlan& plan, const SoCDescription& soc, Time deadline, const AcceleratorOptions& how = {},
               ServerOptions options = {}) {
    socket_ = std::filesystem::temp_directory_path() / ("cosoc-test-" + std::to_string(::getpid()) + ".socket");
    auto accelerators = Accelerators::over(how, soc, make_threaded_platform(soc, plan), deadline);
    REQUIRE(accelerators);
    auto listener = Listener::open(socket_, "");
    REQUIRE(listener);
    options.socket = socket_;
    auto server = Server::over(options, std::move(*listener), std::move(*accelerators));
    if (!server) FAIL(server.error().message);
    server_ = std::move(*server);
    thread_ = std::thread([this] { server_->run(); });
  }
  ~FaultyDaemon() {
    server_->stop();
    thread_.join();
  }

  const std::filesystem::path& socket() const { return socket_; }

  Session session(SessionOptions options = {}) const {
    options.daemon = socket_;
    auto session = Session::open(options);
    if (!session) FAIL(session.error().message);
    return *session;
  }

 private:
  std::filesystem::path socket_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

/// What `ps` says.
inline nlohmann::json state_of(const FaultyDaemon& daemon) {
  auto state = ask(daemon.socket(), {{"type", "ps"}});
  if (!state) FAIL(state.error().message);
  return *state;
}

/// Calls of all clients that reached the daemon's accelerators, or wait for one.
inline std::uint64_t calls_of(const FaultyDaemon& daemon) {
  std::uint64_t sum = 0;
  const auto state = state_of(daemon);
  for (const auto& client : state.at("clients")) sum += client.at("calls").get<std::uint64_t>();
  return sum;
}

inline void wait_until(const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(1));
  REQUIRE(condition());
}

/// Transforms an impulse again and again on one of these kinds of devices; what went wrong, if anything did.
inline std::string transform_impulse(Session session, std::vector<std::string> devices, int count) {
  const auto client = session.client();
  const TensorType type{.dtype = DType::complex64, .shape = {8, 1024}};
  const auto call = client->prepare(make_kernel("fft", {{"direction", "forward"}}), {type}, {type},
                                    {.name = {}, .devices = std::move(devices)});
  if (!call) return call.error().message;
  const auto x = client->allocate(type);
  const auto y = client->allocate(type);
  if (!x || !y) return "no memory";
  x->as<float>()[0] = 1.0F;
  for (int i = 0; i < count; ++i) {
    y->as<float>()[500] = 77.0F;
    if (const auto done = client->call(*call, {*x}, {*y}); !done) return done.error().message;
    for (std::size_t k = 0; k < 1024; ++k) {
      if (y->as<float>()[2 * k] != 1.0F) return "wrong result at " + std::to_string(k);
    }
  }
  return "";
}

}  // namespace test

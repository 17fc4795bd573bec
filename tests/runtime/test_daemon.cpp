/// Loans of cores, and applications under a daemon whose accelerators fail.
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "daemon/connection.hpp"
#include "daemon/server.hpp"
#include "daemon/work_order.hpp"
#include "runtime/support.hpp"

namespace test {
namespace {

using namespace cosoc;
using namespace cosoc::daemon;
using std::chrono::milliseconds;

/// Cores and the pages of clients, on a clock of the test.
struct Lending {
  explicit Lending(std::uint32_t count) : cores(count, {.slice = milliseconds(2), .limit = milliseconds(50)}) {}

  SharedPage& add(std::uint64_t client, std::int32_t priority = 0, double weight = 1.0) {
    pages.push_back(std::make_unique<SharedPage>());
    cores.add(client, *pages.back(), priority, weight, now);
    return *pages.back();
  }
  auto after(int time) {
    now += milliseconds(time);
    return cores.balance(now);
  }

  std::vector<std::unique_ptr<SharedPage>> pages;
  Cores cores;
  Instant now{};
};

Loan loan(const SharedPage& page, std::size_t core) { return loan_of(page.cores[core].word.load()); }

void set(SharedPage& page, std::size_t core, Loan to) {
  page.cores[core].word.store(with_loan(page.cores[core].word.load(), to));
}

TEST_CASE("a client alone has all cores, and nobody wakes up for it") {
  Lending lending(3);
  const SharedPage& page = lending.add(1);
  for (std::size_t core = 0; core < 3; ++core) CHECK(loan(page, core) == Loan::idle);
  CHECK(lending.cores.held_by(1) == 3);
  CHECK_FALSE(lending.after(1).has_value());
}

TEST_CASE("who comes later gets a core that lies idle") {
  Lending lending(2);
  SharedPage& first = lending.add(1);
  set(first, 0, Loan::busy);
  const SharedPage& second = lending.add(2);
  CHECK(loan(first, 0) == Loan::busy);
  CHECK(loan(first, 1) == Loan::none);
  CHECK(loan(second, 1) == Loan::idle);
}

TEST_CASE("equal clients take turns, of as many slices as their weights") {
  Lending lending(1);
  SharedPage& first = lending.add(1, 0, 3.0);
  set(first, 0, Loan::busy);
  SharedPage& second = lending.add(2);
  second.wanted = 1;
  CHECK(lending.after(1).has_value());
  lending.after(4);
  CHECK(loan(first, 0) == Loan::busy);
  lending.after(2);
  CHECK(loan(first, 0) == Loan::wanted);
  // Given back, and wanted again at once.
  set(first, 0, Loan::none);
  first.wanted = 1;
  lending.after(0);
  REQUIRE(loan(second, 0) == Loan::idle);
  set(second, 0, Loan::busy);
  second.wanted = 0;
  lending.after(1);
  CHECK(loan(second, 0) == Loan::busy);
  lending.after(2);
  CHECK(loan(second, 0) == Loan::wanted);
}

TEST_CASE("higher priority gets a core back at once, lower priority only what is left") {
  Lending lending(1);
  SharedPage& low = lending.add(1, -1);
  set(low, 0, Loan::busy);
  SharedPage& high = lending.add(2, 5);
  high.wanted = 1;
  lending.after(0);
  CHECK(loan(low, 0) == Loan::wanted);
  set(low, 0, Loan::none);
  low.wanted = 1;
  lending.after(0);
  REQUIRE(loan(high, 0) == Loan::idle);
  set(high, 0, Loan::busy);
  high.wanted = 0;
  for (int i = 0; i < 20; ++i) lending.after(10);
  CHECK(loan(high, 0) == Loan::busy);
}

TEST_CASE("a core that does not come back is lent again, and its late holder cannot give it back") {
  Lending lending(1);
  SharedPage& stopped = lending.add(1);
  set(stopped, 0, Loan::busy);
  const std::uint32_t before = stopped.cores[0].word.load();
  SharedPage& waiting = lending.add(2);
  waiting.wanted = 1;
  lending.after(3);
  CHECK(loan(stopped, 0) == Loan::wanted);
  lending.after(40);
  CHECK(lending.cores.held_by(2) == 0);
  lending.after(20);
  CHECK(lending.cores.overruns(1) == 1);
  CHECK(loan(waiting, 0) == Loan::idle);
  // It was lent to the stopped one again in the meantime: his old word does not match.
  waiting.wanted = 0;
  stopped.wanted = 1;
  lending.after(10);
  CHECK(loan(stopped, 0) == Loan::idle);
  std::uint32_t expected = before;
  CHECK_FALSE(stopped.cores[0].word.compare_exchange_strong(expected, with_loan(before, Loan::idle)));
}

TEST_CASE("garbage in a page takes no core from others for good") {
  Lending lending(4);
  SharedPage& garbage = lending.add(1);
  SharedPage& good = lending.add(2);
  std::minstd_rand random(3);
  int served = 0;
  for (int round = 0; round < 2000; ++round) {
    for (SharedCore& core : garbage.cores) core.word.store(static_cast<std::uint32_t>(random() % 64));
    garbage.wanted.store(static_cast<std::uint32_t>(random()));
    good.wanted = 1;
    lending.after(60);
    for (std::size_t core = 0; core < 4; ++core) {
      if (loan(good, core) == Loan::none) continue;
      ++served;
      set(good, core, Loan::none);
    }
  }
  CHECK(served > 500);
}

TEST_CASE("the cores of a dead client are others'") {
  Lending lending(2);
  SharedPage& dead = lending.add(1);
  set(dead, 0, Loan::busy);
  set(dead, 1, Loan::busy);
  SharedPage& waiting = lending.add(2);
  waiting.wanted = 2;
  lending.cores.remove(1, lending.now);
  CHECK_FALSE(lending.after(0).has_value());
  CHECK(lending.cores.held_by(2) == 2);
}

/// A daemon in this process, over a platform with a fault.
class FaultyDaemon {
 public:
  explicit FaultyDaemon(Fault fault, int times = 1, Time deadline = milliseconds(100)) {
    const SoCDescription soc = make_soc();
    socket_ = "/tmp/cosoc-test-" + std::to_string(::getpid()) + ".socket";
    auto accelerators = Accelerators::over({}, soc, make_threaded_platform(soc, {"fft0", fault, times}), deadline);
    REQUIRE(accelerators);
    auto listener = Listener::open(socket_, "");
    REQUIRE(listener);
    ServerOptions options;
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

  Session session() const {
    SessionOptions options;
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

TEST_CASE("a daemon in a process leaves the signals of that process alone") {
  const FaultyDaemon daemon(Fault::none);
  sigset_t blocked;
  REQUIRE(::pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0);
  CHECK(::sigismember(&blocked, SIGTERM) == 0);
  CHECK(::sigismember(&blocked, SIGINT) == 0);
}

/// The call of a convolution that takes some tens of milliseconds to compile.
nlohmann::json large_layer() {
  const auto type = [](DType dtype, std::vector<std::int64_t> shape) {
    return to_json(TensorType{.dtype = dtype, .shape = std::move(shape)});
  };
  return {
      {"type", "prepare"},
      {"id", 0},
      {"operation", "conv2d"},
      {"attributes",
       {{"stride", {1, 1}}, {"padding", {1, 1, 1, 1}}, {"dilation", {1, 1}}, {"groups", 1}, {"clamp", {-128, 127}}}},
      {"inputs",
       {type(DType::int8, {1, 64, 64, 64}), type(DType::int8, {128, 3, 3, 64}), type(DType::int32, {128}),
        type(DType::float32, {128})}},
      {"outputs", {type(DType::int8, {1, 64, 64, 128})}}};
}

TEST_CASE("others are answered while a large layer is compiled") {
  const FaultyDaemon daemon(Fault::none);
  const auto connection = Connection::open({.socket = daemon.socket(), .memory_bytes = 1 << 20});
  REQUIRE(connection);
  std::atomic<bool> compiled = false;
  bool succeeded = false;
  std::thread client([&] {
    succeeded = (*connection)->request(large_layer()).has_value();
    compiled = true;
  });
  // One answer after the other; the compilation takes as long as many of them.
  int answers = 0;
  for (; !compiled; ++answers) REQUIRE(ask(daemon.socket(), {{"type", "ps"}}));
  client.join();
  CHECK(succeeded);
  CHECK(answers > 3);
}

/// Transforms an impulse again and again on one of these kinds of devices; what went wrong, if anything did.
std::string transform_impulse(Session session, std::vector<std::string> devices, int count) {
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

TEST_CASE("a failing or hanging accelerator of the daemon leaves right results, and the next application whole") {
  const Fault fault = GENERATE(Fault::fails, Fault::hangs, Fault::loses_interrupt, Fault::stays_in_reset);
  const int times = GENERATE(1, 100);
  const FaultyDaemon daemon(fault, times);
  CHECK(transform_impulse(daemon.session(), {"fft", "cpu"}, 3) == "");
  // The second one comes when the accelerator is in whatever state the first one left it in.
  CHECK(transform_impulse(daemon.session(), {"fft", "cpu"}, 3) == "");
}

/// What `ps` says of an accelerator.
std::string condition_of(const FaultyDaemon& daemon, const std::string& name) {
  const auto state = ask(daemon.socket(), {{"type", "ps"}});
  if (!state) return state.error().message;
  for (const auto& device : state->at("devices")) {
    if (device.at("name") == name) return device.at("condition");
  }
  return "absent";
}

/// An order to the daemon; the error, if it is one.
std::string order(const FaultyDaemon& daemon, const std::string& type, const std::string& device) {
  const auto answer = ask(daemon.socket(), {{"type", type}, {"device", device}});
  return answer ? "" : answer.error().message;
}

TEST_CASE("an accelerator of a daemon leaves and comes back, and who asks for what makes no sense is told") {
  const FaultyDaemon daemon(Fault::none);
  const Session session = daemon.session();
  CHECK(transform_impulse(session, {"fft"}, 2) == "");
  CHECK(order(daemon, "remove", "fft0") == "");
  CHECK(condition_of(daemon, "fft0") == "removed");
  CHECK(condition_of(daemon, "zip0") == "working");
  CHECK(transform_impulse(session, {"fft", "cpu"}, 2) == "");
  CHECK_THAT(transform_impulse(session, {"fft"}, 1), Catch::Contains("removed: fft0"));
  CHECK_THAT(order(daemon, "remove", "fft0"), Catch::Contains("fft0 is removed already"));
  CHECK(order(daemon, "add", "fft0") == "");
  CHECK(condition_of(daemon, "fft0") == "working");
  CHECK(transform_impulse(session, {"fft"}, 2) == "");
  CHECK_THAT(order(daemon, "add", "fft0"), Catch::Contains("is there and works"));
  CHECK_THAT(order(daemon, "remove", "cpu0"),
             Catch::Contains("there is no accelerator cpu0; there are c2d0, fft0, zip0"));
  CHECK_THAT(ask(daemon.socket(), {{"type", "add"}}).error().message, Catch::Contains("name of a device is missing"));
}

TEST_CASE("a removal waits for the call that runs and holds nobody up, and one that failed comes back by an add") {
  // Two attempts, which hang.
  const FaultyDaemon daemon(Fault::hangs, 2, milliseconds(300));
  const Session session = daemon.session();
  std::string problem = "none yet";
  std::thread application([&] { problem = transform_impulse(session, {"fft", "cpu"}, 1); });
  const auto calls = [&] { return ask(daemon.socket(), {{"type", "ps"}})->at("clients").at(0).at("calls"); };
  while (calls() == 0) std::this_thread::sleep_for(milliseconds(1));
  std::atomic<bool> removed = false;
  std::thread remover([&] {
    CHECK(order(daemon, "remove", "fft0") == "");
    removed = true;
  });
  // Who asks meanwhile is told that it is on its way out.
  int answers = 0;
  while (!removed) answers += condition_of(daemon, "fft0") == "removed" ? 1 : 0;
  CHECK(answers > 3);
  application.join();
  remover.join();
  CHECK(problem == "");
  // It failed on its way out, and may still write to memory.
  CHECK(condition_of(daemon, "fft0") == "failed");
  CHECK_THAT(order(daemon, "remove", "fft0"), Catch::Contains("did not finish") && Catch::Contains("add it"));
  CHECK(order(daemon, "add", "fft0") == "");
  CHECK(condition_of(daemon, "fft0") == "working");
  CHECK(transform_impulse(session, {"fft"}, 2) == "");
}

TEST_CASE("applications of one daemon compute side by side on one accelerator") {
  const FaultyDaemon daemon(Fault::none);
  std::vector<std::thread> applications;
  std::vector<std::string> problems(4);
  for (std::string& problem : problems) {
    Session session = daemon.session();
    applications.emplace_back([session, &problem] { problem = transform_impulse(session, {"fft"}, 20); });
  }
  for (std::thread& application : applications) application.join();
  CHECK(problems == std::vector<std::string>(4));
}

TEST_CASE("what a process is told comes over as it was") {
  const WorkOrder work = {.kind = WorkOrder::program,
                          .needs_session = true,
                          .host_memory = UINT64_MAX,
                          .folder = "/a b",
                          .environment = {"A=", "B=\n"},
                          .arguments = {"/p", "", "x y", ""}};
  const WorkOrder got = decode(encode(work));
  CHECK((got.kind == work.kind && got.needs_session && got.host_memory == work.host_memory));
  CHECK(got.folder == work.folder);
  CHECK(got.environment == work.environment);
  CHECK(got.arguments == work.arguments);
  CHECK(decode("").arguments.empty());
  CHECK(decode(std::string_view("1\0000\0000\000/\000999\000A", 13)).arguments.empty());
}

}  // namespace

}  // namespace test

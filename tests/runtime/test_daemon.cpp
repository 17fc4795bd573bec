/// Loans of cores, and applications under a daemon whose accelerators fail.
#include <poll.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <thread>

#include "daemon/work_order.hpp"
#include "runtime/daemon_support.hpp"
#include "runtime/policy_support.hpp"

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
  const auto socket = connect_to(daemon.socket());
  REQUIRE(socket);
  REQUIRE(send_message(socket->get(), {{"type", "hello"}, {"protocol", protocol_version}, {"memory", 1 << 20}}));
  REQUIRE(receive_message(socket->get()));
  // Four answers, one after the other, before that to the application, whose compilation takes as long as many of them.
  // This process may be held up meanwhile, but not every time.
  const auto answers_come_first = [&] {
    REQUIRE(send_message(socket->get(), large_layer()));
    for (int i = 0; i < 4; ++i) state_of(daemon);
    pollfd application{.fd = socket->get(), .events = POLLIN, .revents = 0};
    const bool first = ::poll(&application, 1, 0) == 0;
    const auto answer = receive_message(socket->get());
    REQUIRE((answer && *answer));
    CHECK((*answer)->text == "{}");
    return first;
  };
  bool first = false;
  for (int i = 0; i < 50 && !first; ++i) first = answers_come_first();
  CHECK(first);
}

TEST_CASE("a failing or hanging accelerator of the daemon leaves right results, and the next application whole") {
  const Fault fault =
      GENERATE(Fault::fails, Fault::hangs, Fault::loses_interrupt, Fault::stays_in_reset, Fault::wrong_configuration);
  const int times = GENERATE(1, 100);
  const FaultyDaemon daemon(fault, times);
  CHECK(transform_impulse(daemon.session(), {"fft", "cpu"}, 3) == "");
  // The second one comes when the accelerator is in whatever state the first one left it in.
  CHECK(transform_impulse(daemon.session(), {"fft", "cpu"}, 3) == "");
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

/// What a transform is expected to take on the accelerator, in ns.
std::uint64_t time_on_fft(const TensorType& type) {
  Session session = open(make_soc(), make_faulty_platform(make_soc(), {}), {.mode = Mode::model});
  const auto client = session.client();
  const auto call =
      client->prepare(make_kernel("fft", {{"direction", "forward"}}), {type}, {type}, {.name = {}, .devices = {"fft"}});
  const auto x = client->allocate(type);
  if (!call || !x || !client->call(*call, {*x}, {*x})) FAIL("no call");
  return static_cast<std::uint64_t>(client->now().count());
}

TEST_CASE("the deadline of a client of a daemon counts for its own policy") {
  const FaultyDaemon daemon(Fault::none);
  const TensorType type{.dtype = DType::complex64, .shape = {1, 1024}};
  // Slower on a core than on the accelerator, by less than that takes more power: 1 us and 0.6 operations in a ns.
  const std::uint64_t operations = (time_on_fft(type) * 3 / 2 - 1000) * 6 / 10;
  const auto ran_on_core = [&](std::optional<Time> deadline) {
    Session session = daemon.session({.policy = "ENERGY"});
    const auto client = session.client({.deadline = deadline});
    const auto transform = make_kernel("fft", {{"direction", "forward"}});
    std::atomic<bool> on_core = false;
    const auto set = [&](auto, auto) {
      on_core = true;
      return Status();
    };
    const auto call =
        client->prepare(make_user_kernel("transform", set, operations, {{"fft", transform}}), {type}, {type});
    const auto x = client->allocate(type);
    const auto y = client->allocate(type);
    if (!call || !x || !y || !client->submit(*call, {*x}, {*y}).wait()) FAIL("no call");
    return on_core.load();
  };
  CHECK(ran_on_core({}));
  CHECK_FALSE(ran_on_core(Time(1)));
}

TEST_CASE("the deadline of a call reaches the policy of the daemon's accelerators") {
  // This one does without tasks that have no deadline.
  const FaultyDaemon daemon(Fault::none, 0, milliseconds(100), {.policy = plugin_path("test_deadline_policy")});
  CHECK(transform_impulse(daemon.session({.deadline = std::chrono::seconds(60)}), {"fft"}, 2) == "");
  CHECK_THAT(transform_impulse(daemon.session(), {"fft"}, 1), Catch::Contains("policy test_deadline_policy"));
}

TEST_CASE("a message is one object of at most 16 levels") {
  const auto nested = [](int levels) {
    return R"({"a":)" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}";
  };
  CHECK(parse_message(nested(16)));
  CHECK_FALSE(parse_message(nested(17)));
  CHECK_FALSE(parse_message(nested(1'000'000)));
  // Closed ones do not add up, and those in texts are none.
  CHECK(parse_message(R"({"a":[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]})"));
  CHECK(parse_message(R"({"a":"[[[[[[[[[[[[\"{{{{{{{{","b\\":"[[[[[[[[[[[[[[[[[["})"));
  for (const std::string_view text : {"", "[]", "1", "{", R"({"a":"\"})", R"({} {})"}) CHECK_FALSE(parse_message(text));
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

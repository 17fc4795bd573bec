/// What a daemon does with clients that want too much, or break the protocol.
#include <poll.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "daemon/futex.hpp"
#include "runtime/daemon_support.hpp"

namespace test {
namespace {

/// Products on ZIPs, and one transform on an FFT.
struct BothKinds {
  explicit BothKinds(Session session) : type{.dtype = DType::complex64, .shape = {4, 256}}, client(*session.client()) {
    for (int i = 0; i < 4; ++i) buffers.push_back(*client.allocate(type));
    fft = *client.prepare(make_kernel("fft", {{"direction", "forward"}}), {type}, {type},
                          {.name = {}, .devices = {"fft"}});
    zip = *client.prepare(make_kernel("zip", {{"operation", "mul"}}), {type, type}, {type},
                          {.name = {}, .devices = {"zip"}});
  }
  Future transform() { return client.submit(*fft, {buffers[0]}, {buffers[1]}); }
  Future multiply() { return client.submit(*zip, {buffers[2], buffers[2]}, {buffers[3]}); }

  TensorType type;
  Client client;
  std::vector<Buffer> buffers;
  std::optional<Call> fft;
  std::optional<Call> zip;
};

TEST_CASE("calls of an application beyond its limit are held back, and nobody else's") {
  // The first call of the FFT hangs for its deadline.
  const std::uint32_t limit = GENERATE(0, 1);
  CAPTURE(limit);
  const FaultyDaemon daemon(Fault::hangs, 1, milliseconds(1500), {}, {.call_limit = limit});
  BothKinds greedy(daemon.session());
  BothKinds other(daemon.session());
  const auto calls = [&] { return calls_of(daemon); };
  const Future slow = greedy.transform();
  wait_until([&] { return calls() == 1; });
  const Future next = greedy.multiply();
  CHECK(other.multiply().wait());
  if (limit == 0) {
    CHECK(next.wait());
    CHECK_FALSE(slow.ended());
  } else {
    std::this_thread::sleep_for(milliseconds(50));
    CHECK_FALSE(next.ended());
    CHECK_FALSE(slow.ended());
    CHECK(calls() == 2);
  }
  CHECK(slow.wait());
  CHECK(next.wait());
}

TEST_CASE("applications share an accelerator of the daemon by weight, and none starves") {
  SoCDescription soc = make_soc();
  soc.memory_bytes = 16 << 20;
  const std::vector<double> weights = {4, 1, 1, 1};
  // No call ends before everybody's next one is in the daemon: there is a choice at every turn, however slow somebody
  // is.
  std::atomic<const FaultyDaemon*> serving = nullptr;
  std::atomic<bool> done = false;
  const auto holds = [&](int begun) {
    const FaultyDaemon* daemon = serving;
    return !done && daemon != nullptr && calls_of(*daemon) < static_cast<std::uint64_t>(begun) - 1 + weights.size();
  };
  const FaultyDaemon daemon({.accelerator = "fft0", .holds = holds}, soc, patience);
  serving = &daemon;
  std::vector<BothKinds> applications;
  for (const double weight : weights) {
    ::setenv("COSOC_WEIGHT", std::to_string(weight).c_str(), 1);
    applications.emplace_back(daemon.session());
  }
  ::unsetenv("COSOC_WEIGHT");
  // Until one has had this many calls.
  constexpr int most = 40;
  std::atomic<int> failures = 0;
  std::vector<int> counts(weights.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    threads.emplace_back([&, i] {
      while (!done) {
        failures += applications[i].transform().wait() ? 0 : 1;
        if (++counts[i] == most) done = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CAPTURE(counts);
  // One has at most every second turn, because it asks for the next one when it has had the last.
  for (std::size_t i = 1; i < counts.size(); ++i) {
    CHECK(2 * counts[0] > 3 * counts[i]);
    CHECK(counts[i] > most / 5);
  }
}

/// A client that was ended: its connection says so, and `ps` why.
void check_expelled(const FaultyDaemon& daemon, const std::string& why) {
  wait_until([&] { return !state_of(daemon).at("expelled").empty(); });
  const auto report = state_of(daemon).at("expelled").back().at("report").get<std::string>();
  CHECK_THAT(report, Catch::StartsWith("broke the protocol of the daemon: ") && Catch::Contains(why));
  CHECK(transform_impulse(daemon.session(), {"fft"}, 2) == "");
}

std::shared_ptr<Connection> connect(const FaultyDaemon& daemon) {
  auto connection = Connection::open({.socket = daemon.socket(), .name = "bad", .memory_bytes = 1 << 20});
  if (!connection) FAIL(connection.error().message);
  return *connection;
}

/// The call of an FFT.
nlohmann::json prepare_fft() {
  const auto type = to_json(TensorType{.dtype = DType::complex64, .shape = {1, 256}});
  return {{"type", "prepare"}, {"id", 0},          {"operation", "fft"}, {"attributes", {{"direction", "forward"}}},
          {"inputs", {type}},  {"outputs", {type}}};
}

TEST_CASE("what no client writes into shared memory ends the client with a report, and nothing else") {
  const FaultyDaemon daemon(Fault::none);
  const auto connection = connect(daemon);
  REQUIRE(connection->request(prepare_fft()));
  SharedPage& page = connection->page();
  Mailbox& mailbox = page.mailboxes[1];
  PostedCall& posted = mailbox.posted;
  posted = {.call = 0, .inputs = 1, .outputs = 1, .slack_ns = INT64_MAX, .operands = {}};
  posted.operands[0].offset = 0;
  posted.operands[1].offset = 4096;
  std::string why;
  SECTION("an operand behind the memory") {
    posted.operands[1].offset = (1 << 20) - 16;
    why = "memory that is not the application's";
  }
  SECTION("an operand that overflows") {
    posted.operands[0].offset = UINT64_MAX - 15;
    why = "memory that is not the application's";
  }
  SECTION("an operand that is not aligned") {
    posted.operands[0].offset = 8;
    why = "memory that is not the application's";
  }
  SECTION("a call that was not prepared") {
    posted.call = 7;
    why = "was not prepared";
  }
  SECTION("a call of no index") {
    posted.call = UINT32_MAX;
    why = "was not prepared";
  }
  SECTION("another number of operands") {
    posted.inputs = 2;
    why = "another number of operands";
  }
  mailbox.state.store(static_cast<std::uint32_t>(MailState::posted));
  SECTION("a state that is none") {
    mailbox.state.store(9);
    why = "a mailbox has a state that is none";
  }
  SECTION("the head of the page") {
    page.layout = 77;
    why = "the head of its page";
  }
  SECTION("a core that was not asked back, returned") {
    mailbox.state.store(static_cast<std::uint32_t>(MailState::free));
    page.cores[2].word.store(with_loan(page.cores[2].word.load(), Loan::none));
    why = "the words of its cores";
  }
  SECTION("a core of another loan") {
    mailbox.state.store(static_cast<std::uint32_t>(MailState::free));
    page.cores[2].word.fetch_add(4);
    why = "the words of its cores";
  }
  connection->ring();
  check_expelled(daemon, why);
  wait_until([&] { return connection->ended(); });
  CHECK(state_of(daemon).at("expelled").back().at("name") == "bad");
}

TEST_CASE("random bytes in shared memory end every client that writes them, beside one that computes") {
  const FaultyDaemon daemon(Fault::none);
  std::atomic<bool> done = false;
  std::string problem;
  std::thread good([&, session = daemon.session()] {
    while (!done && problem.empty()) problem = transform_impulse(session, {"fft", "cpu"}, 5);
  });
  std::minstd_rand random(11);
  for (int round = 0; round < 40; ++round) {
    const auto connection = connect(daemon);
    REQUIRE(connection->request(prepare_fft()));
    auto* words = reinterpret_cast<std::uint32_t*>(&connection->page());
    while (!connection->ended()) {
      for (std::size_t i = 0; i < sizeof(SharedPage) / 4; ++i) {
        if (words + i == reinterpret_cast<std::uint32_t*>(&connection->page().ended)) continue;
        const std::uint32_t value = random() % 4 == 0 ? static_cast<std::uint32_t>(random()) : random() % 5;
        std::atomic_ref(words[i]).store(value, std::memory_order_relaxed);
      }
      connection->ring();
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
  done = true;
  good.join();
  CHECK(problem == "");
  check_expelled(daemon, "");
}

TEST_CASE("a client that sends what is no message, or does not read, is ended with a report") {
  const FaultyDaemon daemon(Fault::none);
  const auto socket = connect_to(daemon.socket());
  REQUIRE(socket);
  const nlohmann::json hello = {
      {"type", "hello"}, {"protocol", protocol_version}, {"name", "bad"}, {"memory", 1 << 20}, {"weight", 1.0}};
  REQUIRE(send_message(socket->get(), hello));
  REQUIRE(receive_message(socket->get()));
  std::string why;
  SECTION("no JSON") {
    REQUIRE(send_text(socket->get(), "{ no"));
    why = "a message is one JSON object";
  }
  SECTION("no known message") {
    REQUIRE(send_text(socket->get(), R"({"type": "give me everything"})"));
    why = "no message \"give me everything\"";
  }
  SECTION("no reading") {
    // Until the daemon closes.
    while (send_text(socket->get(), R"({"type": "ps"})")) {
    }
    why = "does not read the answers";
  }
  check_expelled(daemon, why);
}

}  // namespace
}  // namespace test

/// Calls one by one: futures, order, failures, buffers, several clients at once.
#include <catch2/catch.hpp>
#include <numeric>
#include <thread>

#include "runtime/support.hpp"

namespace test {
namespace {

using namespace cosoc;

const TensorType numbers{.dtype = DType::float32, .shape = {64}};
const TensorType signal{.dtype = DType::complex64, .shape = {4, 256}};

/// A session without accelerators, on the wall clock or in simulated time.
Session open_session(bool simulated, std::uint32_t cores = 2) {
  SoCDescription soc = make_soc();
  soc.cpu_cores = cores;
  if (simulated) return open(soc, make_faulty_platform(soc, {"zip0", Fault::none, 0}));
  return open(soc, make_threaded_platform(soc, {"zip0", Fault::none, 0}));
}

/// out = first input + 1, on one CPU core.
Call increment(const Client& client, std::atomic<int>* runs = nullptr) {
  auto call = client.prepare(make_user_kernel(
                                 "increment",
                                 [runs](std::span<const TensorView> inputs, std::span<const TensorView> outputs) {
                                   const auto* in = inputs[0].as<float>();
                                   for (int i = 0; i < 64; ++i) outputs[0].as<float>()[i] = in[i] + 1;
                                   if (runs != nullptr) ++*runs;
                                   return Status();
                                 },
                                 64),
                             {numbers}, {numbers});
  REQUIRE(call);
  return *call;
}

Call failing(const Client& client) {
  auto call = client.prepare(make_user_kernel(
                                 "broken", [](auto, auto) -> Status { return failure("no luck"); }, 1),
                             {numbers}, {numbers}, {.name = "step7"});
  REQUIRE(call);
  return *call;
}

Buffer make(const Client& client, const TensorType& type = numbers) {
  auto buffer = client.allocate(type);
  REQUIRE(buffer);
  return *buffer;
}

TEST_CASE("calls follow those that they are told to follow") {
  const bool simulated = GENERATE(false, true);
  Session session = open_session(simulated);
  auto client = session.client({.name = "chain"});
  REQUIRE(client);
  const Call call = increment(*client);
  // A chain through one buffer: any other order gives another number.
  const Buffer x = make(*client);
  std::vector<Future> last;
  for (int i = 0; i < 5000; ++i) last = {client->submit(call, std::span(&x, 1), std::span(&x, 1), last)};
  REQUIRE(last.front().wait());
  CHECK(last.front().ended());
  CHECK(x.as<float>()[63] == 5000.0F);
}

TEST_CASE("a long chain that nobody looks at while it grows ends without deep recursion") {
  Session session = open_session(true);
  auto client = session.client();
  const Call call = increment(*client);
  const Buffer x = make(*client);
  std::vector<Future> futures = {client->submit(call, {x}, {x})};
  for (int i = 1; i < 200'000; ++i) futures = {client->submit(call, std::span(&x, 1), std::span(&x, 1), futures)};
  REQUIRE(futures.front().wait());
  CHECK(x.as<float>()[0] == 200'000.0F);
}

TEST_CASE("a failure reaches those that follow, also much later, and nobody else") {
  const bool simulated = GENERATE(false, true);
  Session session = open_session(simulated);
  auto client = session.client();
  std::atomic<int> runs = 0;
  const Call good = increment(*client, &runs);
  const Buffer x = make(*client);
  const Buffer y = make(*client);
  const Future broken = client->submit(failing(*client), {x}, {x});
  const Future follows = client->submit(good, {x}, {x}, {broken});
  const Future alone = client->submit(good, {y}, {y});
  CHECK_FALSE(follows.wait());
  CHECK_THAT(broken.wait().error().message, Catch::Contains("step7") && Catch::Contains("no luck"));
  CHECK(alone.wait());
  CHECK(y.as<float>()[5] == 1.0F);
  const Future late = client->submit(good, {x}, {x}, {alone, broken});
  CHECK_THAT(late.wait().error().message, Catch::Contains("no luck"));
  CHECK(x.as<float>()[5] == 0.0F);
  CHECK(runs == 1);
  CHECK_THAT(client->wait().error().message, Catch::Contains("no luck"));
  CHECK(client->wait());
}

TEST_CASE("operands of other types are refused, with the call's name") {
  Session session = open_session(true);
  auto client = session.client();
  const Call call = increment(*client);
  const Buffer wrong = make(*client, signal);
  const Buffer right = make(*client);
  CHECK_THAT(client->submit(call, {wrong}, {right}).wait().error().message,
             Catch::Contains("increment") && Catch::Contains("input 0") && Catch::Contains("complex64[4, 256]"));
  CHECK_THAT(client->call(call, {right}, {}).error().message, Catch::Contains("1 outputs; given are 0"));
  CHECK_THAT(right.write(std::vector<std::byte>(3)).error().message, Catch::Contains("256 bytes; given are 3"));
  const auto unknown = client->prepare(make_kernel("nothing", nlohmann::json::object()), {}, {});
  REQUIRE_FALSE(unknown);
  CHECK_THAT(unknown.error().message, Catch::Contains("unknown operation 'nothing'"));
  const auto homeless = client->prepare(make_user_kernel("k", nullptr, 1), {numbers}, {numbers}, {.devices = {"zip"}});
  REQUIRE_FALSE(homeless);
  CHECK_THAT(homeless.error().message, Catch::StartsWith("call k (k): no device can run it: zip0: "));
  CHECK_THAT(session.client({.weight = 0}).error().message, Catch::Contains("weight"));
}

TEST_CASE("a call runs on an accelerator, with the bits of its model, and says why it cannot") {
  Session session = open_session(true);
  auto client = session.client();
  const nlohmann::json add = {{"operation", "add"}};
  auto call = client->prepare(make_kernel("zip", add), {signal, signal}, {signal}, {.devices = {"zip"}});
  REQUIRE(call);
  CHECK(call->reason().empty());
  const Buffer a = make(*client, signal);
  const Buffer b = make(*client, signal);
  const Buffer sum = make(*client, signal);
  std::iota(a.as<float>().begin(), a.as<float>().end(), 0.0F);
  std::iota(b.as<float>().begin(), b.as<float>().end(), 100.0F);
  REQUIRE(client->submit(*call, {a, b}, {sum}).wait());
  for (int i = 0; i < 2048; ++i) REQUIRE(sum.as<float>()[i] == 100.0F + 2.0F * static_cast<float>(i));
  CHECK(client->now() > Time{});

  const TensorType odd{.dtype = DType::complex64, .shape = {12}};
  const nlohmann::json forward = {{"direction", "forward"}};
  auto cpu_only = client->prepare(make_kernel("fft", forward), {odd}, {odd}, {.devices = {"cpu", "fft"}});
  REQUIRE(cpu_only);
  CHECK_THAT(cpu_only->reason(), Catch::Contains("fft0") && Catch::Contains("12"));
}

TEST_CASE("buffers come back when their last handle is gone, not before their calls have ended") {
  Session session = open_session(false);
  auto client = session.client();
  const TensorType large{.dtype = DType::float32, .shape = {1 << 16}};
  auto slow = client->prepare(make_user_kernel(
                                  "slow",
                                  [](std::span<const TensorView> inputs, auto) {
                                    std::this_thread::sleep_for(std::chrono::milliseconds(2));
                                    const auto* x = inputs[0].as<float>();
                                    return x[0] == 7.0F && x[(1 << 16) - 1] == 0.0F ? Status() : failure("overwritten");
                                  },
                                  1),
                              {large}, {numbers});
  REQUIRE(slow);
  // Far more in total than there is memory, and some of it used by two calls at a time.
  for (int i = 0; i < 200; ++i) {
    const Buffer x = make(*client, large);
    x.as<float>()[0] = 7.0F;
    const Future future = client->submit(*slow, {x}, {make(*client)});
    if (i % 10 == 9) REQUIRE(client->wait());
  }
  CHECK(client->wait());
}

TEST_CASE("several threads and clients submit at the same time") {
  Session session = open_session(false);
  std::atomic<int> runs = 0;
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& bad : wrong) {
    // Catch's checks are for one thread.
    const auto client = session.client();
    REQUIRE(client);
    threads.emplace_back([client = *client, call = increment(*client, &runs), x = make(*client), &bad] {
      for (int round = 0; round < 200; ++round) {
        const Future first = client.submit(call, {x}, {x});
        const Future second = client.submit(call, {x}, {x}, {first});
        if (!second.wait()) ++bad;
        if (!client.call(call, {x}, {x})) ++bad;
      }
      if (x.as<float>()[0] != 600.0F) ++bad;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
  CHECK(runs == 4 * 600);
}

}  // namespace
}  // namespace test

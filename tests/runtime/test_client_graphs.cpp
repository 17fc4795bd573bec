/// Runs of models and of graphs of calls among the calls of clients; memory of the program as buffers.
#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>

#include "runtime/support.hpp"

namespace test {
namespace {

using namespace cosoc;

const TensorType numbers{.dtype = DType::float32, .shape = {64}};
const TensorType signal{.dtype = DType::complex64, .shape = {4, 64}};
const TensorType power{.dtype = DType::float32, .shape = {4, 64}};

Session open_session(bool simulated) {
  const SoCDescription soc = make_soc();
  if (simulated) return open(soc, make_faulty_platform(soc, {"zip0", Fault::none, 0}));
  return open(soc, make_threaded_platform(soc, {"zip0", Fault::none, 0}));
}

Buffer make(const Client& client, const TensorType& type) {
  auto buffer = client.allocate(type);
  REQUIRE(buffer);
  return *buffer;
}

/// out = f(first input), number by number.
Call map(const Client& client, float (*function)(float), const CallOptions& options = {}) {
  const auto run = [function](std::span<const TensorView> inputs, std::span<const TensorView> outputs) {
    const auto count = static_cast<std::size_t>(inputs[0].type->elements());
    for (std::size_t i = 0; i < count; ++i) outputs[0].as<float>()[i] = function(inputs[0].as<float>()[i]);
    return Status();
  };
  auto call = client.prepare(make_user_kernel("map", run, 64), {numbers}, {numbers}, options);
  REQUIRE(call);
  return *call;
}

float add_one(float x) { return x + 1; }
float twice(float x) { return 2 * x; }

Call failing(const Client& client, const TensorType& type) {
  auto call = client.prepare(make_user_kernel(
                                 "broken", [](auto, auto) -> Status { return failure("no luck"); }, 1),
                             {type}, {type});
  REQUIRE(call);
  return *call;
}

TEST_CASE("a submitted run follows calls, calls follow it, and it gives what a blocking one gives") {
  Session session = open_session(GENERATE(false, true));
  // On CPU cores alone: an accelerator rounds transforms differently, and what is measured changes where they run.
  auto model = session.load(make_signal_graph({"cpu"}));
  REQUIRE(model);
  auto client = session.client();
  auto negate = client->prepare(kernels::scale({-1.0F, 0.0F}), {signal}, {signal});
  auto halve = client->prepare(kernels::scale({0.5F, 0.0F}), {power}, {power});
  REQUIRE(negate);
  REQUIRE(halve);
  const auto values = random_floats(512, 3);
  std::vector<float> negative(512);
  std::ranges::transform(values, negative.begin(), [](float x) { return -x; });
  const auto expected_bytes = run(*model, std::as_bytes(std::span(negative)));
  std::vector<float> expected(256);
  std::memcpy(expected.data(), expected_bytes.data(), expected_bytes.size());

  const Buffer x = make(*client, signal);
  const Buffer y = make(*client, power);
  for (int round = 0; round < 20; ++round) {
    REQUIRE(x.write(std::as_bytes(std::span(values))));
    const Future before = client->submit(*negate, {x}, {x});
    const Future inference = model->submit({x}, {y}, {before});
    const Future after = client->submit(*halve, {y}, {y}, {inference});
    REQUIRE(after.wait());
    for (int i = 0; i < 256; ++i) REQUIRE(y.as<float>()[i] == 0.5F * expected[static_cast<std::size_t>(i)]);
  }
  CHECK(model->report().tasks.size() == 4);
  CHECK_FALSE(model->report().tasks[3].device.empty());
  REQUIRE(run(*model, std::as_bytes(std::span(negative))) == expected_bytes);
}

TEST_CASE("runs of a model that nobody waits for follow one another; one that fails does not stop the next") {
  Session session = open_session(GENERATE(false, true));
  // On CPU cores alone: an accelerator rounds transforms differently, and what is measured changes where they run.
  auto model = session.load(make_signal_graph({"cpu"}));
  auto client = session.client();
  std::vector<Buffer> outputs;
  std::vector<Future> futures;
  for (int i = 0; i < 40; ++i) {
    const Buffer x = make(*client, signal);
    x.as<float>()[0] = static_cast<float>(i);
    outputs.push_back(make(*client, power));
    std::vector<Future> after;
    if (i % 8 == 5) after = {client->submit(failing(*client, signal), {x}, {x})};
    futures.push_back(model->submit(std::span(&x, 1), std::span(&outputs.back(), 1), after));
  }
  for (std::size_t i = 0; i < 40; ++i) {
    INFO("run " << i);
    const Status& status = futures[i].wait();
    if (i % 8 == 5) {
      CHECK_THAT(status.error().message, Catch::Contains("no luck"));
      continue;
    }
    REQUIRE(status);
    std::vector<float> x(512);
    x[0] = static_cast<float>(i);
    const auto expected = run(*model, std::as_bytes(std::span(x)));
    CHECK(std::memcmp(expected.data(), outputs[i].as<float>().data(), expected.size()) == 0);
  }
  static_cast<void>(client->wait());
}

TEST_CASE("runs that are submitted with wrong buffers fail with a message") {
  Session session = open_session(true);
  // On CPU cores alone: an accelerator rounds transforms differently, and what is measured changes where they run.
  auto model = session.load(make_signal_graph({"cpu"}));
  auto client = session.client();
  const Buffer x = make(*client, signal);
  const Buffer y = make(*client, power);
  CHECK_THAT(model->submit({y}, {y}).wait().error().message,
             Catch::Contains("inputs x is complex64[4, 64]; given is a buffer of type float32[4, 64]"));
  CHECK_THAT(model->submit({x}, {}).wait().error().message, Catch::Contains("has 1 outputs"));
  CHECK(model->submit({x}, {y}).wait());
}

TEST_CASE("a graph of named calls runs in its order, again and again") {
  Session session = open_session(GENERATE(false, true));
  auto client = session.client();
  const Buffer x = make(*client, numbers);
  TaskGraph graph(*client, "sums");
  // ((x + 1) * 2 + 1) * 2 in place: every other order gives another number.
  const auto last = graph.add("last", map(*client, twice), {x}, {x});
  const auto third = graph.add("third", map(*client, add_one), {x}, {x});
  const auto second = graph.add("second", map(*client, twice), {x}, {x});
  const auto first = graph.add("first", map(*client, add_one), {x}, {x});
  first.precede(second);
  third.follow(second).precede({last});
  CHECK(graph.dot() ==
        "digraph \"sums\" {\n  \"last\";\n  \"third\";\n  \"second\";\n  \"first\";\n"
        "  \"third\" -> \"last\";\n  \"second\" -> \"third\";\n  \"first\" -> \"second\";\n}\n");
  float expected = 0;
  for (int round = 0; round < 10; ++round) {
    REQUIRE(graph.run());
    expected = ((expected + 1) * 2 + 1) * 2;
    REQUIRE(x.as<float>()[63] == expected);
  }
  // Without waiting in between, behind a call and before another one.
  const Future zero = client->submit(map(*client, [](float) { return 0.0F; }), {x}, {x});
  std::vector<Future> futures = {graph.submit({zero})};
  for (int round = 0; round < 9; ++round) futures.push_back(graph.submit());
  expected = 0;
  for (int round = 0; round < 10; ++round) expected = ((expected + 1) * 2 + 1) * 2;
  REQUIRE(client->submit(map(*client, add_one), {x}, {x}, {futures.back()}).wait());
  CHECK(x.as<float>()[0] == expected + 1);
}

TEST_CASE("mistakes in a graph of calls are kept for its runs") {
  Session session = open_session(true);
  auto client = session.client();
  const Buffer x = make(*client, numbers);
  const Call step = map(*client, add_one);
  TaskGraph circle(*client, "circle");
  const auto a = circle.add("a", step, {x}, {x});
  const auto b = circle.add("b", step, {x}, {x});
  a.precede(b);
  b.precede(a);
  CHECK_THAT(circle.run().error().message, Catch::Contains("graph circle: task a follows itself"));
  TaskGraph twice_named(*client);
  twice_named.add("a", step, {x}, {x});
  twice_named.add("a", step, {x}, {x});
  CHECK_THAT(twice_named.run().error().message, Catch::Contains("two tasks a"));
  TaskGraph typed(*client);
  typed.add("a", step, {make(*client, signal)}, {x});
  CHECK_THAT(typed.run().error().message, Catch::Contains("task a") && Catch::Contains("complex64[4, 64]"));
  CHECK_THAT(TaskGraph(*client).run().error().message, Catch::Contains("no tasks"));
  TaskGraph fails(*client);
  fails.add("good", step, {x}, {x}).precede(fails.add("bad", failing(*client, numbers), {x}, {x}));
  CHECK_THAT(fails.run().error().message, Catch::Contains("node bad") && Catch::Contains("no luck"));
  CHECK_THAT(fails.run().error().message, Catch::Contains("no luck"));
  CHECK(x.as<float>()[0] == 2.0F);
}

TEST_CASE("memory of the program is a buffer, on cores in place and on accelerators through a copy") {
  Session session = open_session(GENERATE(false, true));
  auto client = session.client();
  std::vector<float> a(512);
  std::vector<float> b(512);
  std::iota(a.begin(), a.end(), 1.0F);
  std::iota(b.begin(), b.end(), 7.0F);
  const auto wrapped = [&](std::vector<float>& values) {
    auto buffer = client->wrap(signal, std::as_writable_bytes(std::span(values)));
    REQUIRE(buffer);
    return *buffer;
  };
  const std::array operands = {wrapped(a), wrapped(b)};
  for (const std::string device : {"zip", "cpu"}) {
    auto sum = client->prepare_for(kernels::zip(ZIPOperator::add), operands, std::span(operands).first(1),
                                   {.devices = {device}});
    REQUIRE(sum);
    const float before = a[100];
    REQUIRE(client->submit(*sum, operands, std::span(operands).first(1)).wait());
    CHECK(a[100] == before + b[100]);
  }
  CHECK_THAT(client->wrap(numbers, std::as_writable_bytes(std::span(a))).error().message,
             Catch::Contains("256 bytes; given are 2048"));
}

TEST_CASE("a failed attempt of an accelerator leaves memory of the program as it was") {
  const Fault fault = GENERATE(Fault::fails, Fault::hangs, Fault::loses_interrupt);
  const int times = GENERATE(1, 2);
  const SoCDescription soc = make_soc();
  Session session = open(soc, make_faulty_platform(soc, {"zip0", fault, times}));
  auto client = session.client();
  std::vector<float> values(512, 3.0F);
  auto buffer = client->wrap(signal, std::as_writable_bytes(std::span(values)));
  REQUIRE(buffer);
  // In place: a second attempt over a half-written first one would give another sum.
  auto sum = client->prepare(kernels::zip(ZIPOperator::add), {signal, signal}, {signal}, {.devices = {"zip", "cpu"}});
  REQUIRE(sum);
  for (int round = 0; round < 4; ++round) REQUIRE(client->submit(*sum, {*buffer, *buffer}, {*buffer}).wait());
  CHECK(values == std::vector<float>(512, 48.0F));
}

TEST_CASE("an accelerator without room for a copy leaves the call to a core, and stays in use") {
  Session session = open_session(GENERATE(false, true));
  auto client = session.client();
  std::vector<std::byte> memory(signal.bytes());
  auto buffer = client->wrap(signal, memory);
  auto call = client->prepare(kernels::zip(ZIPOperator::add), {signal, signal}, {signal});
  auto strict = client->prepare(kernels::zip(ZIPOperator::add), {signal, signal}, {signal}, {.devices = {"zip"}});
  {
    std::vector<Buffer> filling;
    for (std::int64_t size = 1 << 26; size > 0; size /= 2) {
      while (auto block = client->allocate({.dtype = DType::int8, .shape = {size}})) filling.push_back(*block);
    }
    CHECK(client->submit(*call, {*buffer, *buffer}, {*buffer}).wait());
    CHECK_THAT(client->submit(*strict, {*buffer, *buffer}, {*buffer}).wait().error().message,
               Catch::Contains("no room for a copy"));
  }
  CHECK(client->submit(*strict, {*buffer, *buffer}, {*buffer}).wait());
}

TEST_CASE("a kernel of the program has an implementation for cores and one for accelerators") {
  Session session = open_session(true);
  auto client = session.client();
  std::atomic<int> runs = 0;
  const auto run = [&runs](std::span<const TensorView> inputs, std::span<const TensorView> outputs) {
    for (int i = 0; i < 512; ++i) outputs[0].as<float>()[i] = inputs[0].as<float>()[i] + inputs[1].as<float>()[i];
    ++runs;
    return Status();
  };
  const auto kernel = make_user_kernel("sum", run, 512, {{"zip", kernels::zip(ZIPOperator::add)}});
  const Buffer x = make(*client, signal);
  const Buffer y = make(*client, signal);
  x.as<float>()[0] = 3;
  auto on_cores = client->prepare(kernel, {signal, signal}, {signal}, {.devices = {"cpu"}});
  auto on_zip = client->prepare(kernel, {signal, signal}, {signal}, {.devices = {"zip"}});
  REQUIRE(on_cores);
  REQUIRE(on_zip);
  REQUIRE(client->submit(*on_cores, {x, x}, {y}).wait());
  CHECK(runs == 1);
  CHECK(y.as<float>()[0] == 6);
  REQUIRE(client->submit(*on_zip, {x, y}, {y}).wait());
  CHECK(runs == 1);
  CHECK(y.as<float>()[0] == 9);
  const auto wrong = make_user_kernel("wrong", run, 512, {{"zip", kernels::gemm()}});
  CHECK_THAT(client->prepare(wrong, {signal, signal}, {signal}).error().message, Catch::Contains("wrong on zip: gemm"));
}

}  // namespace
}  // namespace test

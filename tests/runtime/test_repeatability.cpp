/// In simulated time the same applications, policy and seed give the same bytes of a trace, with several accelerators
/// of each kind, whatever the threads of the process do.
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <set>
#include <thread>

#include "cosoc/client.hpp"
#include "cosoc/task_graph.hpp"
#include "support.hpp"
#include "trace_file.hpp"

using namespace cosoc;
using namespace std::chrono_literals;

namespace {

/// Two cores, and two accelerators of each kind.
SoCDescription make_large_soc() {
  SoCDescription soc = test::make_soc();
  soc.cpu_cores = 2;
  const auto first = soc.accelerators;
  for (AcceleratorDescription accelerator : first) {
    accelerator.name.back() = '1';
    accelerator.base += 0x100000;
    accelerator.interrupt += 8;
    soc.accelerators.push_back(accelerator);
  }
  return soc;
}

const TensorType signal{DType::complex64, {4, 256}};

/// A chain of transforms, a burst of products and a graph, again and again; `pause` is of the wall clock. Errors.
int compute(const Client& client, const std::function<void()>& pause) {
  const auto transform = client.prepare(make_kernel("fft", {{"direction", "forward"}}), {signal}, {signal});
  const auto product = client.prepare(make_kernel("zip", {{"operation", "mul"}}), {signal, signal}, {signal});
  if (!transform || !product) return 1;
  std::vector<Buffer> buffers;
  for (int i = 0; i < 6; ++i) {
    auto buffer = client.allocate(signal);
    if (!buffer) return 1;
    buffers.push_back(*buffer);
  }
  TaskGraph graph(client, "graph");
  const auto left = graph.add("left", *transform, {buffers[0]}, {buffers[1]});
  const auto right = graph.add("right", *transform, {buffers[2]}, {buffers[3]});
  graph.add("both", *product, {buffers[1], buffers[3]}, {buffers[4]}).follow({left, right});
  int errors = 0;
  for (int round = 0; round < 4; ++round) {
    pause();
    const Future first = client.submit(*transform, {buffers[0]}, {buffers[1]});
    const Future second = client.submit(*product, {buffers[1], buffers[1]}, {buffers[2]}, {first});
    for (int i = 0; i < 3; ++i) client.submit(*product, {buffers[5], buffers[5]}, {buffers[5]});
    pause();
    errors += second.wait() && client.wait() && graph.run() ? 0 : 1;
    errors += client.call(*transform, {buffers[0]}, {buffers[3]}) ? 0 : 1;
    client.sleep_until(client.now() + 700ns);
  }
  return errors;
}

/// The trace of three applications: two programs and a model. `delays` is how their threads are held up.
std::string run(const SessionOptions& wanted, unsigned delays) {
  const test::TraceFile file;
  std::atomic<int> errors = 0;
  {
    SessionOptions options = wanted;
    options.trace = file.path;
    const auto soc = make_large_soc();
    Session session = test::open(soc, test::make_faulty_platform(soc, {}), options);
    Scheduler& scheduler = session.state()->scheduler();
    std::vector<Client> clients;
    for (const std::string name : {"first", "second"}) clients.push_back(*session.client({.name = name}));
    Model model = *session.load(test::make_signal_graph());
    std::atomic<std::size_t> here = 0;
    const auto start = [&](unsigned seed, const std::function<int(const std::function<void()>&)>& body) {
      return std::thread([&, seed, body] {
        const ApplicationThread part(scheduler);
        ++here;
        while (here < 3) std::this_thread::yield();
        std::mt19937 random(delays + seed);
        errors += body([&] { std::this_thread::sleep_for(std::chrono::microseconds(random() % 200)); });
      });
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 2; ++i) {
      threads.push_back(start(i, [&, i](const auto& pause) { return compute(clients[i], pause); }));
    }
    threads.push_back(start(2, [&](const auto& pause) {
      const auto input = test::random_floats(4 * 64 * 2, 9);
      std::vector<std::byte> output(4 * 64 * sizeof(float));
      const std::span<const std::byte> from = std::as_bytes(std::span(input));
      const std::span<std::byte> to = output;
      int failed = 0;
      for (int count = 0; count < 3; ++count) {
        pause();
        failed += model.run({&from, 1}, {&to, 1}) ? 0 : 1;
      }
      return failed;
    }));
    for (std::thread& thread : threads) thread.join();
    CHECK(session.state()->finish_trace());
  }
  CHECK(errors == 0);
  return file.text();
}

}  // namespace

TEST_CASE("the same applications, policy and seed give byte-identical traces in simulated time") {
  const Mode mode = GENERATE(Mode::model, Mode::functional);
  for (const auto policy : policy_names()) {
    CAPTURE(policy, static_cast<int>(mode));
    const SessionOptions options{.mode = mode, .policy = std::string(policy), .seed = 5};
    const std::string first = run(options, 1);
    // 2 programs with 9 calls and the end of a graph in 4 rounds, and 3 runs of 4 nodes.
    std::size_t tasks = 0;
    std::set<std::string> devices;
    for (const auto& event : nlohmann::json::parse(first)) {
      if (event.value("cat", "") != "policy" && event["ph"] == "X") ++tasks, devices.insert(event["tid"].dump());
    }
    CHECK(tasks == 2 * 4 * 10 + 3 * 4);
    CHECK(devices.size() >= 2);
    CHECK(first == run(options, 1000));
  }
}

TEST_CASE("another seed gives another trace, of a policy that draws numbers") {
  const auto with_seed = [](std::uint64_t seed) {
    return run({.mode = Mode::model, .policy = "RANDOM", .seed = seed}, 1);
  };
  CHECK(with_seed(5) != with_seed(6));
}

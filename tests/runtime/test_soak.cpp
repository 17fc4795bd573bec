/// Everything at once, for as long as COSOC_SOAK_SECONDS says: models, split layers, clients and kernels of programs
/// share a session whose accelerators fail at random and whose devices leave and come back. Run by `scons soak`.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "cosoc/client.hpp"
#include "kernels/operations.hpp"
#include "support.hpp"

using namespace cosoc;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

/// What all threads share.
struct Soak {
  Session session;
  Clock::time_point end;
  std::atomic<std::uint64_t> checked = 0;
  std::atomic<std::uint64_t> wrong = 0;

  bool goes_on() const { return Clock::now() < end; }
  void check(bool right) {
    ++checked;
    if (!right) ++wrong;
  }
};

Session open_calm() {
  auto session = Session::open({.memory_bytes = 16 << 20, .cpu_cores = 1});
  if (!session) FAIL(session.error().message);
  return *session;
}

/// A model that is loaded anew every now and then. Transforms round differently on an accelerator.
void run_models(Soak& soak) {
  const auto values = test::random_floats(4 * 64 * 2, 9);
  const auto input = std::as_bytes(std::span(values));
  auto calm = open_calm().load(test::make_signal_graph());
  const auto expected = test::run(*calm, input);
  const std::span right(reinterpret_cast<const float*>(expected.data()), expected.size() / 4);
  const float bound = 1e-6F * std::ranges::max(right);
  while (soak.goes_on()) {
    auto model = soak.session.load(test::make_signal_graph());
    for (int i = 0; model && i < 5; ++i) {
      std::vector<float> result(right.size());
      const std::span<std::byte> output = std::as_writable_bytes(std::span(result));
      const auto done = model->run({&input, 1}, {&output, 1});
      soak.check(done &&
                 std::ranges::equal(result, right, [bound](float a, float b) { return std::abs(a - b) <= bound; }));
    }
    if (!model) soak.check(false);
  }
}

/// Layers that are split over both engines, to the bit.
void run_networks(Soak& soak) {
  std::vector<std::byte> input(std::size_t{48} * 24 * 32);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(i * 7 % 251);
  auto calm = open_calm().load(test::make_convolution_graph(48));
  const auto expected = test::run(*calm, input);
  auto model = soak.session.load(test::make_convolution_graph(48));
  while (model && soak.goes_on()) {
    std::vector<std::byte> result(expected.size());
    const std::span<const std::byte> from = input;
    const std::span<std::byte> to = result;
    soak.check(model->run({&from, 1}, {&to, 1}) && result == expected);
  }
  if (!model) soak.check(false);
}

/// Chains of calls that follow one another, products and a kernel of the program's own.
void run_client(Soak& soak, unsigned seed) {
  const TensorType type{DType::float32, {256}};
  const auto client = soak.session.client({.name = "client" + std::to_string(seed)});
  const auto square = client->prepare(make_kernel("zip", {{"operation", "mul"}}), {type, type}, {type});
  const auto kernel = make_user_kernel(
      "half",
      [](std::span<const TensorView> inputs, std::span<const TensorView> outputs) {
        for (int i = 0; i < 256; ++i) outputs[0].as<float>()[i] = 0.5F * inputs[0].as<float>()[i];
        return Status();
      },
      256);
  const auto half = client->prepare(kernel, {type}, {type});
  if (!square || !half) return soak.check(false);
  while (soak.goes_on()) {
    const auto values = test::random_floats(256, ++seed);
    const auto x = client->allocate(type);
    const auto y = client->allocate(type);
    const auto z = client->allocate(type);
    if (!x || !y || !z) return soak.check(false);
    bool right = x->write(std::as_bytes(std::span(values))).has_value();
    const Future product = client->submit(*square, {*x, *x}, {*y});
    right = client->submit(*half, {*y}, {*z}, {product}).wait() && right;
    std::vector<float> result(256);
    right = z->read(std::as_writable_bytes(std::span(result))) && right;
    for (std::size_t i = 0; i < result.size(); ++i) right = right && result[i] == 0.5F * (values[i] * values[i]);
    soak.check(right);
  }
}

/// Takes devices out and back in, quarantined ones too. The first core stays.
void change_devices(Soak& soak, std::uint64_t& changes) {
  std::mt19937 random(11);
  while (soak.goes_on()) {
    const auto devices = soak.session.device_status();
    const DeviceStatus& device = devices[1 + random() % (devices.size() - 1)];
    if (device.condition == DeviceCondition::working) {
      soak.check(soak.session.remove_device(device.name).has_value());
    } else {
      soak.check(soak.session.add_device(device.name).has_value());
    }
    ++changes;
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
  }
}

std::size_t resident_bytes() {
  std::ifstream stream("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  stream >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("applications get right results while accelerators fail and devices come and go", "[.soak]") {
  const char* text = std::getenv("COSOC_SOAK_SECONDS");
  const auto duration = std::chrono::seconds(text != nullptr ? std::atoi(text) : 5);
  SoCDescription soc = test::make_two_engines();
  soc.cpu_cores = 2;
  const test::FaultPlan faults{"", test::Fault::random, 0};
  Soak soak{.session = test::open(soc, test::make_threaded_platform(soc, faults), {.minimum_deadline = 50ms}),
            .end = Clock::now() + duration};
  std::uint64_t changes = 0;
  std::vector<std::thread> threads;
  threads.emplace_back(run_models, std::ref(soak));
  threads.emplace_back(run_networks, std::ref(soak));
  for (unsigned i = 0; i < 2; ++i) threads.emplace_back(run_client, std::ref(soak), i);
  threads.emplace_back(change_devices, std::ref(soak), std::ref(changes));
  std::this_thread::sleep_for(duration / 3);
  const std::size_t before = resident_bytes();
  for (auto& thread : threads) thread.join();
  const std::size_t after = resident_bytes();
  WARN(soak.checked << " results checked, " << changes << " devices left or came back, " << after / 1024
                    << " KB resident");
  CHECK(soak.wrong == 0);
  CHECK(soak.checked > 20);
  CHECK(changes > 10);
  // What is left grows with nothing: a leak of device memory would have made loads fail.
  CHECK(after < before + (std::size_t{16} << 20));
}

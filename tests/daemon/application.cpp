/// An application that does what its first argument says: well, or badly in every way that a daemon must survive.
///
/// Built as a shared object with this main, and as a program. Results are checked here; status 0 says that they were
/// right.
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <complex>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cosoc/cosoc.hpp"
#include "session/session_state.hpp"

namespace {

using namespace cosoc;
using Number = std::complex<float>;

int fail(const std::string& why) {
  std::fprintf(stderr, "application: %s\n", why.c_str());
  return 3;
}

TensorType signal_of(std::int64_t points) { return {.dtype = DType::complex64, .shape = {1, points}}; }

/// An FFT, and what a random signal becomes in float64.
class Transform {
 public:
  Transform(const Client& client, std::int64_t points, std::vector<std::string> devices) : client_(client) {
    const auto type = signal_of(points);
    call_ = client.prepare(make_kernel("fft", {{"direction", "forward"}}), {type}, {type},
                           {.name = {}, .devices = std::move(devices)});
    x_ = client.allocate(type);
    y_ = client.allocate(type);
  }

  std::string problem() const { return !call_ ? call_.error().message : !x_ || !y_ ? "no memory" : ""; }

  /// An error of the call, or a wrong result.
  std::string run(unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto x = x_->as<Number>();
    for (Number& value : x) value = {normal(random), normal(random)};
    if (auto done = client_.call(*call_, {*x_}, {*y_}); !done) return done.error().message;
    const auto y = y_->as<Number>();
    double error = 0.0;
    double size = 0.0;
    for (std::size_t k = 0; k < y.size(); ++k) {
      std::complex<double> sum = 0.0;
      for (std::size_t n = 0; n < x.size(); ++n) {
        const double angle = -2.0 * M_PI * static_cast<double>(k * n % x.size()) / static_cast<double>(x.size());
        sum += std::complex<double>(x[n]) * std::polar(1.0, angle);
      }
      error += std::norm(sum - std::complex<double>(y[k]));
      size += std::norm(sum);
    }
    return error <= 1e-10 * size ? "" : "wrong result";
  }

 private:
  const Client& client_;
  Result<Call> call_ = failure("not prepared");
  Result<Buffer> x_ = failure("none");
  Result<Buffer> y_ = failure("none");
};

/// So many transforms; when a file is named, so many more once that is there.
int transform(const Client& client, std::int64_t points, int count, const std::vector<std::string>& devices,
              const std::filesystem::path& file = {}) {
  Transform fft(client, points, devices);
  if (!fft.problem().empty()) return fail(fft.problem());
  for (unsigned seed = 0; count > 0; ++seed) {
    if (file.empty() || std::filesystem::exists(file)) --count;
    if (const auto problem = fft.run(seed); !problem.empty()) return fail(problem);
  }
  return 0;
}

/// Rings all bells of the process: the daemon looks into the memory that it shares with this one.
void ring_bells() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    if (std::filesystem::read_symlink(entry, ignored) != "anon_inode:[eventfd]") continue;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(std::atoi(entry.path().filename().c_str()), &one, sizeof(one)));
  }
}

/// Random bytes over everything that is shared with the daemon, again and again, for these many rounds at most.
int scribble(const Client& client, int rounds) {
  std::thread caller([&] { transform(client, 64, 1000000, {}); });
  caller.detach();
  std::vector<std::pair<std::uintptr_t, std::uintptr_t>> ranges;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:cosoc") == std::string::npos) continue;
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2)
      ranges.emplace_back(begin, std::min(end, begin + 65536));
  }
  if (ranges.size() < 2) return fail("found no shared memory");
  std::mt19937 random(7);
  for (int round = 0; round < rounds; ++round) {
    for (const auto& [begin, end] : ranges) {
      for (std::uintptr_t at = begin; at < end; at += 4) {
        // Small numbers are states and counts more often than large ones are.
        const std::uint32_t value = random() % 4 == 0 ? random() : random() % 5;
        *reinterpret_cast<volatile std::uint32_t*>(at) = value;
      }
    }
    ring_bells();
    ::usleep(1000);
  }
  ::_exit(0);
}

int print_lines(int count) {
  for (int i = 0; i < count; ++i) {
    if (std::printf("line %d of many\n", i) < 0) return 3;
  }
  return 0;
}

/// Whether so many bytes of memory can be had, and used.
int allocate_host(double bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  auto* memory = static_cast<volatile char*>(std::malloc(size));
  if (memory == nullptr) return 5;
  for (std::size_t i = 0; i < size; i += 4096) memory[i] = 1;
  std::free(const_cast<char*>(memory));
  return 0;
}

/// What the session was opened with.
int print_session(const Session& session) {
  const SessionOptions& options = session.state()->options();
  return std::printf("seed %llu, deadline %lld ns\n", static_cast<unsigned long long>(options.seed),
                     static_cast<long long>(options.deadline.value_or(Time{}).count())) > 0
             ? 0
             : 3;
}

int sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  return 0;
}

/// A kernel that holds its core.
int occupy(const Client& client, double seconds) {
  const TensorType type{.dtype = DType::float32, .shape = {16}};
  const auto busy = make_user_kernel(
      "occupy",
      [seconds](auto, auto) {
        std::printf("occupying\n");
        std::fflush(stdout);
        const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
        while (std::chrono::steady_clock::now() < end) {
        }
        return Status();
      },
      1000);
  const auto call = client.prepare(busy, {type}, {type});
  const auto x = client.allocate(type);
  return call && x && client.call(*call, {*x}, {*x}) ? 0 : 3;
}

int behave(const std::string& how, const Session& session, const Client& client, double number,
           const std::string& file) {
  const int count = static_cast<int>(number);
  if (how == "tiny") return transform(client, 8, std::max(1, count), {});
  if (how == "cpu") return transform(client, 64, std::max(1, count), {"cpu"}, file);
  if (how == "accelerator") return transform(client, 256, std::max(1, count), {"fft"});
  if (how == "any") return transform(client, 256, std::max(1, count), {}, file);
  if (how == "odd-length") return transform(client, 12, 1, {});
  if (how == "impossible") return transform(client, 12, 1, {"fft"});
  if (how == "no-device") return transform(client, 16, 1, {"gpu"});
  if (how == "crash") ::raise(SIGSEGV);
  if (how == "abort") std::abort();
  if (how == "exit") std::exit(count);
  if (how == "hang") {
    for (;;) ::pause();
  }
  if (how == "print") return std::printf("printed %d\n", count) > 0 ? 0 : 3;
  if (how == "print-much") return print_lines(count);
  if (how == "host-memory") return allocate_host(number);
  if (how == "sleep") return sleep_for(number);
  if (how == "occupy") return occupy(client, number);
  if (how == "scribble") return scribble(client, std::max(1, count));
  if (how == "session") return print_session(session);
  if (how == "memory") return client.allocate({.dtype = DType::float32, .shape = {std::int64_t{1} << 40}}) ? 3 : 0;
  if (how == "thread") {
    int status = 3;
    std::thread([&] { status = transform(client, 64, 100, {}); }).join();
    return status;
  }
  if (how == "crash-in-call") {
    std::thread([&] { transform(client, 256, 1000000, {"fft"}); }).detach();
    ::usleep(20000);
    ::kill(::getpid(), SIGKILL);
  }
  return fail("no behaviour " + how);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return fail("give a behaviour");
  const std::string how = arguments[1];
  if (how == "nothing") return 0;
  auto session = Session::open({});
  if (!session) return fail(session.error().message);
  auto client = session->client({.name = how});
  if (!client) return fail(client.error().message);
  return behave(how, *session, *client, count > 2 ? std::atof(arguments[2]) : 0.0, count > 3 ? arguments[3] : "");
}

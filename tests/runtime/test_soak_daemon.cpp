/// A daemon for as long as COSOC_SOAK_SECONDS says: submitted applications and programs that joined by themselves are
/// killed at random, its accelerators fail at random, and leave and come back. Run by `scons soak`.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "daemon/connection.hpp"
#include "daemon/server.hpp"
#include "support.hpp"

extern char** environ;

using namespace cosoc;
using namespace cosoc::daemon;
using namespace std::chrono_literals;

namespace {

std::filesystem::path build() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path(); }

/// What all threads share.
struct DaemonSoak {
  std::filesystem::path socket;
  Instant end;
  std::atomic<std::uint64_t> survivors = 0;
  std::atomic<std::uint64_t> killed = 0;
  std::atomic<std::uint64_t> wrong = 0;
  std::mutex mutex;
  std::string first;  // that was wrong

  bool goes_on() const { return Clock::now() < end; }
  void complain(const std::string& what) {
    if (wrong++ != 0) return;
    const std::lock_guard lock(mutex);
    first = what;
  }
};

/// Behaviours of tests/daemon/application.cpp that check their results: status 0 says that all were right.
std::vector<std::string> random_behaviour(std::mt19937& random) {
  constexpr std::array<const char*, 4> names = {"any", "cpu", "thread", "odd-length"};
  return {names[random() % names.size()], std::to_string(5 + random() % 200)};
}

/// Ends a process in the middle of whatever it does.
void kill_soon(int process, std::mt19937& random) {
  std::this_thread::sleep_for(std::chrono::microseconds(random() % 20000));
  ::kill(process, random() % 2 == 0 ? SIGKILL : SIGSEGV);
}

/// The process of a job, once it has connected; 0 when the job has ended before.
int process_of(const DaemonSoak& soak, std::uint64_t job) {
  while (true) {
    const auto state = ask(soak.socket, {{"type", "ps"}});
    if (!state) return 0;
    for (const auto& client : state->at("clients")) {
      if (client.at("job") == job) return client.at("process");
    }
    for (const auto& known : state->at("jobs")) {
      if (known.at("job") == job && known.at("ended") == true) return 0;
    }
  }
}

/// Submits application after application, and kills some.
void submit_jobs(DaemonSoak& soak, unsigned seed) {
  std::mt19937 random(seed);
  const std::string program = build() / "lib" / "test_application.so";
  while (soak.goes_on()) {
    const auto submitted = ask(soak.socket, {{"type", "submit"},
                                             {"kind", "so"},
                                             {"program", program},
                                             {"arguments", random_behaviour(random)},
                                             {"priority", static_cast<int>(random() % 3) - 1}});
    if (!submitted) return soak.complain(submitted.error().message);
    const std::uint64_t job = submitted->at("job");
    const bool victim = random() % 3 == 0;
    if (victim) {
      if (const int process = process_of(soak, job); process != 0) kill_soon(process, random);
    }
    const auto ended = ask(soak.socket, {{"type", "wait"}, {"job", job}});
    if (!ended) return soak.complain(ended.error().message);
    const std::string report = ended->at("report");
    if (ended->at("done") == 1) {
      ++soak.survivors;
    } else if (victim &&
               (report.find("signal 9") != std::string::npos || report.find("signal 11") != std::string::npos)) {
      ++soak.killed;
    } else {
      soak.complain(report);
    }
  }
}

/// Programs that are not the daemon's children, the same way.
void start_programs(DaemonSoak& soak, unsigned seed) {
  std::mt19937 random(seed);
  const std::string program = build() / "bin" / "test-application";
  std::vector<std::string> variables = {"COSOC_DAEMON=" + soak.socket.string()};
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  while (soak.goes_on()) {
    std::vector<std::string> words = random_behaviour(random);
    std::array<char*, 4> arguments = {const_cast<char*>(program.c_str()), words[0].data(), words[1].data(), nullptr};
    pid_t process = 0;
    if (::posix_spawn(&process, program.c_str(), nullptr, nullptr, arguments.data(), environment.data()) != 0) {
      return soak.complain("cannot start " + program);
    }
    const bool victim = random() % 3 == 0;
    if (victim) kill_soon(process, random);
    int status = 0;
    ::waitpid(process, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      ++soak.survivors;
    } else if (victim && WIFSIGNALED(status)) {
      ++soak.killed;
    } else {
      soak.complain(words[0] + " ended with " + std::to_string(status));
    }
  }
}

/// Takes accelerators out and back in, quarantined ones too.
void change_accelerators(DaemonSoak& soak, Accelerators& accelerators, std::uint64_t& changes) {
  std::mt19937 random(5);
  Scheduler& scheduler = *accelerators.scheduler();
  while (soak.goes_on()) {
    const std::size_t device = random() % accelerators.count();
    const bool works = scheduler.status(device).condition == DeviceCondition::working;
    const Status done = works ? scheduler.remove_device(device) : scheduler.add_device(device);
    if (!done) soak.complain(done.error().message);
    ++changes;
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 30));
  }
}

struct Resources {
  std::size_t descriptors = 0;
  std::size_t resident = 0;
};

Resources resources() {
  Resources result;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++result.descriptors;
  std::ifstream stream("/proc/self/statm");
  std::size_t total = 0;
  stream >> total >> result.resident;
  result.resident *= static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return result;
}

/// When nothing runs any more: what is left are processes that wait for an application, with their connections. A
/// process is a client before it has told that it waits, and the connection of a question ends after its answer: all
/// that has happened when nothing changes for a while.
Resources at_rest(const DaemonSoak& soak, std::size_t ready) {
  std::optional<Resources> last;
  for (int i = 0; i < 200; ++i) {
    const auto state = ask(soak.socket, {{"type", "ps"}});
    const bool rests = state && state->at("clients").size() == ready && state->at("leaving") == 0;
    std::this_thread::sleep_for(50ms);
    const Resources now = resources();
    if (rests && last && last->descriptors == now.descriptors) return now;
    last = rests ? std::optional(now) : std::nullopt;
  }
  FAIL("clients are left: " << ask(soak.socket, {{"type", "ps"}})->dump());
  return {};
}

}  // namespace

TEST_CASE("applications under a daemon are right while others are killed and accelerators fail and leave", "[.soak]") {
  const char* text = std::getenv("COSOC_SOAK_SECONDS");
  const auto duration = std::chrono::seconds(text != nullptr ? std::atoi(text) : 5);
  SoCDescription soc = test::make_soc();
  soc.cpu_cores = 2;
  soc.memory_bytes = 64 << 20;
  DaemonSoak soak;
  soak.socket = std::filesystem::temp_directory_path() / ("cosoc-soak-" + std::to_string(::getpid()) + ".socket");
  auto accelerators =
      Accelerators::over({}, soc, test::make_threaded_platform(soc, {"", test::Fault::random, 0}), 50ms);
  REQUIRE(accelerators);
  Accelerators& devices = **accelerators;
  auto listener = Listener::open(soak.socket, "");
  REQUIRE(listener);
  ServerOptions options;
  options.socket = soak.socket;
  options.client_policy = "RR";  // half of the calls go to an accelerator
  options.memory_bytes = 1 << 20;
  options.jobs.zygote = build() / "bin" / "cosoc-zygote";
  options.jobs.logs = soak.socket.string() + ".logs";
  auto server = Server::over(options, std::move(*listener), std::move(*accelerators));
  if (!server) FAIL(server.error().message);
  std::thread loop([&] { (*server)->run(); });

  std::uint64_t changes = 0;
  // What is left after the first part is left after the second one: nothing grows with what has run.
  std::array<Resources, 2> left;
  for (Resources& after : left) {
    soak.end = Clock::now() + duration / 2;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 3; ++i) threads.emplace_back(submit_jobs, std::ref(soak), 10 * i + changes);
    for (unsigned i = 0; i < 2; ++i) threads.emplace_back(start_programs, std::ref(soak), 100 + i + changes);
    threads.emplace_back(change_accelerators, std::ref(soak), std::ref(devices), std::ref(changes));
    for (auto& thread : threads) thread.join();
    after = at_rest(soak, options.jobs.ready);
  }
  {
    // All of its memory can be had by one application: no dead one's is missing.
    const auto whole = Connection::open({.socket = soak.socket, .memory_bytes = soc.memory_bytes / 2});
    CHECK(whole.has_value());
  }
  (*server)->stop();
  loop.join();
  server->reset();
  std::filesystem::remove_all(options.jobs.logs);
  WARN(soak.survivors << " applications were right, " << soak.killed << " were killed, " << changes
                      << " accelerators left or came back, " << left[1].resident / 1024 << " KB resident");
  if (soak.wrong != 0) FAIL_CHECK(soak.wrong << " were wrong, first: " << soak.first);
  CHECK(soak.survivors > 10);
  CHECK(soak.killed > 3);
  CHECK(left[1].descriptors == left[0].descriptors);
  CHECK(left[1].resident < left[0].resident + (std::size_t{8} << 20));
}

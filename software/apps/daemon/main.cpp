/// cosoc-daemon: shares one SoC between the processes of applications; `cosoc daemon` starts it. See docs/daemon.md.
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "daemon/server.hpp"

namespace {

/// Programs that lie beside this one.
std::filesystem::path beside(const char* name) {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / name;
}

std::uint64_t machine_memory() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

struct Arguments {
  cosoc::daemon::ServerOptions server;
  std::string mode = "cpu";
  double core_limit_ms = 200;
};

void declare(CLI::App& app, Arguments& arguments) {
  auto& server = arguments.server;
  auto& accelerators = server.accelerators;
  server.jobs.host_memory = machine_memory() / 2;
  server.jobs.log_limit = 16 << 20;
  app.add_option("--socket", server.socket, "address; `cosoc daemon` has a default")->required();
  app.add_option("--mode", arguments.mode, "cpu, functional, rtl or board");
  app.add_option("--soc", accelerators.soc, "directory of a build, with soc.json");
  app.add_option("--policy", server.client_policy, "scheduling policy of the applications' sessions");
  app.add_option("--accelerator-policy", accelerators.policy, "which application's call an accelerator takes next");
  app.add_option("--cores", accelerators.cpu_cores, "CPU cores to lend; default: the SoC's, at most this machine's");
  app.add_option("--group", server.group, "a group whose members may use the SoC too");
  app.add_option("--trace", accelerators.trace, "trace of the accelerators, opens in the Perfetto UI");
  app.add_option("--memory", server.memory_bytes, "bytes of an application that asks for none");
  app.add_option("--memory-limit", server.memory_limit, "bytes that an application may ask for");
  app.add_option("--call-limit", server.call_limit,
                 "calls of an application on accelerators at a time; default: one on each accelerator")
      ->check(CLI::Range(1, 32));
  app.add_option("--clients", server.clients, "applications at a time")->check(CLI::Range(1, 1000));
  app.add_option("--processes", server.jobs.processes, "submitted applications at a time")->check(CLI::Range(1, 1000));
  app.add_option("--ready", server.jobs.ready, "processes that wait for an application")->check(CLI::Range(1, 100));
  app.add_option("--time-limit", server.jobs.time_limit, "of a submitted application without its own, in s")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--host-memory", server.jobs.host_memory,
                 "bytes of its own that a submitted application's process may have; default: half of the machine's");
  app.add_option("--log-limit", server.jobs.log_limit, "bytes that are kept of what a job prints");
  app.add_option("--core-limit-ms", arguments.core_limit_ms, "after which a core is lent again that does not come back")
      ->check(CLI::PositiveNumber);
}

/// As many connections as the system lets us have.
void allow_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

/// SIGTERM and SIGINT as something to read. They are blocked before there is any thread, so that none ends the process.
cosoc::Descriptor ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return cosoc::Descriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

int fail(const std::string& message) {
  std::fprintf(stderr, "cosoc-daemon: %s\n", message.c_str());
  return 1;
}

}  // namespace

int main(int count, char** words) {
  CLI::App app{"Shares one SoC between applications."};
  Arguments arguments;
  declare(app, arguments);
  CLI11_PARSE(app, count, words);
  const auto mode = cosoc::mode_of(arguments.mode);
  if (!mode) return fail(mode.error().message);
  auto& server = arguments.server;
  server.accelerators.mode = *mode;
  server.mode_name = arguments.mode;
  server.times.limit = std::chrono::duration_cast<cosoc::daemon::Clock::duration>(
      std::chrono::duration<double, std::milli>(arguments.core_limit_ms));
  server.jobs.zygote = beside("cosoc-zygote");
  server.jobs.runner = beside("cosoc-run");
  server.jobs.logs = server.socket.string() + ".logs";
  ::signal(SIGPIPE, SIG_IGN);
  allow_descriptors();
  const cosoc::Descriptor ending = ending_signals();
  auto opened = cosoc::daemon::Server::open(server);
  if (!opened) return fail(opened.error().message);
  if (auto added = (*opened)->stop_on(ending.get()); !added) return fail(added.error().message);
  std::printf("cosoc daemon at %s, mode %s\n", server.socket.c_str(), arguments.mode.c_str());
  std::fflush(stdout);
  (*opened)->run();
}

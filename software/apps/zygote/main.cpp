/// cosoc-zygote: forks the processes of a daemon's applications in advance. The daemon starts it.
///
/// Single-threaded and small, with the runtime loaded: a fork of it takes far less than starting a program. Every child
/// connects to the daemon, waits for work, and becomes the application.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "daemon/socket.hpp"
#include "daemon/zygote.hpp"
#include "library.hpp"
#include "session/session_state.hpp"

namespace {

using namespace cosoc;
using namespace cosoc::daemon;
using Clock = std::chrono::steady_clock;

/// Ends of applications that could not begin; others are theirs.
constexpr int cannot_start = 127;

/// For work that is on its way: longer than the daemon takes to read it, shorter than what others would notice.
constexpr auto longest_look = std::chrono::microseconds(200);

void report(const ZygoteReport& what, std::span<const int> descriptors = {}) {
  static_cast<void>(send_text(zygote_reports, {reinterpret_cast<const char*>(&what), sizeof(what)}, descriptors));
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "cosoc: %s\n", why.c_str());
  std::fflush(stderr);
  ::_exit(cannot_start);
}

void empty_input() {
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (input < 0) return;
  ::dup2(input, STDIN_FILENO);
  ::close(input);
}

/// Maps the pages of code and data that a fork leaves to their first access, so that the application does not wait for
/// them. What is larger are stacks of threads and memory shared with the daemon.
void touch_pages() {
  constexpr std::uintptr_t largest_data = 1 << 20;
  constexpr std::uintptr_t largest_code = 64 << 20;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    std::array<char, 5> access{};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, access.data()) != 3) continue;
    const bool writes = access[1] == 'w';
    if (access[0] != 'r' || access[3] != 'p' || end - begin > (writes ? largest_data : largest_code)) continue;
    // It fails for what is not memory, and on systems before Linux 5.14.
    static_cast<void>(
        ::madvise(reinterpret_cast<void*>(begin), end - begin, writes ? MADV_POPULATE_WRITE : MADV_POPULATE_READ));
  }
}

using Main = int (*)(int, char**, char**);

/// `main` of a shared object; null, and `dlerror` says more, without one.
Main find_main(const std::string& program) {
  void* const library = ::dlopen(program.c_str(), RTLD_NOW | RTLD_GLOBAL);
  return library == nullptr ? nullptr : reinterpret_cast<Main>(::dlsym(library, "main"));
}

/// What was loaded before its work came.
struct Loaded {
  std::string program;
  Main entry = nullptr;
};

/// Loads it before its work comes, if nobody notices. What fails is tried again, and reported, when the work comes.
Loaded load_in_advance(const std::string& program) {
  return {.program = program, .entry = loads_silently(program) ? find_main(program) : nullptr};
}

/// Runs `main` of a shared object.
[[noreturn]] void run_shared(const std::string& program, const Loaded& loaded, std::vector<char*>& arguments) {
  const Main entry = loaded.entry != nullptr && loaded.program == program ? loaded.entry : find_main(program);
  if (entry == nullptr)
    give_up(std::string(::dlerror()) + "; an application is linked with -shared, from sources with a main");
  std::exit(entry(static_cast<int>(arguments.size()) - 1, arguments.data(), environ));
}

/// Of memory that is not shared: heap, and mappings of its own, of this process and each that it forks.
void limit_memory(std::uint64_t bytes) {
  if (bytes == 0) return;
  const rlimit limit{.rlim_cur = bytes, .rlim_max = bytes};
  static_cast<void>(::setrlimit(RLIMIT_DATA, &limit));
}

void redirect_output(const Descriptor& log) {
  ::dup2(log.get(), STDOUT_FILENO);
  ::dup2(log.get(), STDERR_FILENO);
}

[[noreturn]] void become(WorkOrder& work, const Loaded& loaded) {
  if (::chdir(work.folder.c_str()) != 0) give_up("cannot enter " + work.folder);
  for (std::string& entry : work.environment) ::putenv(entry.data());
  if (work.needs_session) drop_ready_session();
  limit_memory(work.host_memory);
  std::vector<char*> arguments;
  for (std::string& word : work.arguments) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (work.kind == WorkOrder::shared) run_shared(work.arguments.front(), loaded, arguments);
  ::execv(arguments.front(), arguments.data());
  give_up("cannot execute " + work.arguments.front());
}

/// Of this process; the daemon has the others.
struct Ends {
  Descriptor work;  // a socket
  Descriptor bell;  // of events: rings when work is likely to come soon
};

Ends tell_that_we_wait() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) ::_exit(cannot_start);
  const Descriptor theirs(ends[1]);
  Descriptor bell(::eventfd(0, EFD_CLOEXEC));
  const std::array<int, 2> given = {ends[1], bell.get()};
  report({.kind = ZygoteReport::waits, .process = ::getpid()}, given);
  ::close(zygote_reports);
  return {.work = Descriptor(ends[0]), .bell = std::move(bell)};
}

bool has_message(const Descriptor& socket) {
  pollfd request{.fd = socket.get(), .events = POLLIN, .revents = 0};
  return ::poll(&request, 1, 0) > 0;
}

/// Blocks until there is work. When that is likely to come soon, it keeps a core until then instead of being woken.
void wait_for_message(const Ends& ends) {
  std::array<pollfd, 2> requests = {pollfd{ends.work.get(), POLLIN, 0}, pollfd{ends.bell.get(), POLLIN, 0}};
  while (::poll(requests.data(), requests.size(), -1) < 0 || requests[0].revents == 0) {
    if (requests[1].revents == 0) continue;
    std::uint64_t count = 0;
    static_cast<void>(!::read(ends.bell.get(), &count, sizeof(count)));
    rehearse_ready_session();
    for (const auto end = Clock::now() + longest_look; !has_message(ends.work) && Clock::now() < end;) ::sched_yield();
  }
}

/// A child: one application, or nothing when the daemon ends before. What every application needs is there in advance:
/// a session, a process group of its own, its pages.
[[noreturn]] void wait_for_work(const std::string& socket) {
  ::setenv("COSOC_DAEMON", socket.c_str(), 1);
  // Without it the application connects itself, later.
  static_cast<void>(keep_session_ready(socket));
  ::setsid();
  empty_input();
  Ends ends = tell_that_we_wait();
  Loaded loaded;
  for (;;) {
    if (!has_message(ends.work)) touch_pages();
    wait_for_message(ends);
    auto message = receive_message(ends.work.get());
    if (!message || !*message) ::_exit(0);
    WorkOrder work = decode((**message).text);
    if (work.arguments.empty()) ::_exit(cannot_start);
    if (work.kind == WorkOrder::load) {
      loaded = load_in_advance(work.arguments.front());
      continue;
    }
    for (const Descriptor& log : std::exchange((**message).descriptors, {})) redirect_output(log);
    ends = {};
    become(work, loaded);
  }
}

void fork_child(const std::string& socket, const sigset_t& before) {
  const pid_t child = ::fork();
  if (child != 0) return;
  ::close(zygote_orders);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  wait_for_work(socket);
}

void reap() {
  int status = 0;
  for (pid_t child = 0; (child = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    report({.kind = ZygoteReport::ended, .process = child, .status = status});
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "cosoc-zygote: started by cosoc-daemon only\n");
    return 2;
  }
  // It was for this program alone.
  ::unsetenv("LD_BIND_NOW");
  const std::string socket = arguments[1];
  for (const int end : {zygote_reports, zygote_orders}) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  sigset_t before;
  sigset_t child_ends;
  sigemptyset(&child_ends);
  sigaddset(&child_ends, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child_ends, &before);
  const Descriptor signals(::signalfd(-1, &child_ends, SFD_CLOEXEC | SFD_NONBLOCK));
  std::array<pollfd, 2> requests = {pollfd{zygote_orders, POLLIN, 0}, pollfd{signals.get(), POLLIN, 0}};
  for (;;) {
    if (::poll(requests.data(), requests.size(), -1) < 0 && errno != EINTR) return 1;
    if ((requests[1].revents & POLLIN) != 0) {
      signalfd_siginfo information{};
      static_cast<void>(!::read(signals.get(), &information, sizeof(information)));
      reap();
    }
    if (requests[0].revents == 0) continue;
    char order = 0;
    if (::recv(zygote_orders, &order, 1, 0) != 1) return 0;
    fork_child(socket, before);
  }
}

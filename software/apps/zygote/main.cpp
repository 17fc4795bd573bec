/// cosoc-zygote: forks the processes of a daemon's applications in advance. The daemon starts it.
///
/// Single-threaded and small, with the runtime loaded: a fork of it takes far less than starting a program. Every child
/// connects to the daemon, waits for work, and becomes the application.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
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

/// Ends of applications that could not begin; others are theirs.
constexpr int cannot_start = 127;

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

/// Loads it before its work comes, if nobody notices.
void load_in_advance(const std::string& program) {
  // What fails is tried again, and reported, when the work comes.
  if (loads_silently(program)) static_cast<void>(::dlopen(program.c_str(), RTLD_NOW | RTLD_GLOBAL));
}

/// Runs `main` of a shared object.
[[noreturn]] void run_shared(const std::string& program, std::vector<char*>& arguments) {
  void* library = ::dlopen(program.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) give_up(::dlerror());
  const auto entry = reinterpret_cast<int (*)(int, char**, char**)>(::dlsym(library, "main"));
  if (entry == nullptr) give_up(program + " has no main; link it with -shared, from sources with a main");
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

[[noreturn]] void become(WorkOrder& work) {
  if (::chdir(work.folder.c_str()) != 0) give_up("cannot enter " + work.folder);
  for (std::string& entry : work.environment) ::putenv(entry.data());
  if (work.needs_session) drop_ready_session();
  limit_memory(work.host_memory);
  std::vector<char*> arguments;
  for (std::string& word : work.arguments) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (work.kind == WorkOrder::shared) run_shared(work.arguments.front(), arguments);
  ::execv(arguments.front(), arguments.data());
  give_up("cannot execute " + work.arguments.front());
}

/// The socket for the work of this process; the daemon has its other end.
Descriptor tell_that_we_wait() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) ::_exit(cannot_start);
  const Descriptor theirs(ends[1]);
  report({.kind = ZygoteReport::waits, .process = ::getpid()}, {&ends[1], 1});
  ::close(zygote_reports);
  return Descriptor(ends[0]);
}

bool has_message(const Descriptor& socket) {
  pollfd request{.fd = socket.get(), .events = POLLIN, .revents = 0};
  return ::poll(&request, 1, 0) > 0;
}

/// A child: one application, or nothing when the daemon ends before. What every application needs is there in advance:
/// a session, a process group of its own, its pages.
[[noreturn]] void wait_for_work(const std::string& socket) {
  ::setenv("COSOC_DAEMON", socket.c_str(), 1);
  // Without it the application connects itself, later.
  static_cast<void>(keep_session_ready(socket));
  ::setsid();
  empty_input();
  Descriptor daemon = tell_that_we_wait();
  for (;;) {
    if (!has_message(daemon)) touch_pages();
    auto message = receive_message(daemon.get());
    if (!message || !*message) ::_exit(0);
    WorkOrder work = decode((**message).text);
    if (work.arguments.empty()) ::_exit(cannot_start);
    if (work.kind == WorkOrder::load) {
      load_in_advance(work.arguments.front());
      continue;
    }
    for (const Descriptor& log : std::exchange((**message).descriptors, {})) redirect_output(log);
    daemon = Descriptor();
    become(work);
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

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
#include <string>
#include <vector>

#include "daemon/socket.hpp"
#include "daemon/zygote.hpp"
#include "session/session_state.hpp"

namespace {

using namespace cosoc;
using namespace cosoc::daemon;

/// Ends of applications that could not begin; others are theirs.
constexpr int cannot_start = 127;

void report(const ZygoteReport& what) {
  while (::send(zygote_reports, &what, sizeof(what), MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "cosoc: %s\n", why.c_str());
  std::fflush(stderr);
  ::_exit(cannot_start);
}

void redirect_output(const std::string& log) {
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (output < 0) return;
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
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

[[noreturn]] void become(const nlohmann::json& work) {
  report({.kind = ZygoteReport::started, .process = ::getpid(), .instance = work.at("instance")});
  ::close(zygote_work);
  ::close(zygote_reports);
  redirect_output(work.at("log"));
  const std::string folder = work.at("folder");
  if (::chdir(folder.c_str()) != 0) give_up("cannot enter " + folder);
  ::setenv("COSOC_NAME", work.at("name").get<std::string>().c_str(), 1);
  // For programs that connect themselves; the daemon gives these to the session that is open already.
  ::setenv("COSOC_PRIORITY", work.at("priority").dump().c_str(), 1);
  ::setenv("COSOC_WEIGHT", work.at("weight").dump().c_str(), 1);
  if (work.at("memory") != 0) {
    ::setenv("COSOC_MEMORY", work.at("memory").dump().c_str(), 1);
    drop_ready_session();
  }
  limit_memory(work.at("host_memory"));
  std::vector<std::string> words = {work.at("program")};
  for (const auto& argument : work.at("arguments")) words.push_back(argument);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (work.at("shared").get<bool>()) run_shared(words.front(), arguments);
  ::execv(words.front().c_str(), arguments.data());
  give_up("cannot execute " + words.front());
}

/// A child: one application, or nothing when the daemon ends before. What every application needs is there in advance:
/// a session, a process group of its own, its pages.
[[noreturn]] void wait_for_work(const std::string& socket) {
  ::setenv("COSOC_DAEMON", socket.c_str(), 1);
  // Without it the application connects itself, later.
  static_cast<void>(keep_session_ready(socket));
  ::setsid();
  empty_input();
  touch_pages();
  const auto message = receive_message(zygote_work);
  if (!message || !*message) ::_exit(0);
  const auto work = parse_message((**message).text);
  if (!work) ::_exit(cannot_start);
  become(*work);
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
  for (const int end : {zygote_work, zygote_reports, zygote_orders}) ::fcntl(end, F_SETFD, FD_CLOEXEC);
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

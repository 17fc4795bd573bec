/// cosoc-zygote: forks the processes of a daemon's applications in advance. The daemon starts it.
///
/// Single-threaded and small, with the runtime loaded: a fork of it takes far less than starting a program. Every child
/// connects to the daemon, waits for work, and becomes the application.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "daemon/connection.hpp"
#include "daemon/socket.hpp"
#include "daemon/zygote.hpp"

namespace {

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

/// Output goes to the log, input is empty.
void redirect(const std::string& log) {
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (input >= 0) ::dup2(input, STDIN_FILENO);
  if (output < 0) return;
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
}

/// Runs `main` of a shared object.
[[noreturn]] void run_shared(const std::string& program, std::vector<char*>& arguments) {
  void* library = ::dlopen(program.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) give_up(::dlerror());
  const auto entry = reinterpret_cast<int (*)(int, char**, char**)>(::dlsym(library, "main"));
  if (entry == nullptr) give_up(program + " has no main; link it with -shared, from sources with a main");
  std::exit(entry(static_cast<int>(arguments.size()) - 1, arguments.data(), environ));
}

/// Whether the connection that was made in advance is what the application would ask for.
bool takes_ready_connection(const nlohmann::json& work) {
  return work.at("priority") == 0 && work.at("weight") == 1.0 && work.at("memory") == 0;
}

[[noreturn]] void become(const nlohmann::json& work) {
  ::setsid();
  report({.kind = ZygoteReport::started, .process = ::getpid(), .instance = work.at("instance")});
  ::close(zygote_work);
  ::close(zygote_reports);
  redirect(work.at("log"));
  const std::string folder = work.at("folder");
  if (::chdir(folder.c_str()) != 0) give_up("cannot enter " + folder);
  ::setenv("COSOC_NAME", work.at("name").get<std::string>().c_str(), 1);
  if (!takes_ready_connection(work)) {
    Connection::drop_ready();
    ::setenv("COSOC_PRIORITY", work.at("priority").dump().c_str(), 1);
    ::setenv("COSOC_WEIGHT", work.at("weight").dump().c_str(), 1);
    ::setenv("COSOC_MEMORY", work.at("memory").dump().c_str(), 1);
  }
  std::vector<std::string> words = {work.at("program")};
  for (const auto& argument : work.at("arguments")) words.push_back(argument);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (work.at("shared").get<bool>()) run_shared(words.front(), arguments);
  ::execv(words.front().c_str(), arguments.data());
  give_up("cannot execute " + words.front());
}

/// A child: one application, or nothing when the daemon ends before.
[[noreturn]] void wait_for_work(const std::string& socket) {
  ::setenv("COSOC_DAEMON", socket.c_str(), 1);
  // Without it the application connects itself, later.
  static_cast<void>(Connection::keep_ready({.socket = socket, .name = "ready"}));
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

#include "daemon/zygote.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

extern char** environ;

namespace cosoc::daemon {
namespace {

struct Pair {
  Descriptor ours;
  Descriptor theirs;
};

Result<Pair> make_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return failure(std::string("cannot make a socket: ") + std::strerror(errno));
  }
  return Pair{Descriptor(ends[0]), Descriptor(ends[1])};
}

}  // namespace

Result<std::unique_ptr<Zygote>> Zygote::start(const std::filesystem::path& program, const std::filesystem::path& socket,
                                              std::uint32_t ready, EventLoop& loop, Reported reported) {
  auto work = make_pair();
  auto reports = make_pair();
  auto orders = make_pair();
  if (!work || !reports || !orders) return failure("cannot make the sockets of the zygote");
  std::unique_ptr<Zygote> zygote(new Zygote(loop, std::move(reported)));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // Numbers above those of the zygote first, so that none is overwritten before it is copied.
  std::array<Descriptor, 3> high;
  const std::array<int, 3> theirs = {work->theirs.get(), reports->theirs.get(), orders->theirs.get()};
  const std::array<int, 3> wanted = {zygote_work, zygote_reports, zygote_orders};
  for (std::size_t i = 0; i < high.size(); ++i) {
    high[i] = Descriptor(::fcntl(theirs[i], F_DUPFD_CLOEXEC, 16));
    posix_spawn_file_actions_adddup2(&actions, high[i].get(), wanted[i]);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::string path = program.string();
  std::string address = socket.string();
  std::array<char*, 3> arguments = {path.data(), address.data(), nullptr};
  const int error = ::posix_spawn(&zygote->process_, path.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return failure("cannot start " + path + ": " + std::strerror(error) + "; build it with scons");
  zygote->work_ = std::move(work->ours);
  zygote->reports_ = std::move(reports->ours);
  zygote->orders_ = std::move(orders->ours);
  ::fcntl(zygote->reports_.get(), F_SETFL, O_NONBLOCK);
  auto added = loop.add(zygote->reports_.get(), [raw = zygote.get()](std::uint32_t) { raw->receive(); });
  if (!added) return tl::make_unexpected(added.error());
  zygote->exit_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, zygote->process_, 0)));
  added = loop.add(zygote->exit_.get(), [raw = zygote.get()](std::uint32_t) { raw->lose(); });
  if (!added) return tl::make_unexpected(added.error());
  for (std::uint32_t i = 0; i < ready; ++i) zygote->fork_one();
  return zygote;
}

Zygote::~Zygote() {
  if (process_ == 0) return;
  if (reports_) loop_.remove(reports_.get());
  if (exit_) loop_.remove(exit_.get());
  // The end of the sockets ends those that wait; the zygote itself may be in the middle of a fork.
  work_ = Descriptor();
  orders_ = Descriptor();
  reports_ = Descriptor();
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
}

Status Zygote::become(const nlohmann::json& work) { return send_message(work_.get(), work, {}, false); }

void Zygote::fork_one() {
  const char order = 'f';
  static_cast<void>(!::send(orders_.get(), &order, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
}

void Zygote::lose() {
  loop_.remove(exit_.get());
  loop_.remove(reports_.get());
  // What it told before its end.
  receive();
  reported_({.kind = ZygoteReport::lost});
}

void Zygote::receive() {
  ZygoteReport report;
  while (::recv(reports_.get(), &report, sizeof(report), 0) == static_cast<ssize_t>(sizeof(report))) reported_(report);
}

}  // namespace cosoc::daemon

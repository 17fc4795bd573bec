#include "daemon/zygote.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

namespace cosoc::daemon {
namespace {

/// In which an application starts.
constexpr auto fork_pause = std::chrono::milliseconds(1);

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
  auto reports = make_pair();
  auto orders = make_pair();
  if (!reports || !orders) return failure("cannot make the sockets of the zygote");
  std::unique_ptr<Zygote> zygote(new Zygote(loop, std::move(reported), ready));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // Numbers above those of the zygote first, so that none is overwritten before it is copied.
  std::array<Descriptor, 2> high;
  const std::array<int, 2> theirs = {reports->theirs.get(), orders->theirs.get()};
  const std::array<int, 2> wanted = {zygote_reports, zygote_orders};
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
  // Every function is looked up once, before the forks, and not in each process when it is first called.
  std::string binding = "LD_BIND_NOW=1";
  std::vector<char*> environment = {binding.data()};
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  const int error =
      ::posix_spawn(&zygote->process_, path.c_str(), &actions, &attributes, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return failure("cannot start " + path + ": " + std::strerror(error) + "; build it with scons");
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
  waiting_.clear();
  orders_ = Descriptor();
  reports_ = Descriptor();
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
}

FileIdentity FileIdentity::of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {.device = status.st_dev,
          .number = status.st_ino,
          .size = status.st_size,
          .changed_s = status.st_mtim.tv_sec,
          .changed_ns = status.st_mtim.tv_nsec};
}

int Zygote::become(const WorkOrder& work, const Descriptor& log, const std::function<void(int process)>& before) {
  const bool shared = work.kind == WorkOrder::shared;
  const FileIdentity wanted = shared ? FileIdentity::of(work.arguments.front()) : FileIdentity();
  const int number = log.get();
  for (;;) {
    const auto chosen = choose(wanted);
    if (chosen == waiting_.end()) return 0;
    before(chosen->process);
    if (!send_text(chosen->work.get(), encode(work), std::span(&number, log ? 1 : 0), false)) {
      // It has died: the report of its end replaces it.
      chosen->work = Descriptor();
      continue;
    }
    const int process = chosen->process;
    const bool missed = shared && chosen->loaded != wanted;
    waiting_.erase(chosen);
    replace();
    if (missed) expect(work.arguments.front(), wanted);
    return process;
  }
}

/// Has another process wait in place of one that became an application. A fork takes a core for a while that the
/// application wants just now, so as long as others wait it is put off.
void Zygote::replace() {
  ++*owed_;
  const auto fork = [this] {
    for (; *owed_ > 0; --*owed_) fork_one();
  };
  if (waiting_.empty()) return fork();
  if (*owed_ != 1) return;
  loop_.at(Clock::now() + fork_pause, [fork, alive = std::weak_ptr(owed_)] {
    if (!alive.expired()) fork();
  });
}

void Zygote::alert() {
  const auto likely = find(expected_identity_);
  const std::uint64_t one = 1;
  if (likely != waiting_.end()) static_cast<void>(!::write(likely->bell.get(), &one, sizeof(one)));
}

/// One that waits and has this loaded.
std::deque<Zygote::Waiting>::iterator Zygote::find(const FileIdentity& identity) {
  return std::ranges::find_if(waiting_, [&](const Waiting& item) { return item.work && item.loaded == identity; });
}

/// One that has it loaded, or else one that has nothing loaded. If all have others, one of these makes room.
std::deque<Zygote::Waiting>::iterator Zygote::choose(const FileIdentity& wanted) {
  auto found = find(wanted);
  if (found == waiting_.end()) found = find({});
  if (found != waiting_.end()) return found;
  const auto other = std::ranges::find_if(waiting_, [](const Waiting& item) { return static_cast<bool>(item.work); });
  if (other != waiting_.end()) retire(other);
  return waiting_.end();
}

/// The process ends when it sees that its socket has.
void Zygote::retire(const std::deque<Waiting>::iterator& waiting) {
  retired_.insert(waiting->process);
  waiting_.erase(waiting);
  fork_one();
}

/// What no process had loaded is loaded by the next ones; what comes for the second time in a row, instead of others.
void Zygote::expect(const std::string& program, const FileIdentity& identity) {
  const bool again = expected_identity_ == identity;
  expected_ = program;
  expected_identity_ = identity;
  if (!again) return;
  const auto stale = [&](const Waiting& item) {
    return item.work && item.loaded != identity && item.loaded != FileIdentity();
  };
  for (auto found = std::ranges::find_if(waiting_, stale); found != waiting_.end();
       found = std::ranges::find_if(waiting_, stale)) {
    retire(found);
  }
}

/// Has one process load what is expected, as long as another one is left that has nothing loaded.
void Zygote::load_one() {
  const auto has = [](const Waiting& item) { return item.loaded != FileIdentity(); };
  if (expected_.empty() || static_cast<std::uint32_t>(std::ranges::count_if(waiting_, has)) + 1 >= ready_) return;
  const auto found = find({});
  if (found == waiting_.end()) return;
  const WorkOrder what = {.kind = WorkOrder::load, .folder = {}, .environment = {}, .arguments = {expected_}};
  if (send_text(found->work.get(), encode(what), {}, false)) found->loaded = expected_identity_;
}

bool Zygote::forget(int process) {
  std::erase_if(waiting_, [process](const Waiting& item) { return item.process == process; });
  return retired_.erase(process) != 0;
}

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
  for (;;) {
    auto message = receive_message(reports_.get());
    if (!message || !*message || (**message).text.size() != sizeof(ZygoteReport)) return;
    ZygoteReport report;
    std::memcpy(&report, (**message).text.data(), sizeof(report));
    auto& descriptors = (**message).descriptors;
    const bool waits = report.kind == ZygoteReport::waits && descriptors.size() == 2;
    if (waits) {
      waiting_.push_back({.process = report.process,
                          .work = std::move(descriptors[0]),
                          .bell = std::move(descriptors[1]),
                          .loaded = {}});
    }
    reported_(report);
    // If it has no work already.
    if (waits) load_one();
  }
}

}  // namespace cosoc::daemon

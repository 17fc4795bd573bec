/// Processes of applications, forked in advance from one that has the runtime loaded.
///
/// The daemon talks with the zygote over two sockets, orders and reports, and with each process that waits over one of
/// its own, whose end comes with the report.
#pragma once

#include <sys/stat.h>

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>

#include "daemon/event_loop.hpp"
#include "daemon/socket.hpp"
#include "daemon/work_order.hpp"

namespace cosoc::daemon {

/// Descriptors of the zygote's ends.
inline constexpr int zygote_reports = 3;
inline constexpr int zygote_orders = 4;

/// What the zygote tells.
struct ZygoteReport {
  enum Kind : std::uint32_t {
    waits,  // from a process, with the socket for its work
    ended,  // from the zygote
    lost,   // the zygote itself
  };
  std::uint32_t kind = waits;
  std::int32_t process = 0;
  std::int32_t status = 0;  // of `ended`, as waitpid gives it
};

/// Tells whether a file is the one that it was.
struct FileIdentity {
  dev_t device = 0;
  ino_t number = 0;
  off_t size = 0;
  std::int64_t changed_s = 0;
  std::int64_t changed_ns = 0;

  /// All 0 when there is no such file.
  static FileIdentity of(const std::string& path);
  bool operator==(const FileIdentity&) const = default;
};

class Zygote {
 public:
  using Reported = std::function<void(const ZygoteReport&)>;

  /// Starts `program` with `ready` processes that wait.
  static Result<std::unique_ptr<Zygote>> start(const std::filesystem::path& program,
                                               const std::filesystem::path& socket, std::uint32_t ready,
                                               EventLoop& loop, Reported reported);
  /// Ends the zygote and whatever waits; not what runs.
  ~Zygote();

  /// Lets one of the processes become this, and print into `log`; another one takes its place. Which process it is; 0:
  /// none waits, and a report tells of the next one. Where there are several, all but one of them have the shared
  /// object loaded that was wanted last. `before` is told of the process just before that is told, so that what it
  /// needs is there when it looks.
  int become(const WorkOrder& work, const Descriptor& log, const std::function<void(int process)>& before);
  /// Work is being read: the process that is likely to get it wakes already.
  void alert();
  /// Has one process more wait.
  void fork_one();
  /// A process has ended that became nothing. Whether that was meant, and another one has its place.
  bool forget(int process);

 private:
  struct Waiting {
    int process = 0;
    Descriptor work;
    Descriptor bell;      // see `alert`
    FileIdentity loaded;  // the shared object that it has, or that it was told to load
  };

  Zygote(EventLoop& loop, Reported reported, std::uint32_t ready)
      : loop_(loop), reported_(std::move(reported)), ready_(ready) {}
  void receive();
  void lose();
  void replace();
  void load_one();
  std::deque<Waiting>::iterator find(const FileIdentity& identity);
  std::deque<Waiting>::iterator choose(const FileIdentity& wanted);
  void retire(const std::deque<Waiting>::iterator& waiting);
  void expect(const std::string& program, const FileIdentity& identity);

  EventLoop& loop_;
  Reported reported_;
  std::uint32_t ready_;
  std::deque<Waiting> waiting_;  // the oldest first
  std::set<int> retired_;        // processes that end because others are wanted
  std::shared_ptr<std::uint32_t> owed_ = std::make_shared<std::uint32_t>(0);  // forks that were put off
  std::string expected_;  // path of the shared object that was wanted last
  FileIdentity expected_identity_;
  Descriptor reports_;
  Descriptor orders_;
  int process_ = 0;
  Descriptor exit_;  // of the process: its children keep its sockets open
};

}  // namespace cosoc::daemon

/// Processes of applications, forked in advance from one that has the runtime loaded.
///
/// The daemon talks with the zygote over two sockets. Work: every message is one process to become, and goes to one of
/// the processes that wait there. Reports: `started` from that process, `ended` from the zygote, in this order.
#pragma once

#include <filesystem>
#include <functional>

#include "daemon/event_loop.hpp"
#include "daemon/socket.hpp"

namespace cosoc::daemon {

/// Descriptors of the zygote's ends.
inline constexpr int zygote_work = 3;
inline constexpr int zygote_reports = 4;
inline constexpr int zygote_orders = 5;

/// What the zygote tells.
struct ZygoteReport {
  enum Kind : std::uint32_t { ready, started, ended, lost };
  std::uint32_t kind = ready;
  std::int32_t process = 0;
  std::uint64_t instance = 0;  // of `started`; `lost` is the end of the zygote itself
  std::int32_t status = 0;     // of `ended`, as waitpid gives it
  std::uint32_t unused = 0;
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

  /// Lets one of the processes become this instance.
  Status become(const nlohmann::json& work);
  /// Has one process more wait.
  void fork_one();

 private:
  Zygote(EventLoop& loop, Reported reported) : loop_(loop), reported_(std::move(reported)) {}
  void receive();
  void lose();

  EventLoop& loop_;
  Reported reported_;
  Descriptor work_;
  Descriptor reports_;
  Descriptor orders_;
  int process_ = 0;
  Descriptor exit_;  // of the process: its children keep its sockets open
};

}  // namespace cosoc::daemon

/// Which client may compute on which CPU core.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/event_loop.hpp"
#include "daemon/shared_page.hpp"

namespace cosoc::daemon {

struct CoreTimes {
  /// A client of weight 1 keeps a core this long when others of its priority wait.
  Clock::duration slice = std::chrono::milliseconds(2);
  /// A core that is wanted back and does not come is lent to others after this time: its holder hangs, is stopped, or
  /// has a long kernel. Then more threads compute than there are cores, until it gives up.
  Clock::duration limit = std::chrono::milliseconds(200);
};

/// Lends cores over the shared pages of clients, and takes them back. Knows no descriptors and no clock of its own.
///
/// Lent cores stay with a client until another one waits for one, so a client alone never asks. Waiting clients are
/// served by priority, then by what they hold for their weight.
class Cores {
 public:
  Cores(std::uint32_t count, CoreTimes times) : times_(times), cores_(count) {}

  /// The page lives until `remove`.
  void add(std::uint64_t client, SharedPage& page, std::int32_t priority, double weight, Instant now);
  void remove(std::uint64_t client, Instant now);

  /// Looks at all pages, and lends what is free to those who wait. When to call again at the latest: never while nobody
  /// waits.
  std::optional<Instant> balance(Instant now);

  /// Clients that wrote what no client writes into the words of their cores, and were not told of before.
  std::vector<std::uint64_t> take_violators() { return std::exchange(violators_, {}); }

  std::uint32_t held_by(std::uint64_t client) const;
  /// Cores that a client held beyond the limit so far.
  std::uint64_t overruns(std::uint64_t client) const;

 private:
  struct Client {
    SharedPage* page;
    std::int32_t priority;
    double weight;
    std::uint64_t overruns = 0;
    std::uint64_t turn = 0;  // of its last core: who waited longest is served first
  };
  struct Core {
    std::uint64_t client = 0;  // 0: nobody
    std::uint32_t count = 0;   // of loans, as in the upper bits of the word
    Instant lent;
    std::optional<Instant> wanted;
  };

  std::uint32_t expected(const Core& core, Loan loan) const {
    return core.count << 2 | static_cast<std::uint32_t>(loan);
  }
  std::atomic<std::uint32_t>& word(std::size_t core) { return clients_.at(cores_[core].client).page->cores[core].word; }
  void collect(Instant now);
  bool is_possible(const Core& core, std::uint32_t word) const;
  std::vector<std::uint64_t> waiting() const;
  bool serve(std::uint64_t client, Instant now);
  bool take_idle(std::uint64_t client, Instant now);
  void want_back(std::uint64_t client, Instant now);
  void lend(std::size_t core, std::uint64_t client, Instant now);

  CoreTimes times_;
  std::vector<Core> cores_;
  std::map<std::uint64_t, Client> clients_;
  std::uint64_t last_turn_ = 0;
  std::vector<std::uint64_t> violators_;
};

}  // namespace cosoc::daemon

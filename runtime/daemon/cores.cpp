#include "daemon/cores.hpp"

#include <algorithm>

#include "daemon/futex.hpp"

namespace cosoc::daemon {

void Cores::add(std::uint64_t client, SharedPage& page, std::int32_t priority, double weight, Instant now) {
  clients_.emplace(client, Client{&page, priority, weight});
  collect(now);
  bool any = false;
  for (std::size_t core = 0; core < cores_.size(); ++core) {
    if (cores_[core].client != 0) continue;
    lend(core, client, now);
    any = true;
  }
  if (!any) take_idle(client, now);
}

void Cores::remove(std::uint64_t client, Instant now) {
  for (Core& core : cores_) {
    if (core.client == client) core = {.client = 0, .count = core.count, .lent = now, .wanted = {}};
  }
  clients_.erase(client);
}

std::optional<Instant> Cores::balance(Instant now) {
  collect(now);
  // Whoever got a core may wait for another one, after the others. What clients claim may change at any time, so
  // rounds are bounded.
  bool progress = true;
  for (std::size_t round = 0; progress && round < cores_.size(); ++round) {
    progress = false;
    for (const std::uint64_t client : waiting()) progress |= serve(client, now);
  }
  const auto left = waiting();
  if (left.empty()) return std::nullopt;
  for (const std::uint64_t client : left) want_back(client, now);
  // Somebody still waits: for the end of a slice, or of the limit.
  return now + times_.slice;
}

/// Whether the word of a lent core is what the client may have made of it: who has been asked for it gives it back,
/// others take it and put it down.
bool Cores::is_possible(const Core& core, std::uint32_t word) const {
  const bool asked = core.wanted.has_value();
  const auto is = [&](Loan loan) { return word == expected(core, loan); };
  return asked ? is(Loan::wanted) || is(Loan::none) : is(Loan::idle) || is(Loan::busy);
}

/// Finds out which cores came back, or are overdue.
void Cores::collect(Instant now) {
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    Core& core = cores_[i];
    if (core.client == 0) continue;
    const std::uint32_t found = word(i).load();
    if (!is_possible(core, found)) violators_.push_back(core.client);
    const bool ours = found >> 2 == (core.count & (UINT32_MAX >> 2));
    if (ours && loan_of(found) == Loan::wanted && core.wanted && now - *core.wanted > times_.limit) {
      // Only if it does not come back at this moment.
      std::uint32_t seen = found;
      if (word(i).compare_exchange_strong(seen, expected(core, Loan::none))) ++clients_.at(core.client).overruns;
    } else if (ours && loan_of(found) != Loan::none) {
      continue;
    }
    core.client = 0;
    core.wanted.reset();
  }
}

/// Clients with threads that wait for more cores than lie ready for them, in the order in which they are served.
std::vector<std::uint64_t> Cores::waiting() const {
  std::vector<std::uint64_t> list;
  for (const auto& [id, client] : clients_) {
    std::uint32_t wanted = client.page->wanted.load();
    for (std::size_t i = 0; i < cores_.size() && wanted > 0; ++i) {
      if (cores_[i].client == id && loan_of(client.page->cores[i].word.load()) == Loan::idle) --wanted;
    }
    // What a client claims beyond all cores is not believed.
    if (wanted > 0 && held_by(id) < cores_.size()) list.push_back(id);
  }
  std::ranges::stable_sort(list, [this](std::uint64_t a, std::uint64_t b) {
    const Client& x = clients_.at(a);
    const Client& y = clients_.at(b);
    if (x.priority != y.priority) return x.priority > y.priority;
    const double share_x = held_by(a) / x.weight;
    const double share_y = held_by(b) / y.weight;
    return share_x != share_y ? share_x < share_y : x.turn < y.turn;
  });
  return list;
}

/// Lends a core that nobody computes on, if there is one.
bool Cores::serve(std::uint64_t client, Instant now) {
  for (std::size_t core = 0; core < cores_.size(); ++core) {
    if (cores_[core].client != 0) continue;
    lend(core, client, now);
    return true;
  }
  return take_idle(client, now);
}

/// Takes a core that lies ready for another client and gives it to this one. Among several, of the lowest priority and
/// of whoever holds most.
bool Cores::take_idle(std::uint64_t client, Instant now) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const std::uint64_t holder = cores_[i].client;
    if (holder == 0 || holder == client || word(i).load() != expected(cores_[i], Loan::idle)) continue;
    // One that its holder waited for is about to be taken.
    if (clients_.at(holder).page->wanted.load() != 0 && now - cores_[i].lent < times_.slice) continue;
    const auto rank = [this](std::size_t core) {
      const std::uint64_t id = cores_[core].client;
      return std::pair(clients_.at(id).priority, -static_cast<std::int64_t>(held_by(id)));
    };
    if (!best || rank(i) < rank(*best)) best = i;
  }
  if (!best) return false;
  std::uint32_t seen = expected(cores_[*best], Loan::idle);
  // Its client may have taken it in the meantime.
  if (!word(*best).compare_exchange_strong(seen, expected(cores_[*best], Loan::none))) return false;
  lend(*best, client, now);
  return true;
}

/// Asks for one core for a client that waits: from lower priority at once, from equal priority after its slice.
void Cores::want_back(std::uint64_t client, Instant now) {
  const Client& asking = clients_.at(client);
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const Core& core = cores_[i];
    if (core.client == client || core.client == 0) continue;
    const Client& holder = clients_.at(core.client);
    if (holder.priority > asking.priority) continue;
    const auto slice = std::chrono::duration_cast<Clock::duration>(times_.slice * holder.weight);
    const bool equal = holder.priority == asking.priority;
    // Equal clients do not trade cores to and fro: the holder has more for its weight, or as much and had its time.
    if (equal && held_by(core.client) / holder.weight < (held_by(client) + 1) / asking.weight && held_by(client) != 0) {
      continue;
    }
    if (equal && now - core.lent < slice) continue;
    if (core.wanted) return;  // one is on its way
    if (!best || core.lent < cores_[*best].lent) best = i;
  }
  if (!best) return;
  std::uint32_t seen = expected(cores_[*best], Loan::busy);
  if (word(*best).compare_exchange_strong(seen, expected(cores_[*best], Loan::wanted))) cores_[*best].wanted = now;
}

void Cores::lend(std::size_t index, std::uint64_t client, Instant now) {
  Core& core = cores_[index];
  core = {.client = client, .count = (core.count + 1) & (UINT32_MAX >> 2), .lent = now, .wanted = {}};
  Client& to = clients_.at(client);
  to.turn = ++last_turn_;
  to.page->cores[index].word.store(expected(core, Loan::idle));
  to.page->lent.fetch_add(1);
  futex_wake(to.page->lent);
}

std::uint32_t Cores::held_by(std::uint64_t client) const {
  return static_cast<std::uint32_t>(std::ranges::count(cores_, client, &Core::client));
}

std::uint64_t Cores::overruns(std::uint64_t client) const {
  const auto found = clients_.find(client);
  return found == clients_.end() ? 0 : found->second.overruns;
}

}  // namespace cosoc::daemon

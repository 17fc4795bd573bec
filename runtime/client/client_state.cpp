#include "client/client_state.hpp"

#include <algorithm>

namespace cosoc {

namespace {

/// A call before this one that has ended, but whose outcome is not known yet.
std::shared_ptr<PendingCall> unfinished(const PendingCall& call) {
  const auto open = [](const std::shared_ptr<PendingCall>& other) {
    const std::lock_guard lock(other->mutex);
    return !other->finished;
  };
  const auto found = std::ranges::find_if(call.after, open);
  return found == call.after.end() ? nullptr : *found;
}

}  // namespace

bool PendingCall::follow(std::span<const Future> others) {
  for (const Future& other : others) {
    if (!other.call_->finish()) continue;
    if (const Status& ended = other.call_->wait(); !ended) {
      refuse(ended.error());
      return false;
    }
  }
  for (const Future& other : others) {
    after.push_back(other.call_);
    before.insert(before.end(), other.call_->last.begin(), other.call_->last.end());
  }
  return true;
}

void PendingCall::refuse(const Error& why) {
  finished = true;
  outcome = tl::make_unexpected(why);
}

bool PendingCall::finish() {
  if (!group.ended()) return false;
  // A loop instead of recursion: chains of calls may be long.
  std::vector<std::shared_ptr<PendingCall>> chain;
  for (PendingCall* call = this;;) {
    std::shared_ptr<PendingCall> before;
    {
      const std::lock_guard lock(call->mutex);
      if (!call->finished && call->group.status()) before = unfinished(*call);
      if (!before) call->conclude();
    }
    if (before) {
      chain.push_back(before);
    } else if (call == this) {
      return true;
    } else {
      chain.pop_back();
    }
    call = chain.empty() ? this : chain.back().get();
  }
}

void PendingCall::conclude() {
  if (finished) return;
  outcome = group.status();
  // One that failed while this one was being submitted did not stop our task: its error is ours all the same.
  for (const auto& other : after) {
    if (outcome) outcome = other->outcome;
  }
  after.clear();
  holds.clear();
  finished = true;
}

const Status& PendingCall::wait() {
  if (!finish()) {
    session->scheduler().wait(group);
    finish();
  }
  return outcome;
}

ClientState::~ClientState() { static_cast<void>(wait()); }

void ClientState::keep(std::shared_ptr<PendingCall> call) {
  const std::lock_guard lock(mutex_);
  pending_.push_back(std::move(call));
  while (pending_.front()->finish()) {
    if (first_error_) first_error_ = pending_.front()->outcome;
    pending_.pop_front();
    if (pending_.empty()) break;
  }
}

Status ClientState::wait() {
  std::deque<std::shared_ptr<PendingCall>> waiting;
  Status error;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(pending_);
    std::swap(error, first_error_);
  }
  for (const auto& call : waiting) {
    const Status& outcome = call->wait();
    if (error) error = outcome;
  }
  return error;
}

}  // namespace cosoc

/// The memory that one client and the daemon share beside the client's buffers: cores on loan, and calls of
/// accelerators.
///
/// No other client maps it. The client may write anything at any time: the daemon copies a value, checks it, and uses
/// the copy. What a client writes here can change which cores it holds and what its own calls do, nothing else.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace cosoc::daemon {

inline constexpr std::uint32_t page_layout = 2;
inline constexpr std::size_t max_cores = 64;
inline constexpr std::size_t max_accelerators = 32;
inline constexpr std::size_t max_operands = 16;
inline constexpr std::size_t note_bytes = 512;
/// Prepared calls that a client may have at a time; it chooses their indices below.
inline constexpr std::size_t max_prepared = 1024;

/// One CPU core as this client sees it: the state in bits 1..0, and above them how often it was lent to this client, so
/// that one who was stopped and wakes up late cannot give back what is not his any more.
enum class Loan : std::uint32_t {
  none = 0,    // somebody else's
  idle = 1,    // lent, and free to take
  busy = 2,    // a thread of the client computes on it
  wanted = 3,  // and the daemon wants it back afterwards
};

constexpr Loan loan_of(std::uint32_t word) { return static_cast<Loan>(word & 3); }
constexpr std::uint32_t with_loan(std::uint32_t word, Loan loan) {
  return (word & ~3U) | static_cast<std::uint32_t>(loan);
}

struct alignas(64) SharedCore {
  std::atomic<std::uint32_t> word;
};

/// How a call of an accelerator stands. `posted` is the client's, `done` the daemon's to write.
enum class MailState : std::uint32_t { free = 0, posted = 1, done = 2 };
/// `refused`: the daemon has no accelerator for it now; a CPU core may do it.
enum class MailOutcome : std::uint32_t { done = 0, refused = 1 };

/// A tensor in the client's memory.
struct SharedOperand {
  std::uint64_t offset;
  std::uint64_t id;  // of the allocation, so that repacked constants are told apart
  std::uint32_t constant;
  std::uint32_t unused;
};

/// What a client asks for.
struct PostedCall {
  std::uint32_t call;    // index of a prepared call
  std::uint32_t inputs;  // how many of `operands`; outputs follow them
  std::uint32_t outputs;
  std::int64_t slack_ns;  // until it should have ended
  std::array<SharedOperand, max_operands> operands;
};

/// One call at a time of one accelerator.
struct alignas(64) Mailbox {
  std::atomic<std::uint32_t> state;  // a futex
  PostedCall posted;
  std::uint32_t outcome;
  std::uint64_t cycles;
  std::uint64_t commands;
  std::array<char, note_bytes> note;  // ends with 0
};

struct SharedPage {
  std::uint32_t layout;
  std::atomic<std::uint32_t> ended;             // the client's own: its connection is gone
  std::atomic<std::uint32_t> wanted;            // threads of the client that wait for a core
  std::atomic<std::uint32_t> absent;            // the daemon's: accelerators that nobody has now, a bit for each
  alignas(64) std::atomic<std::uint32_t> lent;  // a futex: counts cores that became free to take
  std::array<SharedCore, max_cores> cores;
  std::array<Mailbox, max_accelerators> mailboxes;
};

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace cosoc::daemon

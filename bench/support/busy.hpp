/// Work of a known length and a graph of it, for schedulers that are compared.
#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

/// What the calling thread has computed.
inline double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Keeps a core busy for a number of steps of a random generator, or returns at once. Never false.
inline bool busy(std::uint64_t steps) {
  std::minstd_rand random;
  random.discard(steps);
  const auto last = random();
  asm volatile("" : : "r"(last));  // needed by somebody, as far as the compiler knows
  return last != 0;
}

/// Steps that take about this time on this machine.
inline std::uint64_t steps_of(std::chrono::nanoseconds time) {
  constexpr std::uint64_t sample = 10'000'000;
  const double start = thread_seconds();
  if (!busy(sample)) return 0;
  return static_cast<std::uint64_t>(1e-9 * static_cast<double>(time.count()) * sample / (thread_seconds() - start));
}

template <class Body>
double microseconds(const Body& body) {
  const auto start = Clock::now();
  body();
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

/// A graph of tasks that each follow up to 3 of the 100 before them: those that follow, by task.
inline std::vector<std::vector<std::size_t>> random_successors(std::size_t count) {
  std::mt19937 random(2);
  std::vector<std::vector<std::size_t>> successors(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (int k = 0; k < 3 && i > 0; ++k) {
      auto& list = successors[i - 1 - random() % std::min<std::size_t>(i, 100)];
      if (list.empty() || list.back() != i) list.push_back(i);
    }
  }
  return successors;
}

/// Time of `count` busy tasks on two plain threads, half of them each.
inline double time_of_two_threads(std::size_t count, std::uint64_t steps) {
  return microseconds([&] {
    const auto half = [&] {
      for (std::size_t k = 0; k < count / 2; ++k) busy(steps);
    };
    std::thread other(half);
    half();
    other.join();
  });
}

}  // namespace bench

/// Measures CEDR's calls over the runtime, with one worker, and prints the figures as JSON.
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "dash.h"
#include "kernels/fourier/transform.hpp"

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t length = 8;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A batch of short transforms under one barrier, whose mutex the application holds while it submits, as CEDR's do.
double measure_batch(std::uint32_t count) {
  std::vector<dash_cmplx_flt_type> x(length * 64);
  std::vector<dash_cmplx_flt_type> y(length * 64);
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  std::uint32_t ended = 0;
  cedr_barrier_t barrier = {&cond, &mutex, &ended};
  std::size_t size = length;
  bool forward = true;
  const auto start = Clock::now();
  pthread_mutex_lock(&mutex);
  for (std::uint32_t i = 0; i < count; ++i) {
    dash_cmplx_flt_type* in = x.data() + i % 64 * length;
    dash_cmplx_flt_type* out = y.data() + i % 64 * length;
    DASH_FFT_flt_nb(&in, &out, &size, &forward, &barrier);
  }
  while (ended != count) pthread_cond_wait(&cond, &mutex);
  pthread_mutex_unlock(&mutex);
  return count / seconds_since(start);
}

/// A blocking call, and the transform alone, in seconds: the best of some rounds.
struct Call {
  double blocking = 1;
  double direct = 1;
};

Call measure_call() {
  constexpr int calls = 2000;
  std::vector<dash_cmplx_flt_type> x(length);
  std::vector<dash_cmplx_flt_type> y(length);
  const auto* in = reinterpret_cast<const cosoc::Complex*>(x.data());
  auto* out = reinterpret_cast<cosoc::Complex*>(y.data());
  Call best;
  for (int round = 0; round < 200; ++round) {
    auto start = Clock::now();
    for (int i = 0; i < calls; ++i) DASH_FFT_flt(x.data(), y.data(), length, true);
    best.blocking = std::min(best.blocking, seconds_since(start) / calls);
    start = Clock::now();
    for (int i = 0; i < calls; ++i) {
      cosoc::fourier::transform_of(length, cosoc::fourier::Direction::forward)->execute(in, out);
    }
    best.direct = std::min(best.direct, seconds_since(start) / calls);
  }
  return best;
}

}  // namespace

int main() {
  setenv("COSOC_CPU_CORES", "1", 1);
  double rate = 0;
  for (int round = 0; round < 10; ++round) rate = std::max(rate, measure_batch(round == 0 ? 1000 : 100'000));
  const Call call = measure_call();
  std::cout << nlohmann::ordered_json{{"cedr_tasks_per_second", rate},
                                      {"cedr_call_overhead_us", 1e6 * (call.blocking - call.direct)},
                                      {"cedr_call_us", 1e6 * call.blocking}}
                   .dump()
            << "\n";
}

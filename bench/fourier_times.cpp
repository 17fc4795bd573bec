/// Times of one transform on this CPU, ours beside FFTW's if its shared library is there: a line of JSON per length.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "kernels/fourier/transform.hpp"

namespace {

using cosoc::Complex;

/// What of FFTW's interface is used, found at run time: FFTW is a peer of this program, never a part of it.
class Fftw {
 public:
  Fftw() : library_(dlopen("libfftw3f.so.3", RTLD_NOW)) {
    if (library_ == nullptr) return;
    plan_ = reinterpret_cast<PlanFunction>(dlsym(library_, "fftwf_plan_dft_1d"));
    execute_ = reinterpret_cast<ExecuteFunction>(dlsym(library_, "fftwf_execute"));
  }

  bool here() const { return plan_ != nullptr && execute_ != nullptr; }

  /// A measured plan; it overwrites both arrays.
  void* plan(std::vector<Complex>& in, std::vector<Complex>& out) const {
    constexpr int forward = -1;
    constexpr unsigned measure_and_preserve_input = 1U << 4;
    return plan_(static_cast<int>(in.size()), in.data(), out.data(), forward, measure_and_preserve_input);
  }

  void execute(void* plan) const { execute_(plan); }

 private:
  using PlanFunction = void* (*)(int, void*, void*, int, unsigned);
  using ExecuteFunction = void (*)(void*);

  void* library_;
  PlanFunction plan_ = nullptr;
  ExecuteFunction execute_ = nullptr;
};

/// Seconds of the fastest of some rounds, per call.
double seconds(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  constexpr int rounds = 30;
  constexpr int calls = 50;
  constexpr double round_seconds = 2e-3;
  double best = 1;
  for (int round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    double elapsed = 0;
    int done = 0;
    while (elapsed < round_seconds) {
      for (int i = 0; i < calls; ++i) call();
      done += calls;
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    best = std::min(best, elapsed / done);
  }
  return best;
}

}  // namespace

int main() {
  const Fftw fftw;
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  for (const std::size_t length : {256, 512, 1000, 1024, 1009, 2048, 4096}) {
    std::vector<Complex> in(length);
    std::vector<Complex> out(length);
    void* plan = fftw.here() ? fftw.plan(in, out) : nullptr;
    for (Complex& x : in) x = {normal(engine), normal(engine)};
    const cosoc::fourier::Transform transform(length, cosoc::fourier::Direction::forward);
    nlohmann::json line = {{"length", length}, {"seconds", seconds([&] { transform.execute(in.data(), out.data()); })}};
    if (plan != nullptr) line["fftw_seconds"] = seconds([&] { fftw.execute(plan); });
    std::cout << line.dump() << std::endl;
  }
}

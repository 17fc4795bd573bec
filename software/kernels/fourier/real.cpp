#include "kernels/fourier/real.hpp"

#include <cmath>
#include <mutex>
#include <numbers>

namespace cosoc::fourier {

Root root(std::size_t power, std::size_t order) {
  const std::size_t octant = 8 * power / order % 8;
  const std::size_t rest = 8 * power - 8 * power / order * order;  // in eighths of a step
  const std::size_t eighths = octant % 2 == 0 ? rest : order - rest;
  const double angle = 2.0 * std::numbers::pi * (static_cast<double>(eighths) / 8) / static_cast<double>(order);
  const bool steep = octant % 4 == 1 || octant % 4 == 2;
  double cosine = steep ? std::sin(angle) : std::cos(angle);
  double sine = steep ? std::cos(angle) : std::sin(angle);
  if (octant % 4 >= 2) cosine = -cosine;
  if (octant >= 4) {
    cosine = -cosine;
    sine = -sine;
  }
  return {cosine + 0.0, 0.0 - sine};  // no negative zeros
}

RealSplit::RealSplit(std::size_t half) {
  for (std::size_t k = 0; k <= half; ++k) {
    const Root w = root(k, 2 * half);
    factors_.push_back({static_cast<float>(w.im), static_cast<float>(-w.re)});
  }
}

void RealSplit::execute(std::span<const Complex> transformed, Complex* bins) const {
  const std::size_t length = half();
  for (std::size_t k = 0; k <= length; ++k) {
    const Complex a = transformed[k % length];
    const Complex mirror = transformed[(length - k) % length];
    const Complex even{a.re + mirror.re, a.im - mirror.im};
    const Complex odd{a.re - mirror.re, a.im + mirror.im};
    const Complex sum = even + odd * factors_[k];
    bins[k] = canonical(Complex{sum.re * 0.5F, sum.im * 0.5F});
  }
}

std::shared_ptr<const RealSplit> real_split_of(std::size_t half) {
  using Latest = std::shared_ptr<const RealSplit>;
  static std::mutex mutex;
  // Never destroyed: sessions may still compute while the process exits.
  static Latest& latest = *new Latest;
  const std::lock_guard lock(mutex);
  if (!latest || latest->half() != half) latest = std::make_shared<const RealSplit>(half);
  return latest;
}

}  // namespace cosoc::fourier

#include "kernels/fourier/transform.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <list>
#include <mutex>
#include <numbers>
#include <span>

namespace cosoc::fourier {
namespace {

/// Columns that one round of passes takes: enough to fill vectors, few enough for the caches.
constexpr std::size_t block_columns = 16;

constexpr std::size_t cached_transforms = 32;

/// exp(-2 pi i k / n), or its conjugate.
Complex root(std::uint64_t k, std::uint64_t n, Direction direction) {
  const double angle = 2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
  const double im = direction == Direction::forward ? -std::sin(angle) : std::sin(angle);
  return {static_cast<float>(std::cos(angle)), static_cast<float>(im)};
}

/// The radices of the passes in order; empty when the length has a prime factor above `max_radix`.
std::vector<int> radices_of(std::size_t length) {
  std::vector<int> radices;
  // Eights have the fewest passes and stand first, so that the second pass finds a stride that fills vectors. In long
  // transforms their eight streams are multiples of 4096 bytes apart and compete for the same lines of a cache.
  const int twos = std::countr_zero(length);
  const int fours = length >= 4096 ? (twos - twos % 2 * 3) / 2 : (3 - twos % 3) % 3;
  length >>= twos;
  if (twos == 1) radices = {2};
  if (twos > 1) {
    radices.assign((twos - 2 * fours) / 3, 8);
    radices.insert(radices.end(), fours, 4);
  }
  for (int radix = 3; radix <= max_radix; radix += 2) {
    for (; length % radix == 0; length /= radix) radices.push_back(radix);
  }
  if (length != 1) radices.clear();
  return radices;
}

/// Whether the calling thread has ended, but for destructors that may still call.
thread_local bool thread_ended = false;

struct Memory {
  ~Memory() { thread_ended = true; }
  std::vector<Complex> elements;
};

/// Working memory of the calling thread: it grows to what the largest transform needs. `late` takes its place when the
/// thread has ended.
std::span<Complex> scratch(std::size_t elements, std::vector<Complex>& late) {
  thread_local Memory memory;
  std::vector<Complex>& used = thread_ended ? late : memory.elements;
  if (used.size() < elements) used.resize(elements);
  return std::span(used).first(elements);
}

}  // namespace

/// Bluestein: X[k] = c[k] * sum over n of (x[n] c[n]) * conj(c)[k - n] with c[n] = exp(-+i pi n^2 / length).
struct Transform::Chirp {
  Chirp(std::size_t length, Direction direction, InstructionSet set);

  void execute(const Complex* in, Complex* out, std::size_t columns, std::size_t length) const;

  std::vector<Complex> chirp;
  std::vector<Complex> spectrum;  // of conj(chirp), periodic
  Transform forward;
  Transform inverse;
};

Transform::Chirp::Chirp(std::size_t length, Direction direction, InstructionSet set)
    : forward(std::bit_ceil(2 * length - 1), Direction::forward, set),
      inverse(forward.length(), Direction::inverse, set) {
  std::uint64_t square = 0;  // n^2 modulo 2 length
  for (std::uint64_t n = 0; n < length; ++n) {
    chirp.push_back(root(square, 2 * length, direction));
    square = (square + 2 * n + 1) % (2 * length);
  }
  spectrum.resize(forward.length());
  for (std::size_t n = 0; n < length; ++n) {
    const Complex conjugate = {chirp[n].re, -chirp[n].im};
    spectrum[n] = conjugate;
    spectrum[(spectrum.size() - n) % spectrum.size()] = conjugate;
  }
  forward.execute(spectrum.data(), spectrum.data());
  if (direction == Direction::inverse) {
    for (Complex& value : spectrum) {
      value = {value.re / static_cast<float>(length), value.im / static_cast<float>(length)};
    }
  }
}

void Transform::Chirp::execute(const Complex* in, Complex* out, std::size_t columns, std::size_t length) const {
  std::vector<Complex> values(spectrum.size());
  for (std::size_t column = 0; column < columns; ++column) {
    for (std::size_t n = 0; n < length; ++n) values[n] = in[n * columns + column] * chirp[n];
    std::fill(values.begin() + static_cast<std::ptrdiff_t>(length), values.end(), Complex{});
    forward.execute(values.data(), values.data());
    for (std::size_t n = 0; n < values.size(); ++n) values[n] = values[n] * spectrum[n];
    inverse.execute(values.data(), values.data());
    for (std::size_t n = 0; n < length; ++n) out[n * columns + column] = values[n] * chirp[n];
  }
}

Transform::~Transform() = default;

Transform::Transform(std::size_t length, Direction direction, InstructionSet set)
    : length_(length), direction_(direction), set_(set) {
  const std::vector<int> radices = radices_of(length);
  if (radices.empty() && length > 1) {
    chirp_ = std::make_unique<Chirp>(length, direction, set);
    return;
  }
  std::size_t remaining = length;
  for (const int radix : radices) {
    add_pass(radix, remaining);
    remaining /= radix;
  }
  // Only now do the factors stay where they are.
  std::size_t first = 0;
  for (Pass& pass : passes_) {
    const std::size_t count = pass.length - pass.length / pass.radix;
    if (pass.length == static_cast<std::size_t>(pass.radix)) break;
    pass.real = factors_.data() + first;
    pass.imaginary = pass.real + count;
    first += 2 * count;
  }
}

void Transform::add_pass(int radix, std::size_t remaining) {
  Pass pass;
  pass.radix = radix;
  pass.length = remaining;
  pass.stride = length_ / remaining;
  pass.inverse = direction_ == Direction::inverse;
  passes_.push_back(pass);
  if (remaining == static_cast<std::size_t>(radix)) {
    passes_.back().scale = 1.0F / static_cast<float>(length_);
    return;
  }
  std::vector<Complex> imaginary;
  for (std::size_t k = 1; k < static_cast<std::size_t>(radix); ++k) {
    for (std::size_t p = 0; p < remaining / radix; ++p) {
      const Complex factor = root(p * k, remaining, direction_);
      factors_.push_back({factor.re, factor.re});
      imaginary.push_back({-factor.im, factor.im});
    }
  }
  factors_.insert(factors_.end(), imaginary.begin(), imaginary.end());
}

void Transform::execute(const Complex* in, Complex* out, std::size_t columns) const {
  if (chirp_) return chirp_->execute(in, out, columns, length_);
  if (columns <= block_columns) return execute_block(in, out, columns);
  std::vector<Complex> block(length_ * block_columns);
  for (std::size_t first = 0; first < columns; first += block_columns) {
    const std::size_t width = std::min(block_columns, columns - first);
    for (std::size_t n = 0; n < length_; ++n) {
      std::copy_n(in + n * columns + first, width, block.begin() + static_cast<std::ptrdiff_t>(n * width));
    }
    execute_block(block.data(), block.data(), width);
    for (std::size_t n = 0; n < length_; ++n) {
      std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(n * width), width, out + n * columns + first);
    }
  }
}

void Transform::execute_block(const Complex* in, Complex* out, std::size_t columns) const {
  const std::size_t elements = length_ * columns;
  if (passes_.empty()) {  // length 1
    std::copy_n(in, elements, out);
    return;
  }
  // Passes alternate between two arrays. Only the last one writes `out`, which may be `in`.
  std::vector<Complex> late;
  const std::span<Complex> memory = scratch(2 * elements, late);
  const Complex* from = in;
  if (passes_.size() == 1 && in == out) {
    std::copy_n(in, elements, memory.data());
    from = memory.data();
  }
  for (std::size_t index = 0; index < passes_.size(); ++index) {
    Pass pass = passes_[index];
    pass.stride *= columns;
    Complex* to = index + 1 == passes_.size() ? out : memory.data() + (index % 2) * elements;
    fourier::execute(set_, pass, from, to);
    from = to;
  }
}

std::shared_ptr<const Transform> transform_of(std::size_t length, Direction direction) {
  static std::mutex mutex;
  using Recent = std::list<std::pair<Direction, std::shared_ptr<const Transform>>>;  // the last used one first
  // Never destroyed: sessions may still compute while the process exits.
  static Recent& recent = *new Recent;
  const auto matches = [&](const auto& entry) { return entry.first == direction && entry.second->length() == length; };
  const std::lock_guard lock(mutex);
  auto found = std::ranges::find_if(recent, matches);
  if (found == recent.end()) {
    recent.emplace_front(direction, std::make_shared<const Transform>(length, direction));
    if (recent.size() > cached_transforms) recent.pop_back();
  } else {
    recent.splice(recent.begin(), recent, found);
  }
  return recent.front().second;
}

}  // namespace cosoc::fourier

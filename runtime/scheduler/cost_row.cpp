#include "scheduler/cost_row.hpp"

#include <algorithm>

namespace cosoc {
namespace {

/// Longer calls would make the policies' estimates of a lent core wrong.
constexpr Time longest_lending = std::chrono::milliseconds(1);
/// Of calls on their callers' threads, that are timed.
constexpr std::uint32_t first_samples = 16;
constexpr std::uint32_t sample_period = 64;

}  // namespace

std::shared_ptr<CostRow> CostRow::make(std::vector<Time> costs, std::size_t cpu_cores, std::optional<Call> call) {
  auto row = std::make_shared<CostRow>();
  row->cpu_cores_ = cpu_cores;
  row->cpu_.assign(costs.size(), impossible);
  row->all_ = std::move(costs);
  row->call_ = std::move(call);
  row->summarize();
  return row;
}

void CostRow::summarize() {
  std::copy_n(all_.begin(), cpu_cores_, cpu_.begin());
  Time total{};
  std::int64_t count = 0;
  Time least = impossible;
  for (const Time cost : all_) {
    if (cost >= impossible) continue;
    total += cost;
    ++count;
    least = std::min(least, cost);
  }
  const Time least_cpu = cpu_cores_ == 0 ? impossible : *std::ranges::min_element(cpu_);
  mean_.store(count == 0 ? 0 : total.count() / count, std::memory_order_relaxed);
  lendable_.store(least_cpu <= longest_lending && least_cpu == least, std::memory_order_relaxed);
}

bool CostRow::samples_next() const {
  if (!call_) return false;
  const std::uint32_t count = lent_.load(std::memory_order_relaxed);
  lent_.store(count + 1, std::memory_order_relaxed);
  return count < first_samples || count % sample_period == 0;
}

std::vector<Time> CostRow::snapshot() const {
  const std::lock_guard lock(mutex_);
  return all_;
}

std::optional<CostEntry> CostRow::measure(std::size_t device, Time time, const CostClasses& classes) {
  if (!call_) return std::nullopt;
  if (measured_.empty()) measured_.resize(classes.names.size());
  const std::uint32_t own = classes.of_device[device];
  MeasuredTime& measured = measured_[own];
  if (!measured.add(time)) return std::nullopt;
  if (all_[device] == measured.median()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  for (std::size_t other = 0; other < all_.size(); ++other) {
    if (classes.of_device[other] == own && all_[other] < impossible) all_[other] = measured.median();
  }
  summarize();
  return CostEntry{.device = classes.names[own],
                   .kernel = call_->kernel,
                   .call = call_->description,
                   .estimate = std::max(Time{1}, call_->estimates[device]),
                   .measured = measured.median(),
                   .samples = measured.count()};
}

}  // namespace cosoc

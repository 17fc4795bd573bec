#include "cost/cost_model.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

namespace cosoc {
namespace {

using nlohmann::json;

constexpr int schema = 1;
/// Ratios beyond this, or below its inverse, are no measurement of the same call.
constexpr double largest_ratio = 1e5;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// Throws what nlohmann's JSON throws when a field is absent or of another type.
Result<CostEntry> read_entry(const json& value) {
  CostEntry entry{.device = value.at("device").get<std::string>(),
                  .kernel = value.at("kernel").get<std::string>(),
                  .call = value.at("call").get<std::string>(),
                  .estimate = Time(value.at("estimate_ns").get<std::int64_t>()),
                  .measured = Time(value.at("measured_ns").get<std::int64_t>()),
                  .samples = value.at("samples").get<std::uint64_t>()};
  const bool positive = entry.estimate > Time{} && entry.measured > Time{};
  if (!positive || entry.ratio() > largest_ratio || entry.ratio() < 1 / largest_ratio) {
    return failure("the times of " + entry.call + " on " + entry.device + " are impossible: estimate " +
                   std::to_string(entry.estimate.count()) + " ns, measured " + std::to_string(entry.measured.count()) +
                   " ns");
  }
  return entry;
}

Result<std::vector<CostEntry>> read_entries(std::istream& stream, const std::string& board) {
  std::vector<CostEntry> entries;
  try {
    const json file = json::parse(stream);
    if (file.at("schema") != schema) {
      return failure("expected schema " + std::to_string(schema) + ", found " + file.at("schema").dump());
    }
    if (file.at("board") != board) {
      return failure("it was measured on board " + file.at("board").dump() + ", this is \"" + board + "\"");
    }
    for (const json& value : file.at("entries")) {
      auto entry = read_entry(value);
      if (!entry) return tl::make_unexpected(entry.error());
      entries.push_back(std::move(*entry));
    }
  } catch (const json::exception& error) {
    return failure(std::string("it is damaged: ") + error.what());
  }
  return entries;
}

}  // namespace

bool MeasuredTime::add(Time time) {
  samples_[count_ % kept] = time.count();
  ++count_;
  if (count_ > kept && count_ % stride != 0) return false;
  const auto used = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(count_, kept));
  std::array<std::int64_t, kept> sorted = samples_;
  const auto middle = sorted.begin() + used / 2;
  std::nth_element(sorted.begin(), middle, sorted.begin() + used);
  median_ = std::max(Time{1}, Time(*middle));
  return known();
}

std::string describe_call(const Kernel& kernel, std::span<const TensorType> inputs,
                          std::span<const TensorType> outputs) {
  std::string text = std::string(kernel.name()) + " " + kernel.attributes().dump();
  for (const TensorType& type : inputs) text += " " + type.describe();
  text += " ->";
  for (const TensorType& type : outputs) text += " " + type.describe();
  return text;
}

double CostModel::ratio(const std::string& device, const std::string& kernel, const std::string& call) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find({device, call}); found != entries_.end()) return found->second.ratio();
  std::vector<double> others;
  for (auto entry = entries_.lower_bound({device, ""}); entry != entries_.end() && entry->first.first == device;
       ++entry) {
    if (entry->second.kernel == kernel) others.push_back(entry->second.ratio());
  }
  return others.empty() ? 1.0 : median(std::move(others));
}

void CostModel::learn(CostEntry entry) {
  const std::lock_guard lock(mutex_);
  changed_ = true;
  std::pair key{entry.device, entry.call};
  entries_.insert_or_assign(std::move(key), std::move(entry));
}

std::vector<CostEntry> CostModel::entries() const {
  const std::lock_guard lock(mutex_);
  std::vector<CostEntry> list;
  for (const auto& [key, entry] : entries_) list.push_back(entry);
  return list;
}

bool CostModel::changed() const {
  const std::lock_guard lock(mutex_);
  return changed_;
}

Status CostModel::load(const std::filesystem::path& path, const std::string& board) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return failure("cannot read the measured costs " + path.string());
  auto read = read_entries(stream, board);
  if (!read) {
    return failure("the measured costs " + path.string() + " cannot be used: " + read.error().message +
                   "; delete the file, and measure again with cosoc calibrate");
  }
  const std::lock_guard lock(mutex_);
  for (CostEntry& entry : *read) {
    std::pair key{entry.device, entry.call};
    entries_.insert_or_assign(std::move(key), std::move(entry));
  }
  changed_ = false;
  return {};
}

Status CostModel::save(const std::filesystem::path& path, const std::string& board) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const CostEntry& entry : entries()) {
    list.push_back({{"device", entry.device},
                    {"kernel", entry.kernel},
                    {"call", entry.call},
                    {"estimate_ns", entry.estimate.count()},
                    {"measured_ns", entry.measured.count()},
                    {"samples", entry.samples}});
  }
  const nlohmann::ordered_json file{{"schema", schema}, {"board", board}, {"entries", list}};
  const std::filesystem::path partial = path.string() + "." + std::to_string(getpid()) + ".part";
  std::ofstream stream(partial, std::ios::binary);
  stream << file.dump(1, ' ', false, json::error_handler_t::replace) << "\n" << std::flush;
  std::error_code error;
  if (stream) std::filesystem::rename(partial, path, error);
  if (!stream || error) {
    std::filesystem::remove(partial, error);
    return failure("cannot write the measured costs " + path.string());
  }
  const std::lock_guard lock(mutex_);
  changed_ = false;
  return {};
}

}  // namespace cosoc

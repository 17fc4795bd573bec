#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "device/platform.hpp"
#include "drivers/accelerator_kind.hpp"

namespace cosoc {
namespace {

constexpr std::uint64_t schema_version = 2;

std::string hexadecimal(std::uint32_t value) {
  std::array<char, 11> text{};
  std::snprintf(text.data(), text.size(), "0x%08x", value);
  return text.data();
}

/// Reads one JSON object; the first problem is kept.
class ObjectReader {
 public:
  ObjectReader(const nlohmann::json& object, std::string where, std::string& problem)
      : object_(object), where_(std::move(where)), problem_(problem) {
    if (!object_.is_object()) fail("must be an object, not " + std::string(object_.type_name()));
  }

  const nlohmann::json* find(const std::string& key, bool required = true) {
    known_.insert(key);
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    if (found != object_.end()) return &*found;
    if (required) fail("has no '" + key + "'");
    return nullptr;
  }

  std::uint64_t integer(const std::string& key, std::uint64_t low, std::uint64_t high) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return low;
    if (value->is_number_unsigned() && low <= value->get<std::uint64_t>() && value->get<std::uint64_t>() <= high) {
      return value->get<std::uint64_t>();
    }
    fail("'" + key + "' must be an integer in " + std::to_string(low) + ".." + std::to_string(high) + ", not " +
         value->dump());
    return low;
  }

  std::string text(const std::string& key) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return {};
    if (value->is_string() && !value->get_ref<const std::string&>().empty()) return value->get<std::string>();
    fail("'" + key + "' must be a string that is not empty, not " + value->dump());
    return {};
  }

  std::vector<std::string> texts(const std::string& key) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return {};
    std::vector<std::string> list;
    if (value->is_array()) {
      for (const nlohmann::json& item : *value) {
        if (item.is_string() && !item.get_ref<const std::string&>().empty()) list.push_back(item.get<std::string>());
      }
      if (!list.empty() && list.size() == value->size()) return list;
    }
    fail("'" + key + "' must be a list of strings, none of them empty, not " + value->dump());
    return {};
  }

  void refuse_unknown() {
    if (!object_.is_object()) return;
    for (const auto& [key, value] : object_.items()) {
      if (!known_.contains(key)) fail("has an unknown key '" + key + "'");
    }
  }

  void fail(const std::string& message) {
    if (problem_.empty()) problem_ = where_ + " " + message;
  }

 private:
  const nlohmann::json& object_;
  std::string where_;
  std::string& problem_;
  std::set<std::string> known_;
};

void check_layout(const AcceleratorKind& kind, std::uint32_t found, ObjectReader& reader) {
  if (found == kind.layout_hash) return;
  reader.fail("has register layout " + hexadecimal(found) +
              ", but this software was built for another register layout, " + hexadecimal(kind.layout_hash) +
              "; rebuild SoC and software together with scons");
}

AcceleratorDescription read_accelerator(const nlohmann::json& object, std::size_t index, std::string& problem) {
  ObjectReader reader(object, "accelerators[" + std::to_string(index) + "]", problem);
  AcceleratorDescription accelerator;
  accelerator.name = reader.text("name");
  accelerator.kind = reader.text("kind");
  accelerator.base = reader.integer("base", 0, UINT64_MAX);
  accelerator.range = reader.integer("range", 4096, UINT32_MAX);
  accelerator.interrupt = static_cast<std::uint32_t>(reader.integer("interrupt", 0, UINT32_MAX));
  accelerator.memory_ports = reader.texts("memory_ports");
  const auto layout_hash = static_cast<std::uint32_t>(reader.integer("layout_hash", 0, UINT32_MAX));
  accelerator.config_hash = static_cast<std::uint32_t>(reader.integer("config_hash", 0, UINT32_MAX));
  const nlohmann::json* config = reader.find("config");
  reader.refuse_unknown();
  if (!problem.empty()) return accelerator;

  const auto kind = find_accelerator_kind(accelerator.kind);
  if (!kind) {
    reader.fail("is an " + kind.error().message);
    return accelerator;
  }
  check_layout(**kind, layout_hash, reader);
  ObjectReader parameters(*config, "config of accelerator '" + accelerator.name + "'", problem);
  for (const std::string_view name : (*kind)->parameters) {
    const std::string key(name);
    accelerator.config[key] = static_cast<std::uint32_t>(parameters.integer(key, 0, UINT32_MAX));
  }
  parameters.refuse_unknown();
  return accelerator;
}

void read_accelerators(const nlohmann::json& list, SoCDescription& soc, std::string& problem) {
  if (!list.is_array()) {
    problem = "'accelerators' must be a list, not " + std::string(list.type_name());
    return;
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < list.size() && problem.empty(); ++i) {
    soc.accelerators.push_back(read_accelerator(list[i], i, problem));
    const std::string& name = soc.accelerators.back().name;
    if (!names.insert(name).second && problem.empty()) problem = "two accelerators have the name '" + name + "'";
  }
}

SoCDescription read_soc(const nlohmann::json& document, const std::filesystem::path& file, std::string& problem) {
  SoCDescription soc;
  ObjectReader reader(document, "the document", problem);
  reader.integer("schema", schema_version, schema_version);
  soc.board = reader.text("board");
  soc.clock_hz = reader.integer("clock_hz", 1, 100'000'000'000);
  soc.cpu_cores = static_cast<std::uint32_t>(reader.integer("cpu_cores", 1, 1024));
  const nlohmann::json* memory = reader.find("memory");
  const nlohmann::json* accelerators = reader.find("accelerators");
  const nlohmann::json* rtl = reader.find("rtl", false);
  reader.refuse_unknown();
  if (!problem.empty()) return soc;

  ObjectReader memory_reader(*memory, "'memory'", problem);
  soc.memory_base = memory_reader.integer("base", 0, UINT64_MAX);
  soc.memory_bytes = memory_reader.integer("bytes", DeviceMemory::alignment, std::uint64_t{1} << 40);
  soc.memory_latency = Time(memory_reader.integer("latency_ns", 1, 100'000));
  memory_reader.refuse_unknown();
  if (soc.memory_base % DeviceMemory::alignment != 0) {
    memory_reader.fail("'base' must be a multiple of " + std::to_string(DeviceMemory::alignment));
  }
  if (soc.memory_base > UINT64_MAX - soc.memory_bytes) memory_reader.fail("ends above the largest address");
  if (problem.empty()) read_accelerators(*accelerators, soc, problem);
  if (rtl != nullptr && problem.empty()) {
    ObjectReader rtl_reader(*rtl, "'rtl'", problem);
    soc.rtl_library = std::filesystem::absolute(file).parent_path() / rtl_reader.text("library");
    rtl_reader.refuse_unknown();
  }
  return soc;
}

}  // namespace

Result<SoCDescription> SoCDescription::load(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path file = std::filesystem::is_directory(path, ignored) ? path / "soc.json" : path;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return failure("cannot read the SoC description " + file.string() +
                   "; build one, for example with scons board=sim");
  }
  const auto document = nlohmann::json::parse(stream, nullptr, false);
  if (document.is_discarded()) return failure(file.string() + " is not valid JSON; build it again with scons");
  std::string problem;
  SoCDescription soc = read_soc(document, file, problem);
  if (!problem.empty()) return failure(file.string() + ": " + problem);
  return soc;
}

Time SoCDescription::cycles_to_time(std::uint64_t cycles) const {
  constexpr std::uint64_t second = 1'000'000'000;
  // Whole seconds apart, so that nothing overflows in 500 years of simulated time.
  const std::uint64_t rest = cycles % clock_hz;
  return Time(cycles / clock_hz * second + (rest * second + clock_hz - 1) / clock_hz);
}

std::uint64_t SoCDescription::memory_latency_cycles() const {
  const auto nanoseconds = static_cast<std::uint64_t>(memory_latency.count());
  return (nanoseconds * clock_hz + 999'999'999) / 1'000'000'000;
}

}  // namespace cosoc

/// soc.json: what it means, and that every mistake in it is named.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cosoc/generated/fft.hpp"
#include "software/support.hpp"

namespace cosoc::test {
namespace {

nlohmann::json good() {
  return {{"schema", 2},
          {"board", "sim"},
          {"clock_hz", 300000000},
          {"cpu_cores", 4},
          {"memory", {{"base", 0}, {"bytes", 1 << 20}, {"latency_ns", 200}}},
          {"accelerators",
           {{{"name", "fft0"},
             {"kind", "fft"},
             {"base", 0xA0000000},
             {"range", 65536},
             {"interrupt", 89},
             {"memory_ports", {"HP0", "HP3"}},
             {"layout_hash", fft::layout_hash},
             {"config_hash", 5},
             {"config",
              {{"max_log2", 11},
               {"samples", 1},
               {"number_format", 0},
               {"mantissa_bits", 16},
               {"real_input", 0},
               {"multiply", 0},
               {"memory_ports", 1}}}}}},
          {"rtl", {{"library", "lib/libcosoc_soc.so"}}}};
}

/// A directory that vanishes with the test.
struct Directory {
  Directory() : path(std::filesystem::temp_directory_path() / ("cosoc-soc-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path);
  }
  ~Directory() { std::filesystem::remove_all(path); }

  Result<SoCDescription> load(const std::string& text) const {
    std::ofstream(path / "soc.json") << text;
    return SoCDescription::load(path);
  }

  std::filesystem::path path;
};

TEST_CASE("a good soc.json") {
  const Directory directory;
  const SoCDescription soc = value_of(directory.load(good().dump()));
  CHECK(soc.board == "sim");
  CHECK(soc.clock_hz == 300000000);
  CHECK(soc.cpu_cores == 4);
  CHECK(soc.memory_bytes == 1 << 20);
  CHECK(soc.memory_latency == Time(200));
  CHECK(soc.memory_latency_cycles() == 60);
  REQUIRE(soc.accelerators.size() == 1);
  CHECK(soc.accelerators[0].name == "fft0");
  CHECK(soc.accelerators[0].base == 0xA0000000);
  CHECK(soc.accelerators[0].memory_ports == std::vector<std::string>{"HP0", "HP3"});
  CHECK(soc.accelerators[0].config_hash == 5);
  CHECK(soc.accelerators[0].config.at("max_log2") == 11);
  CHECK(soc.rtl_library == directory.path / "lib/libcosoc_soc.so");

  auto without = good();
  without.erase("rtl");
  without["accelerators"] = nlohmann::json::array();
  CHECK(value_of(directory.load(without.dump())).rtl_library.empty());
  CHECK(value_of(SoCDescription::load(directory.path / "soc.json")).accelerators.empty());
}

TEST_CASE("every mistake in soc.json is named") {
  const Directory directory;
  auto document = good();
  auto& accelerator = document["accelerators"][0];
  const auto message = [&] {
    auto text = message_of(directory.load(document.dump()));
    CHECK_THAT(text, Catch::Contains("soc.json"));
    return text;
  };
  SECTION("newer schema") {
    document["schema"] = 3;
    CHECK_THAT(message(), Catch::Contains("'schema' must be an integer in 2..2, not 3"));
  }
  SECTION("older schema") {
    document["schema"] = 1;
    CHECK_THAT(message(), Catch::Contains("'schema' must be an integer in 2..2, not 1"));
  }
  SECTION("unknown key") {
    document["bord"] = "sim";
    CHECK_THAT(message(), Catch::Contains("unknown key 'bord'"));
  }
  SECTION("missing key") {
    document.erase("clock_hz");
    CHECK_THAT(message(), Catch::Contains("has no 'clock_hz'"));
  }
  SECTION("no object") {
    document = nlohmann::json::array({1});
    CHECK_THAT(message(), Catch::Contains("must be an object, not array"));
  }
  SECTION("accelerators are no list") {
    document["accelerators"] = 3;
    CHECK_THAT(message(), Catch::Contains("'accelerators' must be a list, not number"));
  }
  SECTION("wrong type") {
    accelerator["base"] = "0xA0000000";
    CHECK_THAT(message(),
               Catch::Contains("accelerators[0] 'base' must be an integer") && Catch::Contains("\"0xA0000000\""));
  }
  SECTION("negative") {
    document["memory"]["bytes"] = -5;
    CHECK_THAT(message(), Catch::Contains("'memory' 'bytes' must be an integer"));
  }
  SECTION("memory beyond the last address") {
    document["memory"]["base"] = UINT64_MAX - 63;
    CHECK_THAT(message(), Catch::Contains("ends above the largest address"));
  }
  SECTION("no latency") {
    document["memory"]["latency_ns"] = 0;
    CHECK_THAT(message(), Catch::Contains("'memory' 'latency_ns' must be an integer in 1..100000, not 0"));
  }
  SECTION("memory ports are no list") {
    accelerator["memory_ports"] = "HP0";
    CHECK_THAT(message(), Catch::Contains("'memory_ports' must be a list of strings") && Catch::Contains("\"HP0\""));
  }
  SECTION("no memory ports") {
    accelerator["memory_ports"] = nlohmann::json::array();
    CHECK_THAT(message(), Catch::Contains("'memory_ports' must be a list of strings, none of them empty, not []"));
  }
  SECTION("a memory port that is a number") {
    accelerator["memory_ports"] = {"HP0", 3};
    CHECK_THAT(message(), Catch::Contains("'memory_ports' must be a list of strings"));
  }
  SECTION("unknown kind") {
    accelerator["kind"] = "gpu";
    CHECK_THAT(message(), Catch::Contains("unknown kind 'gpu'; there are c2d, fft, zip"));
  }
  SECTION("unknown parameter") {
    accelerator["config"]["lanes"] = 2;
    CHECK_THAT(message(), Catch::Contains("config of accelerator 'fft0' has an unknown key 'lanes'"));
  }
  SECTION("missing parameter") {
    accelerator["config"] = nlohmann::json::object();
    CHECK_THAT(message(), Catch::Contains("config of accelerator 'fft0' has no 'max_log2'"));
  }
  SECTION("two of one name") {
    document["accelerators"].push_back(nlohmann::json(accelerator));
    CHECK_THAT(message(), Catch::Contains("two accelerators have the name 'fft0'"));
  }
  SECTION("another register layout") {
    accelerator["layout_hash"] = 1;
    CHECK_THAT(message(), Catch::Contains("register layout 0x00000001") &&
                              Catch::Contains("software was built for another register layout") &&
                              Catch::Contains("with scons"));
  }
  SECTION("rtl") {
    document["rtl"] = nlohmann::json::object();
    CHECK_THAT(message(), Catch::Contains("'rtl' has no 'library'"));
  }
}

TEST_CASE("a file that is none") {
  const Directory directory;
  CHECK_THAT(message_of(directory.load("{\"schema\": 1")), Catch::Contains("not valid JSON"));
  CHECK_THAT(message_of(SoCDescription::load(directory.path / "other.json")),
             Catch::Contains("cannot read the SoC description") && Catch::Contains("scons board=sim"));
}

TEST_CASE("cycles become time that is never too early") {
  SoCDescription soc;
  soc.clock_hz = 300'000'000;
  CHECK(soc.cycles_to_time(0) == Time(0));
  CHECK(soc.cycles_to_time(1) == Time(4));
  CHECK(soc.cycles_to_time(3) == Time(10));
  soc.memory_latency = Time(151);
  CHECK(soc.memory_latency_cycles() == 46);
  CHECK(soc.cycles_to_time(300'000'000ULL * 3600 * 24 * 365) == std::chrono::hours(24 * 365));
}

}  // namespace
}  // namespace cosoc::test

/// cosoc-radar: a pulse-Doppler radar on the FFT and ZIP accelerators finds simulated targets.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "processing.hpp"

namespace {

using nlohmann::ordered_json;

/// Ranges inside the listening window, velocities inside the unambiguous interval; two targets at almost the same range
/// are told apart by their velocity.
const std::vector<radar::Target> targets = {
    {1200.0, 30.0, 0.6}, {3400.0, -75.0, 0.4}, {3430.0, 12.0, 0.8}, {5900.0, 110.0, 0.5}};

struct Arguments {
  std::string mode = "functional";
  std::filesystem::path json;
  std::uint64_t seed = 1;
  cosoc::SessionOptions session;
};

struct Results {
  std::vector<radar::Detection> detections;
  cosoc::RunReport report;
};

cosoc::Result<Results> process(const radar::Waveform& waveform, const Arguments& arguments) {
  auto session = cosoc::Session::open(arguments.session);
  if (!session) return tl::make_unexpected(session.error());
  auto model = session->load(radar::build_graph(waveform));
  if (!model) return tl::make_unexpected(model.error());
  const auto received = radar::receive(waveform, targets, arguments.seed);
  std::vector<float> power(received.size());
  const std::span<const std::byte> input = std::as_bytes(std::span(received));
  const std::span<std::byte> output = std::as_writable_bytes(std::span(power));
  if (auto done = model->run({&input, 1}, {&output, 1}); !done) return tl::make_unexpected(done.error());
  return Results{radar::detect(waveform, power), model->report()};
}

void print_tasks(const cosoc::RunReport& report) {
  std::printf("%-20s %-18s %-7s %10s %10s\n", "task", "operation", "device", "cycles", "time (us)");
  for (const cosoc::TaskRecord& task : report.tasks) {
    std::printf("%-20s %-18s %-7s %10llu %10.1f%s%s\n", task.node.c_str(), task.operation.c_str(), task.device.c_str(),
                static_cast<unsigned long long>(task.cycles),
                static_cast<double>((task.end - task.start).count()) / 1e3, task.reason.empty() ? "" : "  ",
                task.reason.c_str());
  }
}

void print_targets(const std::vector<const radar::Detection*>& found) {
  std::printf("\n%12s %12s %16s %16s\n", "range (m)", "found (m)", "velocity (m/s)", "found (m/s)");
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (found[i] != nullptr) {
      std::printf("%12.1f %12.1f %16.1f %16.1f\n", targets[i].range, found[i]->range, targets[i].velocity,
                  found[i]->velocity);
    } else {
      std::printf("%12.1f %12s %16.1f %16s\n", targets[i].range, "-", targets[i].velocity, "-");
    }
  }
}

cosoc::Status write_json(const std::filesystem::path& path, const std::vector<const radar::Detection*>& found,
                         const Results& results) {
  ordered_json list = ordered_json::array();
  for (std::size_t i = 0; i < targets.size(); ++i) {
    ordered_json entry = {
        {"range_m", targets[i].range}, {"velocity_m_s", targets[i].velocity}, {"found", found[i] != nullptr}};
    if (found[i] != nullptr) {
      entry["found_range_m"] = found[i]->range;
      entry["found_velocity_m_s"] = found[i]->velocity;
    }
    list.push_back(entry);
  }
  ordered_json tasks = ordered_json::array();
  for (const cosoc::TaskRecord& task : results.report.tasks) {
    tasks.push_back({{"name", task.node},
                     {"op", task.operation},
                     {"device", task.device},
                     {"start_ns", task.start.count()},
                     {"end_ns", task.end.count()},
                     {"cycles", task.cycles},
                     {"commands", task.commands},
                     {"reason", task.reason}});
  }
  std::ofstream stream(path);
  stream << ordered_json{{"targets", list}, {"detections", results.detections.size()}, {"tasks", tasks}}.dump(2)
         << '\n';
  stream.close();
  if (!stream) return cosoc::failure("cannot write " + path.string());
  return {};
}

cosoc::Status run(Arguments& arguments) {
  const auto mode = cosoc::mode_of(arguments.mode);
  if (!mode) return tl::make_unexpected(mode.error());
  arguments.session.mode = *mode;
  const radar::Waveform waveform;
  const auto results = process(waveform, arguments);
  if (!results) return tl::make_unexpected(results.error());
  const auto found = radar::match(waveform, targets, results->detections);
  print_tasks(results->report);
  print_targets(found);
  std::printf("%zu detections; a resolution cell is %.1f m by %.1f m/s\n", results->detections.size(),
              waveform.range_resolution(), waveform.velocity_bin());
  if (!arguments.json.empty()) {
    if (auto written = write_json(arguments.json, found, *results); !written) return written;
  }
  const auto missed = std::ranges::count(found, nullptr);
  if (missed != 0) return cosoc::failure(std::to_string(missed) + " targets were not found within a resolution cell");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Finds range and velocity of simulated targets with the FFT and ZIP accelerators.");
  app.add_option("--soc", arguments.session.soc, "soc.json, or the directory of a build");
  app.add_option("--mode", arguments.mode, "cpu, rtl, functional or board")->capture_default_str();
  app.add_option("--policy", arguments.session.policy, "scheduling policy, or a shared object with one")
      ->capture_default_str();
  app.add_option("--trace", arguments.session.trace, "file for a trace that the Perfetto UI opens");
  app.add_option("--json", arguments.json, "file for the results");
  app.add_option("--seed", arguments.seed, "of the noise")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (auto done = run(arguments); !done) {
    std::cerr << "cosoc-radar: " << done.error().message << '\n';
    return 1;
  }
  return 0;
}

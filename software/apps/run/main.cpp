/// cosoc-run: runs a bundle once, on arrays from .npy files.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "cosoc/cosoc.hpp"
#include "npy.hpp"

namespace {

using cosoc::failure;
using cosoc::Graph;
using cosoc::Model;
using cosoc::Status;

struct Arguments {
  std::filesystem::path bundle;
  std::string mode = "functional";
  std::vector<std::filesystem::path> inputs;
  std::vector<std::filesystem::path> outputs;
  cosoc::SessionOptions session;
};

std::vector<Array> zeros(const Graph& graph, const std::vector<std::size_t>& tensors) {
  std::vector<Array> arrays;
  for (const std::size_t index : tensors) {
    const auto& type = graph.tensors()[index].type;
    arrays.push_back({type.dtype, type.shape, std::vector<std::byte>(type.dense_bytes())});
  }
  return arrays;
}

cosoc::Result<std::vector<Array>> read_inputs(const Graph& graph, const std::vector<std::filesystem::path>& paths) {
  if (paths.empty()) return zeros(graph, graph.inputs());
  if (paths.size() != graph.inputs().size()) {
    return failure("the model has " + std::to_string(graph.inputs().size()) +
                   " inputs; give --input once for each, not " + std::to_string(paths.size()) + " times");
  }
  std::vector<Array> arrays;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    auto array = read_npy(paths[i]);
    if (!array) return tl::make_unexpected(array.error());
    const auto& tensor = graph.tensors()[graph.inputs()[i]];
    if (array->dtype != tensor.type.dtype || array->shape != tensor.type.shape) {
      cosoc::TensorType found = tensor.type;
      found.dtype = array->dtype;
      found.shape = array->shape;
      return failure(paths[i].string() + ": input " + tensor.name + " is " + tensor.type.describe() +
                     ", the file has " + found.describe());
    }
    arrays.push_back(std::move(*array));
  }
  return arrays;
}

void print_report(const cosoc::RunReport& report) {
  std::printf("%-32s %-18s %-8s %12s %12s\n", "node", "operation", "device", "cycles", "time (us)");
  for (const cosoc::TaskRecord& task : report.tasks) {
    std::printf("%-32s %-18s %-8s %12llu %12.3f%s%s\n", task.node.c_str(), task.operation.c_str(), task.device.c_str(),
                static_cast<unsigned long long>(task.cycles),
                static_cast<double>((task.end - task.start).count()) / 1e3, task.reason.empty() ? "" : "  ",
                task.reason.c_str());
  }
  std::printf("run %.3f us, peak device memory %zu bytes\n",
              static_cast<double>((report.end - report.start).count()) / 1e3, report.peak_memory_bytes);
  for (const std::string& text : report.quarantined) std::printf("quarantined: %s\n", text.c_str());
}

Status run(Arguments& arguments) {
  const auto mode = cosoc::mode_of(arguments.mode);
  if (!mode) return tl::make_unexpected(mode.error());
  arguments.session.mode = *mode;
  auto graph = cosoc::load_bundle(arguments.bundle);
  if (!graph) return tl::make_unexpected(graph.error());
  const auto inputs = read_inputs(*graph, arguments.inputs);
  if (!inputs) return tl::make_unexpected(inputs.error());
  std::vector<Array> outputs = zeros(*graph, graph->outputs());
  if (arguments.outputs.size() > outputs.size()) {
    return failure("the model has " + std::to_string(outputs.size()) + " outputs; --output was given " +
                   std::to_string(arguments.outputs.size()) + " times");
  }

  auto session = cosoc::Session::open(arguments.session);
  if (!session) return tl::make_unexpected(session.error());
  auto model = session->load(std::move(*graph));
  if (!model) return tl::make_unexpected(model.error());
  std::vector<std::span<const std::byte>> from(inputs->size());
  std::vector<std::span<std::byte>> to(outputs.size());
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = (*inputs)[i].bytes;
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = outputs[i].bytes;
  if (auto done = model->run(from, to); !done) return done;
  print_report(model->report());
  for (std::size_t i = 0; i < arguments.outputs.size(); ++i) {
    if (auto written = write_npy(arguments.outputs[i], outputs[i]); !written) return written;
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Runs a model bundle once and prints where each node ran.");
  app.add_option("bundle", arguments.bundle, "directory that `cosoc convert` wrote")->required();
  app.add_option("--soc", arguments.session.soc, "soc.json, or the directory of a build");
  app.add_option("--mode", arguments.mode, "cpu, rtl, functional or board")->capture_default_str();
  app.add_option("--policy", arguments.session.policy, "scheduling policy, or a shared object with one")
      ->capture_default_str();
  app.add_option("--input", arguments.inputs,
                 "an input as .npy, in the model's order; all are zero when none is given");
  app.add_option("--output", arguments.outputs, "file for an output as .npy, in the model's order");
  app.add_option("--seed", arguments.session.seed, "of the policy RANDOM, and of others that draw random numbers");
  app.add_option_function<double>(
         "--deadline",
         [&](double seconds) { arguments.session.deadline = cosoc::Time(static_cast<std::int64_t>(seconds * 1e9)); },
         "of the run, in s; ENERGY saves energy as long as it holds")
      ->check(CLI::Range(1e-9, 1e9));
  app.add_option("--trace", arguments.session.trace, "file for a trace that the Perfetto UI opens");
  CLI11_PARSE(app, argc, argv);
  if (auto done = run(arguments); !done) {
    std::cerr << "cosoc-run: " << done.error().message << '\n';
    return 1;
  }
  return 0;
}

#include "cosoc/session.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <thread>

#include "scheduler/graph_run.hpp"
#include "session/session_state.hpp"

namespace cosoc {
namespace {

struct ModeName {
  std::string_view name;
  Mode mode;
};

constexpr std::array<ModeName, 5> modes = {{{"cpu", Mode::cpu},
                                            {"rtl", Mode::rtl},
                                            {"functional", Mode::functional},
                                            {"model", Mode::model},
                                            {"board", Mode::board}}};

Result<AnyPlatform> make_platform(Mode mode, const SessionOptions& options, const SoCDescription& soc) {
  const auto wrap = [](auto result) -> Result<AnyPlatform> {
    if (!result) return tl::make_unexpected(result.error());
    return AnyPlatform(std::move(*result));
  };
  switch (mode) {
    case Mode::rtl:
      return wrap(make_rtl_platform(soc));
    case Mode::functional:
    case Mode::model:  // drivers find their parameters there, and start nothing
      return wrap(make_functional_platform(soc));
    case Mode::board:
      return wrap(make_uio_platform(soc));
    case Mode::cpu:
      break;
  }
  return AnyPlatform(make_cpu_platform(options.memory_bytes));
}

/// The SoC of a session: in mode `cpu` this machine's cores, otherwise what the build described.
Result<SoCDescription> find_soc(const SessionOptions& options) {
  SoCDescription soc;
  if (options.mode == Mode::cpu) {
    soc.cpu_cores = std::max(1U, std::thread::hardware_concurrency());
  } else {
    if (options.soc.empty()) return failure("this mode needs the SoC: give soc.json or the directory of its build");
    auto loaded = SoCDescription::load(options.soc);
    if (!loaded) return loaded;
    soc = std::move(*loaded);
  }
  soc.cpu_cores = options.cpu_cores.value_or(soc.cpu_cores);
  return soc;
}

std::string sizes(const Graph& graph, const std::vector<std::size_t>& tensors) {
  std::string text;
  for (const std::size_t index : tensors) {
    const auto& info = graph.tensors()[index];
    text += (text.empty() ? "" : ", ") + info.name + " " + info.type.describe();
  }
  return text;
}

/// Checks the caller's buffers against the graph's tensors.
template <class Span>
Status check_buffers(const Graph& graph, const std::vector<std::size_t>& tensors, std::span<const Span> buffers,
                     const std::string& what) {
  if (buffers.size() != tensors.size()) {
    return failure("graph " + graph.name() + " has " + std::to_string(tensors.size()) + " " + what + " (" +
                   sizes(graph, tensors) + "); given are " + std::to_string(buffers.size()));
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& info = graph.tensors()[tensors[i]];
    if (buffers[i].size() != info.type.dense_bytes()) {
      return failure(what + " " + info.name + " of type " + info.type.describe() + " takes " +
                     std::to_string(info.type.dense_bytes()) + " bytes; given are " +
                     std::to_string(buffers[i].size()));
    }
  }
  return {};
}

}  // namespace

Result<Mode> mode_of(std::string_view name) {
  const auto found = std::ranges::find(modes, name, &ModeName::name);
  if (found != modes.end()) return found->mode;
  return failure("no mode \"" + std::string(name) + "\"; there are cpu, rtl, functional, model, board");
}

/// A loaded model. The graph stays where it is, because the plan refers to it.
class ModelState {
 public:
  ModelState(std::shared_ptr<SessionState> owner, Graph model_graph)
      : session(std::move(owner)), graph(std::move(model_graph)) {}
  ModelState(const ModelState&) = delete;
  ModelState& operator=(const ModelState&) = delete;
  ~ModelState() {
    // Device memory is given back under the lock of those that take it.
    const auto lock = session->scheduler().lock_drivers();
    plan.reset();
  }

  std::shared_ptr<SessionState> session;
  const Graph graph;
  Time deadline = impossible;
  std::optional<Plan> plan;
  std::optional<GraphRun> run;
  std::mutex mutex;  // of a run and of what it leaves
  RunReport report;
  bool has_run = false;
};

Result<Session> Session::open(const SessionOptions& options) {
  const auto soc = find_soc(options);
  if (!soc) return tl::make_unexpected(soc.error());
  auto platform = make_platform(options.mode, options, *soc);
  if (!platform) return tl::make_unexpected(platform.error());
  auto state = SessionState::make(options, *soc, std::move(*platform));
  if (!state) return tl::make_unexpected(state.error());
  return Session(std::move(*state));
}

Result<Model> Session::load(Graph graph, const ModelOptions& options) {
  if (auto good = graph.check(); !good) return tl::make_unexpected(good.error());
  Scheduler& scheduler = state_->scheduler();
  auto application =
      scheduler.add_application({.name = graph.name(), .priority = options.priority, .weight = options.weight});
  if (!application) return tl::make_unexpected(application.error());
  auto model = std::make_shared<ModelState>(state_, std::move(graph));
  {
    const auto lock = scheduler.lock_drivers();
    auto plan = make_plan(
        model->graph, state_->devices(), state_->soc(), state_->platform().memory(),
        {.keep_tensors = state_->options().keep_tensors, .has_values = scheduler.values() == Values::computed});
    if (!plan) return tl::make_unexpected(plan.error());
    model->plan = std::move(*plan);
  }
  model->deadline = options.deadline.value_or(impossible);
  model->run.emplace(*model->plan, std::move(*application), scheduler, state_->devices().size());
  return Model(std::move(model));
}

std::vector<std::string> Session::devices() const {
  std::vector<std::string> names;
  for (const ComputeDevice& device : state_->devices()) names.push_back(device.name);
  return names;
}

const Graph& Model::graph() const { return state_->graph; }

const RunReport& Model::report() const { return state_->report; }

Status Model::run(std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs) {
  const Graph& graph = state_->graph;
  if (auto good = check_buffers(graph, graph.inputs(), inputs, "inputs"); !good) return good;
  if (auto good = check_buffers(graph, graph.outputs(), outputs, "outputs"); !good) return good;
  const std::lock_guard lock(state_->mutex);
  SessionState& session = *state_->session;
  const bool has_values = session.scheduler().values() == Values::computed;
  const auto& tensors = state_->plan->tensors;
  for (std::size_t i = 0; has_values && i < inputs.size(); ++i) store(tensors[graph.inputs()[i]], inputs[i]);
  state_->has_run = false;
  state_->run->start(state_->deadline);
  const Status status = state_->run->wait();
  state_->report = state_->run->report(session.devices());
  state_->report.peak_memory_bytes = session.platform().memory().peak_bytes();
  if (auto finished = session.finish_trace(); !finished) return finished;
  if (!status) return status;
  state_->has_run = true;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (has_values) {
      fetch(tensors[graph.outputs()[i]], outputs[i]);
    } else {
      std::ranges::fill(outputs[i], std::byte{0});
    }
  }
  return {};
}

Status Model::tensor(const std::string& name, std::span<std::byte> bytes) const {
  const Graph& graph = state_->graph;
  const auto index = graph.find(name);
  if (!index) return failure("graph " + graph.name() + " has no tensor " + name);
  const auto& info = graph.tensors()[*index];
  const bool is_output = std::ranges::find(graph.outputs(), *index) != graph.outputs().end();
  if (info.producer && !is_output && !state_->session->options().keep_tensors) {
    return failure("tensor " + name + " shares its memory with others; open the session with keep_tensors to read it");
  }
  if (state_->session->scheduler().values() == Values::none) {
    return failure("tensor " + name + " has no value: mode model computes none");
  }
  const std::lock_guard lock(state_->mutex);
  if (!info.constant && !state_->has_run) return failure("tensor " + name + ": the model has not run successfully yet");
  if (bytes.size() != info.type.dense_bytes()) {
    return failure("tensor " + name + " takes " + std::to_string(info.type.dense_bytes()) + " bytes; given are " +
                   std::to_string(bytes.size()));
  }
  fetch(state_->plan->tensors[*index], bytes);
  return {};
}

}  // namespace cosoc

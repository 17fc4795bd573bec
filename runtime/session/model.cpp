#include <algorithm>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cosoc/client.hpp"
#include "session/model_state.hpp"

namespace cosoc {
namespace {

std::string sizes(const Graph& graph, const std::vector<std::size_t>& tensors) {
  std::string text;
  for (const std::size_t index : tensors) {
    const auto& info = graph.tensors()[index];
    text += (text.empty() ? "" : ", ") + info.name + " " + info.type.describe();
  }
  return text;
}

Status check_count(const Graph& graph, const std::vector<std::size_t>& tensors, std::size_t given,
                   const std::string& what) {
  if (given == tensors.size()) return {};
  return failure("graph " + graph.name() + " has " + std::to_string(tensors.size()) + " " + what + " (" +
                 sizes(graph, tensors) + "); given are " + std::to_string(given));
}

/// Samples in so many bytes, of a graph that is not for any batch 1; none when they do not fit.
std::optional<std::size_t> samples_in(const Graph& graph, const TensorType& type, std::size_t bytes) {
  const std::size_t batch = graph.any_batch() ? static_cast<std::size_t>(type.shape[0]) : 1;
  const std::size_t sample = type.dense_bytes() / batch;
  const std::size_t samples = bytes / sample;
  const bool fits = bytes % sample == 0 && (graph.any_batch() ? samples > 0 : samples == 1);
  return fits ? std::optional(samples) : std::nullopt;
}

/// Checks the caller's buffers against the graph's tensors; `samples` are those of the buffers before, 0: none yet.
template <class Span>
Status check_buffers(const Graph& graph, const std::vector<std::size_t>& tensors, std::span<const Span> buffers,
                     const std::string& what, std::size_t& samples) {
  if (auto good = check_count(graph, tensors, buffers.size(), what); !good) return good;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& info = graph.tensors()[tensors[i]];
    const auto found = samples_in(graph, info.type, buffers[i].size());
    if (found && samples == 0) samples = *found;
    if (found == samples) continue;
    const std::string many = graph.any_batch() ? " bytes, or as many samples as the others have" : " bytes";
    return failure(what + " " + info.name + " of type " + info.type.describe() + " takes " +
                   std::to_string(info.type.dense_bytes()) + many + "; given are " + std::to_string(buffers[i].size()));
  }
  return {};
}

Status check_types(const Graph& graph, const std::vector<std::size_t>& tensors, std::span<const Buffer> buffers,
                   const std::string& what) {
  if (auto good = check_count(graph, tensors, buffers.size(), what); !good) return good;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& info = graph.tensors()[tensors[i]];
    if (buffers[i].type() == info.type) continue;
    return failure(what + " " + info.name + " is " + info.type.describe() + "; given is a buffer of type " +
                   buffers[i].type().describe());
  }
  return {};
}

/// Copies a tensor to another one of the same type.
std::shared_ptr<const Kernel> make_copy() {
  const auto run = [](std::span<const TensorView> from, std::span<const TensorView> to) {
    std::memcpy(to[0].block.data, from[0].block.data, from[0].type->bytes());
    return Status();
  };
  return make_user_kernel("copy", run, 0);
}

}  // namespace

void ModelState::settle() {
  if (!submitted) return;
  has_run = submitted->wait().has_value();
  report = runs->last()->report(session->devices());
  report.peak_memory_bytes = session->peak_memory_bytes();
  submitted.reset();
}

Status ModelState::make_copies() {
  if (!copies.empty()) return {};
  std::vector<std::size_t> tensors = graph.inputs();
  tensors.insert(tensors.end(), graph.outputs().begin(), graph.outputs().end());
  const auto kernel = make_copy();
  for (const std::size_t tensor : tensors) {
    const auto& info = graph.tensors()[tensor];
    const CallDescription call{.name = "copy." + info.name,
                               .kernel = kernel,
                               .inputs = {info.type},
                               .outputs = {info.type},
                               .devices = {"cpu"}};
    auto what = make_template(call, session->devices(), session->soc(), &session->costs());
    if (!what) {
      copies.clear();
      return failure("node " + call.name + " " + what.error().message);
    }
    copies.push_back(std::move(*what));
  }
  return {};
}

Result<Model> Session::load(Graph graph, const ModelOptions& options) {
  if (auto good = graph.check(); !good) return tl::make_unexpected(good.error());
  Scheduler& scheduler = state_->scheduler();
  auto application = scheduler.add_application({.name = graph.name(),
                                                .priority = options.priority,
                                                .weight = options.weight,
                                                .deadline = state_->deadline_of(options.deadline)});
  if (!application) return tl::make_unexpected(application.error());
  auto model = std::make_shared<ModelState>(state_, std::move(graph));
  {
    const auto lock = scheduler.lock_drivers();
    auto plan = make_plan(model->graph, state_->devices(), state_->soc(), state_->platform().memory(),
                          {.keep_tensors = state_->options().keep_tensors,
                           .has_values = scheduler.values() == Values::computed,
                           .measured = &state_->costs(),
                           .shard = state_->options().shard});
    if (!plan) return tl::make_unexpected(plan.error());
    model->plan = std::move(*plan);
  }
  model->run.emplace(*model->plan, *application, scheduler, state_->devices());
  model->runs.emplace(*model->plan, state_, std::move(*application));
  return Model(std::move(model));
}

const Graph& Model::graph() const { return state_->graph; }

const RunReport& Model::report() const {
  const std::lock_guard lock(state_->mutex);
  state_->settle();
  return state_->report;
}

Status ModelState::run_once(std::span<const std::span<const std::byte>> inputs,
                            std::span<const std::span<std::byte>> outputs) {
  const bool has_values = session->scheduler().values() == Values::computed;
  const auto& tensors = plan->tensors;
  for (std::size_t i = 0; has_values && i < inputs.size(); ++i) store(tensors[graph.inputs()[i]], inputs[i]);
  has_run = false;
  run->start();
  Status status = run->wait();
  report = run->report(session->devices());
  report.peak_memory_bytes = session->peak_memory_bytes();
  if (auto finished = session->finish_trace(); !finished) return finished;
  if (!status) return status;
  has_run = true;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (has_values) {
      fetch(tensors[graph.outputs()[i]], outputs[i]);
    } else {
      std::ranges::fill(outputs[i], std::byte{0});
    }
  }
  return {};
}

Status ModelState::run_part(std::span<const std::span<const std::byte>> inputs,
                            std::span<const std::span<std::byte>> outputs, std::size_t samples) {
  std::vector<std::vector<std::byte>> whole;
  std::vector<std::span<const std::byte>> from;
  std::vector<std::span<std::byte>> to;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto last = inputs[i].last(inputs[i].size() / samples);
    auto& filled = whole.emplace_back(inputs[i].begin(), inputs[i].end());
    const std::size_t bytes = graph.tensors()[graph.inputs()[i]].type.dense_bytes();
    while (filled.size() < bytes) filled.insert(filled.end(), last.begin(), last.end());
    from.emplace_back(filled);
  }
  for (const std::size_t index : graph.outputs()) {
    to.emplace_back(whole.emplace_back(graph.tensors()[index].type.dense_bytes()));
  }
  if (auto done = run_once(from, to); !done) return done;
  for (std::size_t i = 0; i < outputs.size(); ++i) std::copy_n(to[i].begin(), outputs[i].size(), outputs[i].begin());
  return {};
}

Status Model::run(std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs) {
  const Graph& graph = state_->graph;
  std::size_t samples = 0;
  if (auto good = check_buffers(graph, graph.inputs(), inputs, "inputs", samples); !good) return good;
  if (auto good = check_buffers(graph, graph.outputs(), outputs, "outputs", samples); !good) return good;
  const std::lock_guard lock(state_->mutex);
  state_->settle();
  if (!graph.any_batch()) return state_->run_once(inputs, outputs);
  const auto batch = static_cast<std::size_t>(graph.tensors()[graph.inputs()[0]].type.shape[0]);
  for (std::size_t first = 0; first < samples; first += batch) {
    const std::size_t count = std::min(batch, samples - first);
    const auto piece = [&](const auto& buffer) {
      const std::size_t sample = buffer.size() / samples;
      return buffer.subspan(first * sample, count * sample);
    };
    std::vector<std::span<const std::byte>> from;
    std::vector<std::span<std::byte>> to;
    std::ranges::transform(inputs, std::back_inserter(from), piece);
    std::ranges::transform(outputs, std::back_inserter(to), piece);
    const Status done = count == batch ? state_->run_once(from, to) : state_->run_part(from, to, count);
    if (!done) return done;
  }
  return {};
}

Future Model::submit(std::span<const Buffer> inputs, std::span<const Buffer> outputs, std::span<const Future> after) {
  ModelState& model = *state_;
  const Graph& graph = model.graph;
  const std::lock_guard lock(model.mutex);
  Status good = check_types(graph, graph.inputs(), inputs, "inputs");
  if (good) good = check_types(graph, graph.outputs(), outputs, "outputs");
  if (good) good = model.make_copies();
  if (!good) return model.runs->refuse(good.error());
  RunRequest request{.after = after};
  const TaskTemplate* copy = model.copies.data();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    request.first.push_back({copy++, inputs[i].state_->view(), model.plan->tensors[graph.inputs()[i]]});
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    request.last.push_back({copy++, model.plan->tensors[graph.outputs()[i]], outputs[i].state_->view()});
  }
  for (const auto buffers : {inputs, outputs}) {
    for (const Buffer& buffer : buffers) request.holds.push_back(buffer.state_);
  }
  model.submitted = model.runs->submit(std::move(request));
  return *model.submitted;
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
  state_->settle();
  if (!info.constant && !state_->has_run) return failure("tensor " + name + ": the model has not run successfully yet");
  if (bytes.size() != info.type.dense_bytes()) {
    return failure("tensor " + name + " takes " + std::to_string(info.type.dense_bytes()) + " bytes; given are " +
                   std::to_string(bytes.size()));
  }
  fetch(state_->plan->tensors[*index], bytes);
  return {};
}

}  // namespace cosoc

#include <algorithm>
#include <cstring>
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

/// Checks the caller's buffers against the graph's tensors.
template <class Span>
Status check_buffers(const Graph& graph, const std::vector<std::size_t>& tensors, std::span<const Span> buffers,
                     const std::string& what) {
  if (auto good = check_count(graph, tensors, buffers.size(), what); !good) return good;
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

Status Model::run(std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs) {
  const Graph& graph = state_->graph;
  if (auto good = check_buffers(graph, graph.inputs(), inputs, "inputs"); !good) return good;
  if (auto good = check_buffers(graph, graph.outputs(), outputs, "outputs"); !good) return good;
  const std::lock_guard lock(state_->mutex);
  state_->settle();
  SessionState& session = *state_->session;
  const bool has_values = session.scheduler().values() == Values::computed;
  const auto& tensors = state_->plan->tensors;
  for (std::size_t i = 0; has_values && i < inputs.size(); ++i) store(tensors[graph.inputs()[i]], inputs[i]);
  state_->has_run = false;
  state_->run->start();
  const Status status = state_->run->wait();
  state_->report = state_->run->report(session.devices());
  state_->report.peak_memory_bytes = session.peak_memory_bytes();
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

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

tl::unexpected<Error> misfit(const Graph& graph, const Graph::TensorInfo& info, const std::string& what,
                             std::size_t given) {
  const std::string many = graph.any_batch() ? " bytes, or as many samples as the others have" : " bytes";
  return failure(what + " " + info.name + " of type " + info.type.describe() + " takes " +
                 std::to_string(info.type.dense_bytes()) + many + "; given are " + std::to_string(given));
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
    if (found != samples) return misfit(graph, info, what, buffers[i].size());
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

/// What a batch has of a buffer for all samples; the last one may have less.
template <class Span>
Span piece(Span buffer, const TensorView& tensor, std::size_t batch) {
  const std::size_t bytes = tensor.type->dense_bytes();
  return buffer.subspan(batch * bytes, std::min(bytes, buffer.size() - batch * bytes));
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
  last = submitted->wait() ? &lanes.front() : nullptr;
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

PlanOptions ModelState::plan_options() const {
  return {.keep_tensors = session->options().keep_tensors,
          .has_values = session->scheduler().values() == Values::computed,
          .measured = &session->costs(),
          .shard = session->options().shard};
}

Status ModelState::plan(std::shared_ptr<const Application> owner) {
  application = std::move(owner);
  {
    const auto lock = session->scheduler().lock_drivers();
    auto made = make_plan(graph, session->devices(), session->soc(), session->platform().memory(), plan_options());
    if (!made) return tl::make_unexpected(made.error());
    lanes.emplace_back(std::move(*made), application, *session);
  }
  runs.emplace(lanes.front().plan, session, application);
  return {};
}

void ModelState::add_lanes(std::size_t count) {
  const auto lock = session->scheduler().lock_drivers();
  while (lanes.size() < count) {
    auto twin = make_twin(graph, lanes.front().plan, session->devices(), session->platform().memory(), plan_options());
    if (!twin) return;
    lanes.emplace_back(std::move(*twin), application, *session);
  }
}

Result<Model> Session::load(Graph graph, const ModelOptions& options) {
  if (auto good = graph.check(); !good) return tl::make_unexpected(good.error());
  auto application = state_->scheduler().add_application({.name = graph.name(),
                                                          .priority = options.priority,
                                                          .weight = options.weight,
                                                          .deadline = state_->deadline_of(options.deadline)});
  if (!application) return tl::make_unexpected(application.error());
  auto model = std::make_shared<ModelState>(state_, std::move(graph));
  if (auto planned = model->plan(std::move(*application)); !planned) return tl::make_unexpected(planned.error());
  return Model(std::move(model));
}

const Graph& Model::graph() const { return state_->graph; }

const RunReport& Model::report() const {
  const std::lock_guard lock(state_->mutex);
  state_->settle();
  return state_->report;
}

void ModelState::start(Lane& lane, const Samples& samples, std::size_t batch) {
  const bool has_values = session->scheduler().values() == Values::computed;
  for (std::size_t i = 0; has_values && i < samples.inputs.size(); ++i) {
    const TensorView& tensor = lane.plan.tensors[graph.inputs()[i]];
    const auto part = piece(samples.inputs[i], tensor, batch);
    if (part.size() == tensor.type->dense_bytes()) {
      store(tensor, part);
      continue;
    }
    const auto sample = part.last(samples.inputs[i].size() / samples.count);
    std::vector<std::byte> filled(part.begin(), part.end());
    while (filled.size() < tensor.type->dense_bytes()) filled.insert(filled.end(), sample.begin(), sample.end());
    store(tensor, filled);
  }
  lane.run.start();
}

void ModelState::fetch_outputs(const Lane& lane, const Samples& samples, std::size_t batch) const {
  const bool has_values = session->scheduler().values() == Values::computed;
  for (std::size_t i = 0; i < samples.outputs.size(); ++i) {
    const TensorView& tensor = lane.plan.tensors[graph.outputs()[i]];
    const auto part = piece(samples.outputs[i], tensor, batch);
    if (!has_values) {
      std::ranges::fill(part, std::byte{0});
    } else if (part.size() == tensor.type->dense_bytes()) {
      fetch(tensor, part);
    } else {
      std::vector<std::byte> whole(tensor.type->dense_bytes());
      fetch(tensor, whole);
      std::copy_n(whole.begin(), part.size(), part.begin());
    }
  }
}

Status ModelState::run(const Samples& samples) {
  const TensorType& type = graph.tensors()[graph.inputs()[0]].type;
  const std::size_t size = graph.any_batch() ? static_cast<std::size_t>(type.shape[0]) : 1;
  const std::size_t batches = (samples.count + size - 1) / size;
  add_lanes(std::min(batches, session->devices().size()));
  const std::size_t used = std::min(batches, lanes.size());
  const Lane* reported = nullptr;
  Status status;
  std::size_t started = 0;
  for (std::size_t ended = 0; ended < started || (status && started < batches);) {
    if (status && started < batches && started - ended < used) {
      start(lanes[started % used], samples, started);
      ++started;
      continue;
    }
    Lane& lane = lanes[ended % used];
    const Status& done = lane.run.wait();
    if (status) {
      reported = &lane;
      status = done;
      if (done) fetch_outputs(lane, samples, ended);
    }
    ++ended;
  }
  last = status ? reported : nullptr;
  report = reported->run.report(session->devices());
  report.peak_memory_bytes = session->peak_memory_bytes();
  if (auto finished = session->finish_trace(); status && !finished) return finished;
  return status;
}

Status Model::run(std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs) {
  const Graph& graph = state_->graph;
  std::size_t samples = 0;
  if (auto good = check_buffers(graph, graph.inputs(), inputs, "inputs", samples); !good) return good;
  if (auto good = check_buffers(graph, graph.outputs(), outputs, "outputs", samples); !good) return good;
  const std::lock_guard lock(state_->mutex);
  state_->settle();
  return state_->run({inputs, outputs, samples});
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
    request.first.push_back({copy++, inputs[i].state_->view(), model.lanes.front().plan.tensors[graph.inputs()[i]]});
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    request.last.push_back({copy++, model.lanes.front().plan.tensors[graph.outputs()[i]], outputs[i].state_->view()});
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
  if (!info.constant && state_->last == nullptr) {
    return failure("tensor " + name + ": the model has not run successfully yet");
  }
  if (bytes.size() != info.type.dense_bytes()) {
    return failure("tensor " + name + " takes " + std::to_string(info.type.dense_bytes()) + " bytes; given are " +
                   std::to_string(bytes.size()));
  }
  fetch((info.constant ? &state_->lanes.front() : state_->last)->plan.tensors[*index], bytes);
  return {};
}

}  // namespace cosoc

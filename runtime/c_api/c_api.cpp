#include <string>
#include <vector>

#include "c_api/description.hpp"
#include "c_api/objects.hpp"
#include "session/session_state.hpp"

std::string& cosoc::c_api::last_error() {
  thread_local std::string message;
  return message;
}

namespace {

using namespace cosoc::c_api;

std::string text_or(const char* text, const char* fallback) { return text != nullptr ? text : fallback; }

cosoc::Result<cosoc::SessionOptions> read_options(const cosoc_options& options) {
  cosoc::SessionOptions result;
  const auto mode = cosoc::mode_of(text_or(options.mode, "cpu"));
  if (!mode) return tl::make_unexpected(mode.error());
  result.mode = *mode;
  result.soc = text_or(options.soc, "");
  result.policy = text_or(options.policy, "EFT");
  result.trace = text_or(options.trace, "");
  if (options.memory_bytes != 0) result.memory_bytes = options.memory_bytes;
  if (options.cpu_cores >= 0) result.cpu_cores = static_cast<std::uint32_t>(options.cpu_cores);
  result.keep_tensors = options.keep_tensors != 0;
  result.costs = text_or(options.costs, "");
  if (options.seed != 0) result.seed = options.seed;
  if (options.deadline_ns != 0) result.deadline = cosoc::Time(options.deadline_ns);
  return result;
}

}  // namespace

extern "C" {

const char* cosoc_error(void) { return last_error().c_str(); }

int cosoc_session_open(const cosoc_options* options, cosoc_session** session) {
  return guard([&]() -> cosoc::Status {
    const auto read = read_options(*options);
    if (!read) return tl::make_unexpected(read.error());
    auto opened = cosoc::Session::open(*read);
    if (!opened) return tl::make_unexpected(opened.error());
    *session = std::make_unique<cosoc_session>(cosoc_session{std::move(*opened)}).release();
    return {};
  });
}

void cosoc_session_close(cosoc_session* session) {
  const std::unique_ptr<cosoc_session> owner(session);
  // Models and clients may keep the session's state for longer. Nobody asks here whether it could be written.
  if (owner) static_cast<void>(owner->session.state()->finish_trace());
}

int cosoc_device_remove(cosoc_session* session, const char* name) {
  return guard([&] { return session->session.remove_device(name); });
}

int cosoc_device_add(cosoc_session* session, const char* name) {
  return guard([&] { return session->session.add_device(name); });
}

int cosoc_session_calibrate(cosoc_session* session) {
  return guard([&] { return cosoc::calibrate(session->session); });
}

const char* cosoc_session_costs(cosoc_session* session) {
  session->costs = cosoc::describe_costs(session->session.measured_costs());
  return session->costs.c_str();
}

int cosoc_session_save_costs(cosoc_session* session) {
  return guard([&] { return session->session.save_costs(); });
}

int cosoc_model_load(cosoc_session* session, const char* bundle, const cosoc_model_options* options,
                     cosoc_model** model) {
  return guard([&]() -> cosoc::Status {
    cosoc::ModelOptions chosen;
    if (options != nullptr) {
      chosen.priority = options->priority;
      if (options->weight != 0) chosen.weight = options->weight;
      if (options->deadline_ns != 0) chosen.deadline = cosoc::Time(options->deadline_ns);
    }
    auto graph = cosoc::load_bundle(bundle);
    if (!graph) return tl::make_unexpected(graph.error());
    auto loaded = session->session.load(std::move(*graph), chosen);
    if (!loaded) return tl::make_unexpected(loaded.error());
    std::string description = cosoc::describe_model(loaded->graph());
    *model = std::make_unique<cosoc_model>(cosoc_model{std::move(*loaded), std::move(description), {}}).release();
    return {};
  });
}

void cosoc_model_close(cosoc_model* model) { const std::unique_ptr<cosoc_model> owner(model); }

const char* cosoc_model_description(const cosoc_model* model) { return model->description.c_str(); }

int cosoc_model_run(cosoc_model* model, const cosoc_buffer* inputs, size_t input_count, const cosoc_buffer* outputs,
                    size_t output_count) {
  return guard([&] {
    std::vector<std::span<const std::byte>> from;
    std::vector<std::span<std::byte>> to;
    for (size_t i = 0; i < input_count; ++i)
      from.emplace_back(static_cast<const std::byte*>(inputs[i].data), inputs[i].bytes);
    for (size_t i = 0; i < output_count; ++i)
      to.emplace_back(static_cast<std::byte*>(outputs[i].data), outputs[i].bytes);
    return model->model.run(from, to);
  });
}

const char* cosoc_model_report(cosoc_model* model) {
  model->report = cosoc::describe_report(model->model.report());
  return model->report.c_str();
}

int cosoc_model_tensor(const cosoc_model* model, const char* name, cosoc_buffer buffer) {
  return guard([&] { return model->model.tensor(name, {static_cast<std::byte*>(buffer.data), buffer.bytes}); });
}

}  // extern "C"

#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "c_api/objects.hpp"

namespace {

using namespace cosoc;
using namespace cosoc::c_api;

Result<TensorType> read_type(const cosoc_type& type) {
  const auto dtype = dtype_of(type.dtype);
  if (!dtype) return tl::make_unexpected(dtype.error());
  TensorType result{.dtype = *dtype,
                    .shape = {type.shape, type.shape + type.rank},
                    .scale = type.scale,
                    .zero_point = type.zero_point};
  for (const std::int64_t extent : result.shape) {
    if (extent < 1) return failure("a tensor's extents are at least 1; given is " + result.describe());
  }
  return result;
}

Result<std::vector<TensorType>> read_types(const cosoc_type* types, size_t count) {
  std::vector<TensorType> result;
  for (size_t i = 0; i < count; ++i) {
    auto type = read_type(types[i]);
    if (!type) return tl::make_unexpected(type.error());
    result.push_back(std::move(*type));
  }
  return result;
}

Status prepare(const cosoc_client& client, const Result<std::shared_ptr<const Kernel>>& kernel,
               const cosoc_signature& signature, cosoc_call** call) {
  auto inputs = read_types(signature.inputs, signature.input_count);
  if (!inputs) return tl::make_unexpected(inputs.error());
  auto outputs = read_types(signature.outputs, signature.output_count);
  if (!outputs) return tl::make_unexpected(outputs.error());
  CallOptions options{.wrapped = signature.wrapped != 0};
  if (signature.name != nullptr) options.name = signature.name;
  if (signature.devices != nullptr) {
    options.devices.assign(signature.devices, signature.devices + signature.device_count);
  }
  return give(client.client.prepare(kernel, std::move(*inputs), std::move(*outputs), options), call);
}

std::vector<cosoc_buffer> storages_of(std::span<const TensorView> views) {
  std::vector<cosoc_buffer> buffers;
  for (const TensorView& view : views) buffers.push_back({view.block.data, view.type->bytes()});
  return buffers;
}

Result<std::shared_ptr<const Kernel>> make_library_kernel(const char* operation, const char* attributes) {
  const auto values = nlohmann::json::parse(attributes == nullptr ? "{}" : attributes, nullptr, false);
  if (values.is_discarded()) return failure(std::string("attributes of ") + operation + " are no JSON: " + attributes);
  return make_kernel(operation, values);
}

/// A kernel around a foreign function.
std::shared_ptr<const Kernel> make_foreign_kernel(const cosoc_kernel& kernel) {
  const auto run = [function = kernel.function, context = kernel.context](std::span<const TensorView> inputs,
                                                                          std::span<const TensorView> outputs) {
    const auto from = storages_of(inputs);
    const auto to = storages_of(outputs);
    std::array<char, 1024> message{};
    if (function(context, from.data(), to.data(), message.data(), message.size()) == 0) return Status();
    message.back() = '\0';
    return Status(failure(message.front() == '\0' ? "the function failed without a message" : message.data()));
  };
  std::vector<AcceleratorImplementation> accelerators;
  for (size_t i = 0; kernel.accelerators != nullptr && i < kernel.accelerator_count; ++i) {
    const cosoc_implementation& other = kernel.accelerators[i];
    accelerators.push_back({other.device, make_library_kernel(other.operation, other.attributes)});
  }
  return make_user_kernel(kernel.name, run, kernel.operations, std::move(accelerators));
}

}  // namespace

std::vector<Buffer> cosoc::c_api::buffers_of(cosoc_memory* const* memories, size_t count) {
  std::vector<Buffer> buffers;
  for (size_t i = 0; i < count; ++i) buffers.push_back(memories[i]->buffer);
  return buffers;
}

std::vector<Future> cosoc::c_api::futures_of(cosoc_future* const* futures, size_t count) {
  std::vector<Future> result;
  for (size_t i = 0; i < count; ++i) result.push_back(futures[i]->future);
  return result;
}

extern "C" {

int cosoc_session_client(cosoc_session* session, const cosoc_client_options* options, cosoc_client** client) {
  return guard([&] {
    ClientOptions chosen{.priority = options->priority};
    if (options->name != nullptr) chosen.name = options->name;
    if (options->weight != 0) chosen.weight = options->weight;
    if (options->deadline_ns != 0) chosen.deadline = Time(options->deadline_ns);
    return give(session->session.client(chosen), client);
  });
}

void cosoc_client_close(cosoc_client* client) { const std::unique_ptr<cosoc_client> owner(client); }

int cosoc_client_wait(cosoc_client* client) {
  return guard([&] { return client->client.wait(); });
}

int64_t cosoc_client_now_ns(const cosoc_client* client) { return client->client.now().count(); }

int cosoc_memory_allocate(cosoc_client* client, const cosoc_type* type, cosoc_memory** memory) {
  return guard([&]() -> Status {
    const auto read = read_type(*type);
    if (!read) return tl::make_unexpected(read.error());
    return give(client->client.allocate(*read), memory);
  });
}

int cosoc_memory_wrap(cosoc_client* client, const cosoc_type* type, void* data, size_t bytes, cosoc_memory** memory) {
  return guard([&]() -> Status {
    const auto read = read_type(*type);
    if (!read) return tl::make_unexpected(read.error());
    return give(client->client.wrap(*read, {static_cast<std::byte*>(data), bytes}), memory);
  });
}

cosoc_buffer cosoc_memory_storage(const cosoc_memory* memory) {
  const auto storage = memory->buffer.as<std::byte>();
  return {storage.data(), storage.size()};
}

void cosoc_memory_close(cosoc_memory* memory) { const std::unique_ptr<cosoc_memory> owner(memory); }

int cosoc_call_prepare(cosoc_client* client, const char* operation, const char* attributes,
                       const cosoc_signature* signature, cosoc_call** call) {
  return guard([&] { return prepare(*client, make_library_kernel(operation, attributes), *signature, call); });
}

int cosoc_call_prepare_function(cosoc_client* client, const cosoc_kernel* kernel, const cosoc_signature* signature,
                                cosoc_call** call) {
  return guard([&] { return prepare(*client, make_foreign_kernel(*kernel), *signature, call); });
}

const char* cosoc_call_reason(const cosoc_call* call) { return call->call.reason().c_str(); }

void cosoc_call_close(cosoc_call* call) { const std::unique_ptr<cosoc_call> owner(call); }

int cosoc_call_run(cosoc_client* client, const cosoc_call* call, cosoc_memory* const* inputs, size_t input_count,
                   cosoc_memory* const* outputs, size_t output_count) {
  return guard([&] {
    return client->client.call(call->call, buffers_of(inputs, input_count), buffers_of(outputs, output_count));
  });
}

int cosoc_call_submit(cosoc_client* client, const cosoc_call* call, cosoc_memory* const* inputs, size_t input_count,
                      cosoc_memory* const* outputs, size_t output_count, cosoc_future* const* after, size_t after_count,
                      cosoc_future** future) {
  return guard([&] {
    return give(
        Result<Future>(client->client.submit(call->call, buffers_of(inputs, input_count),
                                             buffers_of(outputs, output_count), futures_of(after, after_count))),
        future);
  });
}

int cosoc_model_submit(cosoc_model* model, cosoc_memory* const* inputs, size_t input_count,
                       cosoc_memory* const* outputs, size_t output_count, cosoc_future* const* after,
                       size_t after_count, cosoc_future** future) {
  return guard([&] {
    return give(Result<Future>(model->model.submit(buffers_of(inputs, input_count), buffers_of(outputs, output_count),
                                                   futures_of(after, after_count))),
                future);
  });
}

int cosoc_future_wait(const cosoc_future* future) {
  return guard([&] { return future->future.wait(); });
}

int cosoc_future_ended(const cosoc_future* future) { return future->future.ended() ? 1 : 0; }

void cosoc_future_close(cosoc_future* future) { const std::unique_ptr<cosoc_future> owner(future); }

}  // extern "C"

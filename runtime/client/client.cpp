#include "cosoc/client.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/client_state.hpp"
#include "scheduler/plan.hpp"

namespace cosoc {
namespace {

Status check_list(const std::string& call, std::string_view which, std::span<const Buffer> buffers,
                  std::span<const TensorType> types) {
  if (buffers.size() != types.size()) {
    return failure("call " + call + " has " + std::to_string(types.size()) + " " + std::string(which) +
                   "s; given are " + std::to_string(buffers.size()));
  }
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (buffers[i].type() == types[i]) continue;
    return failure("call " + call + ": " + std::string(which) + " " + std::to_string(i) + " was prepared as " +
                   types[i].describe() + "; given is " + buffers[i].type().describe());
  }
  return {};
}

Status check_size(const TensorType& type, std::size_t bytes) {
  if (bytes == type.dense_bytes()) return {};
  return failure("a buffer of type " + type.describe() + " takes " + std::to_string(type.dense_bytes()) +
                 " bytes; given are " + std::to_string(bytes));
}

}  // namespace

Status check_operands(const CallState& call, std::span<const Buffer> inputs, std::span<const Buffer> outputs) {
  if (auto good = check_list(call.what.name, "input", inputs, call.inputs); !good) return good;
  return check_list(call.what.name, "output", outputs, call.outputs);
}

const TensorType& Buffer::type() const { return state_->type; }

std::span<std::byte> Buffer::storage() const { return {state_->block.data, state_->type.bytes()}; }

Status Buffer::write(std::span<const std::byte> values) const {
  if (auto good = check_size(state_->type, values.size()); !good) return good;
  store(state_->view(), values);
  return {};
}

Status Buffer::read(std::span<std::byte> values) const {
  if (auto good = check_size(state_->type, values.size()); !good) return good;
  fetch(state_->view(), values);
  return {};
}

const std::string& Call::reason() const { return state_->what.reason; }

bool Future::ended() const { return call_->finish(); }

Status Future::wait() const { return call_->wait(); }

Result<Client> Session::client(const ClientOptions& options) {
  auto application = state_->scheduler().add_application({.name = options.name,
                                                          .priority = options.priority,
                                                          .weight = options.weight,
                                                          .deadline = state_->deadline_of(options.deadline)});
  if (!application) return tl::make_unexpected(application.error());
  return Client(std::make_shared<ClientState>(state_, std::move(*application)));
}

Result<Buffer> Client::allocate(const TensorType& type) const {
  SessionState& session = *state_->session;
  const auto lock = session.scheduler().lock_drivers();
  auto block = session.platform().memory().allocate(std::max<std::size_t>(type.bytes(), 1));
  if (!block) return tl::make_unexpected(block.error());
  return Buffer(std::make_shared<const BufferState>(state_->session, type, *block));
}

Result<Buffer> Client::wrap(const TensorType& type, std::span<std::byte> memory) const {
  if (memory.size() != type.bytes()) {
    return failure("a buffer of type " + type.describe() + " lies in " + std::to_string(type.bytes()) +
                   " bytes; given are " + std::to_string(memory.size()));
  }
  const Block block{.data = memory.data(), .physical = 0, .size = memory.size()};
  return Buffer(std::make_shared<const BufferState>(state_->session, type, block));
}

Result<Call> Client::prepare_for(const Result<std::shared_ptr<const Kernel>>& kernel, std::span<const Buffer> inputs,
                                 std::span<const Buffer> outputs, const CallOptions& options) const {
  CallOptions same = options;
  std::vector<TensorType> types;
  for (const auto buffers : {inputs, outputs}) {
    for (const Buffer& buffer : buffers) {
      types.push_back(buffer.type());
      same.wrapped |= buffer.state_->block.id == 0;
    }
  }
  const auto middle = types.begin() + static_cast<std::ptrdiff_t>(inputs.size());
  return prepare(kernel, {types.begin(), middle}, {middle, types.end()}, same);
}

Result<Call> Client::prepare(const Result<std::shared_ptr<const Kernel>>& kernel, std::vector<TensorType> inputs,
                             std::vector<TensorType> outputs, const CallOptions& options) const {
  if (!kernel) return tl::make_unexpected(kernel.error());
  if (auto good = (*kernel)->check(inputs, outputs); !good) return tl::make_unexpected(good.error());
  SessionState& session = *state_->session;
  CallDescription description{.name = options.name.empty() ? std::string((*kernel)->name()) : options.name,
                              .kernel = *kernel,
                              .inputs = inputs,
                              .outputs = outputs,
                              .devices = options.devices.empty() ? kinds_of(session.devices()) : options.devices,
                              .is_outside = options.wrapped};
  for (const TensorType& type : inputs) description.moved_bytes += type.bytes();
  auto what = make_template(description, session.devices(), session.soc(), &session.costs());
  if (!what) return failure("call " + description.name + " " + what.error().message);
  return Call(std::make_shared<const CallState>(std::move(*what), std::move(inputs), std::move(outputs)));
}

Future Client::submit(const Call& call, std::span<const Buffer> inputs, std::span<const Buffer> outputs,
                      std::span<const Future> after) const {
  auto pending = std::make_shared<PendingCall>(state_->session, state_->application);
  if (auto good = check_operands(*call.state_, inputs, outputs); !good) {
    pending->refuse(good.error());
    return Future(std::move(pending));
  }
  if (!pending->follow(after)) return Future(std::move(pending));
  pending->holds.emplace_back(call.state_);
  for (const Buffer& buffer : inputs) pending->inputs.push_back(buffer.state_->view());
  for (const Buffer& buffer : outputs) pending->outputs.push_back(buffer.state_->view());
  for (const auto buffers : {inputs, outputs}) {
    for (const Buffer& buffer : buffers) pending->holds.push_back(buffer.state_);
  }
  state_->session->scheduler().begin(pending->group);
  pending->last = {state_->session->scheduler().submit(pending->group, call.state_->what, pending->inputs,
                                                       pending->outputs, pending->before)};
  state_->keep(pending);
  return Future(std::move(pending));
}

Status Client::call(const Call& call, std::span<const Buffer> inputs, std::span<const Buffer> outputs) const {
  if (auto good = check_operands(*call.state_, inputs, outputs); !good) return good;
  std::vector<TensorView> views;
  views.reserve(inputs.size() + outputs.size());
  for (const auto buffers : {inputs, outputs}) {
    for (const Buffer& buffer : buffers) views.push_back(buffer.state_->view());
  }
  const std::span<const TensorView> all = views;
  return state_->session->scheduler().call(state_->application, call.state_->what, all.first(inputs.size()),
                                           all.last(outputs.size()));
}

Status Client::wait() const { return state_->wait(); }

Time Client::now() const { return state_->session->scheduler().now(); }

void Client::sleep_until(Time time) const { state_->session->scheduler().sleep_until(time); }

}  // namespace cosoc

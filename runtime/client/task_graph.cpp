#include "cosoc/task_graph.hpp"

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/plan_runs.hpp"
#include "scheduler/plan_schedule.hpp"

namespace cosoc {

struct TaskGraphState {
  struct Entry {
    PlannedTask task;
    std::vector<std::shared_ptr<const BufferState>> buffers;
  };

  std::shared_ptr<ClientState> client;
  std::string name;
  std::vector<Entry> entries;
  Status status;

  std::mutex mutex;  // of what follows
  Plan plan;
  std::optional<PlanRuns> runs;  // from the first run on; before the plan and the buffers it ends

  void fail(const std::string& message) {
    if (status) status = failure("graph " + name + ": " + message);
  }
  void connect(std::size_t before, std::size_t after);
  Status make_plan();
};

void TaskGraphState::connect(std::size_t before, std::size_t after) {
  if (runs) return fail("it has run already; nothing can be added");
  if (before == after) return fail("task " + entries[before].task.what.name + " cannot follow itself");
  auto& successors = entries[before].task.successors;
  if (std::ranges::find(successors, after) != successors.end()) return;
  successors.push_back(after);
  ++entries[after].task.dependencies;
}

/// Orders the tasks so that each stands behind those that it follows.
Status TaskGraphState::make_plan() {
  if (entries.empty()) fail("it has no tasks");
  if (!status) return status;
  std::vector<std::size_t> order;
  std::vector<std::uint32_t> missing;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    missing.push_back(entries[i].task.dependencies);
    if (missing[i] == 0) order.push_back(i);
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (const std::size_t next : entries[order[i]].task.successors) {
      if (--missing[next] == 0) order.push_back(next);
    }
  }
  if (order.size() < entries.size()) {
    const auto stuck = std::ranges::find_if(missing, [](std::uint32_t count) { return count > 0; });
    const auto index = static_cast<std::size_t>(stuck - missing.begin());
    fail("task " + entries[index].task.what.name + " follows itself, over others; a graph has no circles");
    return status;
  }
  std::vector<std::size_t> place(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) place[order[i]] = i;
  for (const std::size_t index : order) {
    PlannedTask& task = plan.tasks.emplace_back(entries[index].task);
    for (std::size_t& next : task.successors) next = place[next];
  }
  find_ranks(plan, client->session->devices());
  runs.emplace(plan, client->session, client->application);
  return {};
}

TaskGraph::TaskGraph(const Client& client, std::string name) : state_(std::make_shared<TaskGraphState>()) {
  state_->client = client.state_;
  state_->name = std::move(name);
}

TaskGraph::Node TaskGraph::add(const std::string& name, const Call& call, std::span<const Buffer> inputs,
                               std::span<const Buffer> outputs) {
  TaskGraphState& state = *state_;
  const auto is_same = [&](const TaskGraphState::Entry& entry) { return entry.task.what.name == name; };
  if (std::ranges::any_of(state.entries, is_same)) state.fail("there are two tasks " + name);
  if (state.runs) state.fail("it has run already; nothing can be added");
  if (auto good = check_operands(*call.state_, inputs, outputs); !good) {
    state.fail("task " + name + ": " + good.error().message);
  }
  TaskGraphState::Entry entry;
  entry.task.what = call.state_->what;
  entry.task.what.name = name;
  for (const Buffer& buffer : inputs) entry.task.inputs.push_back(buffer.state_->view());
  for (const Buffer& buffer : outputs) entry.task.outputs.push_back(buffer.state_->view());
  for (const auto buffers : {inputs, outputs}) {
    for (const Buffer& buffer : buffers) entry.buffers.push_back(buffer.state_);
  }
  state.entries.push_back(std::move(entry));
  return {state_, state.entries.size() - 1};
}

const TaskGraph::Node& TaskGraph::Node::precede(std::initializer_list<Node> others) const {
  for (const Node& other : others) {
    other.state_ == state_ ? state_->connect(index_, other.index_) : state_->fail("a task of another graph");
  }
  return *this;
}

const TaskGraph::Node& TaskGraph::Node::follow(std::initializer_list<Node> others) const {
  for (const Node& other : others) other.precede(*this);
  return *this;
}

Future TaskGraph::submit(std::span<const Future> after) const {
  TaskGraphState& state = *state_;
  const std::lock_guard lock(state.mutex);
  Status good = state.status;
  if (good && !state.runs) good = state.make_plan();
  if (!good) {
    auto pending = std::make_shared<PendingCall>(state.client->session, state.client->application);
    pending->refuse(good.error());
    return Future(std::move(pending));
  }
  return state.runs->submit({.after = after});
}

Status TaskGraph::status() const { return state_->status; }

std::string TaskGraph::dot() const {
  const auto quoted = [](const std::string& text) { return nlohmann::json(text).dump(); };
  std::string text = "digraph " + quoted(state_->name) + " {\n";
  for (const auto& entry : state_->entries) text += "  " + quoted(entry.task.what.name) + ";\n";
  for (const auto& entry : state_->entries) {
    for (const std::size_t next : entry.task.successors) {
      text += "  " + quoted(entry.task.what.name) + " -> " + quoted(state_->entries[next].task.what.name) + ";\n";
    }
  }
  return text + "}\n";
}

}  // namespace cosoc

/// Graphs of named calls: built once, run again and again.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>

#include "cosoc/client.hpp"

namespace cosoc {

struct TaskGraphState;

/// Calls of kernels by name, and which of them follow which. Copies are the same graph. One thread builds it.
///
///     TaskGraph graph(*client, "radar");
///     const auto range = graph.add("range", *fft, {x}, {spectrum});
///     const auto filter = graph.add("filter", *product, {spectrum, reference}, {spectrum});
///     const auto power = graph.add("power", *square, {spectrum}, {out});
///     range.precede(filter);
///     filter.precede(power);
///     Status done = graph.run();
///
/// A mistake (a name used twice, a buffer of another type, tasks in a circle) does not stop the construction: the first
/// one is kept, and every run fails with it. After the first run nothing can be added.
class TaskGraph {
 public:
  /// A task of one graph. A handle is a value.
  class Node {
   public:
    /// The others start when this one has ended.
    const Node& precede(std::initializer_list<Node> others) const;
    const Node& precede(const Node& other) const { return precede({other}); }
    /// This one starts when the others have ended.
    const Node& follow(std::initializer_list<Node> others) const;
    const Node& follow(const Node& other) const { return follow({other}); }

   private:
    friend class TaskGraph;
    Node(std::shared_ptr<TaskGraphState> state, std::size_t index) : state_(std::move(state)), index_(index) {}
    std::shared_ptr<TaskGraphState> state_;
    std::size_t index_;
  };

  explicit TaskGraph(const Client& client, std::string name = "graph");

  /// A call on these buffers, which live as long as the graph.
  Node add(const std::string& name, const Call& call, std::span<const Buffer> inputs, std::span<const Buffer> outputs);
  Node add(const std::string& name, const Call& call, std::initializer_list<Buffer> inputs,
           std::initializer_list<Buffer> outputs) {
    return add(name, call, std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()));
  }

  /// Submits a run that starts when all of `after` and the runs of this graph before it have ended. When one of `after`
  /// fails, the run fails too.
  Future submit(std::span<const Future> after = {}) const;
  Future submit(std::initializer_list<Future> after) const { return submit(std::span(after.begin(), after.size())); }
  /// A run from start to end.
  Status run() const { return submit().wait(); }
  /// The first mistake so far, if there was any.
  Status status() const;
  /// The graph for Graphviz.
  std::string dot() const;

 private:
  std::shared_ptr<TaskGraphState> state_;
};

}  // namespace cosoc

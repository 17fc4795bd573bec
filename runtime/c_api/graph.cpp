#include <algorithm>

#include "c_api/objects.hpp"

using namespace cosoc;
using namespace cosoc::c_api;

extern "C" {

int cosoc_graph_make(cosoc_client* client, const char* name, cosoc_graph** graph) {
  return guard([&] { return give(Result<TaskGraph>(TaskGraph(client->client, name)), graph); });
}

void cosoc_graph_close(cosoc_graph* graph) { const std::unique_ptr<cosoc_graph> owner(graph); }

int cosoc_graph_add(cosoc_graph* graph, const char* name, const cosoc_call* call, cosoc_memory* const* inputs,
                    size_t input_count, cosoc_memory* const* outputs, size_t output_count, size_t* task) {
  return guard([&] {
    *task = graph->nodes.size();
    const auto from = buffers_of(inputs, input_count);
    graph->nodes.push_back(graph->graph.add(name, call->call, from, buffers_of(outputs, output_count)));
    return graph->graph.status();
  });
}

int cosoc_graph_precede(cosoc_graph* graph, size_t first, size_t second) {
  return guard([&]() -> Status {
    const std::size_t count = graph->nodes.size();
    if (first >= count || second >= count) {
      return failure("the graph has " + std::to_string(count) + " tasks; there is no task " +
                     std::to_string(std::max(first, second)));
    }
    graph->nodes[first].precede(graph->nodes[second]);
    return graph->graph.status();
  });
}

int cosoc_graph_submit(cosoc_graph* graph, cosoc_future* const* after, size_t after_count, cosoc_future** future) {
  return guard([&] { return give(Result<Future>(graph->graph.submit(futures_of(after, after_count))), future); });
}

const char* cosoc_graph_dot(cosoc_graph* graph) {
  graph->dot = graph->graph.dot();
  return graph->dot.c_str();
}

}  // extern "C"

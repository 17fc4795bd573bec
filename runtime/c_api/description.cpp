#include "c_api/description.hpp"

#include <nlohmann/json.hpp>

namespace cosoc {

using nlohmann::ordered_json;

std::string describe_model(const Graph& graph) {
  const auto names = [&graph](const std::vector<std::size_t>& indices) {
    ordered_json result = ordered_json::array();
    for (const std::size_t index : indices) result.push_back(graph.tensors()[index].name);
    return result;
  };
  ordered_json tensors = ordered_json::object();
  for (const auto& info : graph.tensors()) {
    tensors[info.name] = {{"dtype", name_of(info.type.dtype)},
                          {"shape", info.type.shape},
                          {"scale", info.type.scale},
                          {"zero_point", info.type.zero_point},
                          {"constant", info.constant}};
  }
  return ordered_json{{"name", graph.name()},
                      {"inputs", names(graph.inputs())},
                      {"outputs", names(graph.outputs())},
                      {"any_batch", graph.any_batch()},
                      {"tensors", tensors}}
      .dump();
}

std::string describe_report(const RunReport& report) {
  ordered_json tasks = ordered_json::array();
  for (const TaskRecord& task : report.tasks) {
    tasks.push_back({{"name", task.node},
                     {"op", task.operation},
                     {"device", task.device},
                     {"start_ns", task.start.count()},
                     {"end_ns", task.end.count()},
                     {"cycles", task.cycles},
                     {"commands", task.commands},
                     {"reason", task.reason}});
  }
  return ordered_json{{"tasks", tasks},
                      {"start_ns", report.start.count()},
                      {"end_ns", report.end.count()},
                      {"peak_memory_bytes", report.peak_memory_bytes},
                      {"quarantined", report.quarantined}}
      .dump();
}

std::string describe_costs(const std::vector<MeasuredCost>& costs) {
  ordered_json list = ordered_json::array();
  for (const MeasuredCost& cost : costs) {
    list.push_back({{"device", cost.device},
                    {"call", cost.call},
                    {"estimate_ns", cost.estimate.count()},
                    {"measured_ns", cost.measured.count()},
                    {"samples", cost.samples}});
  }
  return list.dump();
}

}  // namespace cosoc

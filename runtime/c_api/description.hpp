/// JSON texts of the C interface.
#pragma once

#include <string>

#include "cosoc/session.hpp"

namespace cosoc {

std::string describe_model(const Graph& graph);
std::string describe_report(const RunReport& report);
std::string describe_costs(const std::vector<MeasuredCost>& costs);

}  // namespace cosoc

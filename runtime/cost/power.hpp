/// What devices take while they work.
#pragma once

#include <string_view>

namespace cosoc {

/// Watts of a kind of device while it runs a task, beyond what it takes idle: estimates for a ZCU102, not measurements.
double power(std::string_view kind);

}  // namespace cosoc

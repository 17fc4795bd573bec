/// What is known of a plan before it runs: upward ranks, and the schedule of the policy HEFT.
#pragma once

#include <span>
#include <vector>

#include "policies/heft.hpp"
#include "scheduler/compute_device.hpp"
#include "scheduler/plan.hpp"

namespace cosoc {

/// Upward ranks of all tasks; each task stands behind those that it follows.
void find_ranks(Plan& plan, std::span<const ComputeDevice> devices);

/// By task of the plan.
std::vector<Placement> schedule(const Plan& plan, std::span<const ComputeDevice> devices);

}  // namespace cosoc

/// Measures what kernels take, so that the first run of a model is placed by it already.
#pragma once

#include "cosoc/session.hpp"

namespace cosoc {

/// Runs kernels of many shapes on every kind of device of a session on the wall clock, which learns from them, see
/// `Session::measured_costs`. Takes some seconds. Fails in simulated time, and when a kernel does.
Status calibrate(Session& session);

}  // namespace cosoc

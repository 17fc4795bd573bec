/// Which SoC a program written for CEDR runs on: it says nothing, so the environment does.
#pragma once

#include "cosoc/session.hpp"

namespace cosoc::cedr {

/// COSOC_MODE, COSOC_SOC, COSOC_POLICY, COSOC_SEED, COSOC_TRACE and COSOC_CPU_CORES, as in `SessionOptions`; the
/// defaults there for those that are not set.
Result<SessionOptions> options_of_environment();

/// COSOC_NAME, or the name of the program.
std::string name_of_application();

}  // namespace cosoc::cedr

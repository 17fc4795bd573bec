/// What the environment asks of an application's session.
#pragma once

#include "cosoc/session.hpp"

namespace cosoc {

/// COSOC_SEED and COSOC_DEADLINE, in seconds, take the place of what is the default. Errors: what is no such number.
Status read_environment(SessionOptions& options);

}  // namespace cosoc

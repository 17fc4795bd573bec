/// The shared object that an application is.
#pragma once

#include <string>

namespace cosoc {

/// Whether loading it runs nothing of it: it has no constructors, and nothing that is not there already comes with it.
/// Only then it may be loaded before it is known that it will be wanted.
bool loads_silently(const std::string& path);

}  // namespace cosoc

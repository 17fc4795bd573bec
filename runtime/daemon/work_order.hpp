/// What the daemon tells a process that waits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cosoc::daemon {

struct WorkOrder {
  enum Kind : std::uint32_t {
    load,     // a shared object that is likely to come next; the process goes on waiting
    shared,   // becomes a shared object
    program,  // becomes a program
  };
  Kind kind = load;
  bool needs_session = false;            // other than the one that is open
  std::uint64_t host_memory = 0;         // bytes of its own that the process may have; 0: any
  std::string folder;                    // where it runs
  std::vector<std::string> environment;  // NAME=value, more than the process has
  std::vector<std::string> arguments;    // the path of the application first
};

/// Fields that end with a zero, which none of them has inside.
std::string encode(const WorkOrder& work);
/// What `encode` made.
WorkOrder decode(std::string_view text);

}  // namespace cosoc::daemon

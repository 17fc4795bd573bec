/// The platform of a session under a daemon.
#pragma once

#include <filesystem>
#include <memory>

#include "daemon/connection.hpp"
#include "device/platform.hpp"

namespace cosoc::daemon {

/// What a session gets from the daemon that it connected to.
struct RemoteSession {
  SoCDescription soc;
  std::string policy;
  std::filesystem::path trace;  // where the daemon wants one; empty: it does not
  std::unique_ptr<WallClockPlatform> platform;
};

/// Takes the memory of the connection for buffers; CPU cores and accelerators are asked for as they are needed.
Result<RemoteSession> make_remote_session(std::shared_ptr<Connection> connection);

}  // namespace cosoc::daemon

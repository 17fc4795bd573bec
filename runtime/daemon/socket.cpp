#include "daemon/socket.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace cosoc::daemon {
namespace {

constexpr std::size_t max_descriptors = 4;
constexpr int backlog = 512;
/// Nesting of a message's JSON; ours needs less.
constexpr int max_depth = 16;

std::string reason() { return std::strerror(errno); }

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.empty() || text.size() >= sizeof(address.sun_path)) {
    return failure("the path of a socket has 1.." + std::to_string(sizeof(address.sun_path) - 1) + " characters, not " +
                   std::to_string(text.size()) + ": '" + text + "'; give a shorter --socket");
  }
  std::memcpy(address.sun_path, text.data(), text.size());
  return address;
}

Status share_with(const std::filesystem::path& path, const std::string& group) {
  if (group.empty()) return {};
  const struct group* entry = ::getgrnam(group.c_str());
  if (entry == nullptr) return failure("there is no group '" + group + "'; give the name of one to --group");
  if (::chown(path.c_str(), static_cast<uid_t>(-1), entry->gr_gid) != 0 || ::chmod(path.c_str(), 0660) != 0) {
    return failure("cannot give " + path.string() + " to group " + group + ": " + reason());
  }
  return {};
}

/// Whether the brackets outside of texts nest at most `max_depth` deep.
bool is_shallow(std::string_view text) {
  int depth = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < text.size() && depth <= max_depth; ++i) {
    const char c = text[i];
    if (c == '"') in_text = !in_text;
    if (in_text) {
      if (c == '\\') ++i;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return depth <= max_depth;
}

}  // namespace

Result<Listener> Listener::open(const std::filesystem::path& path, const std::string& group) {
  const auto address = address_of(path);
  if (!address) return tl::make_unexpected(address.error());
  const std::string lock_path = path.string() + ".lock";
  Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock)
    return failure("cannot open " + lock_path + ": " + reason() + "; give --socket a place that you may write");
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return failure("a daemon runs at " + path.string() +
                   " already; use it, end it with `cosoc stop`, or give --socket");
  }
  // Under the lock, whatever lies there was left by a daemon that is gone; anything but a socket is not ours to remove.
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return failure(path.string() + " is no socket; give another --socket");
    ::unlink(path.c_str());
  }
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failure("cannot make a socket: " + reason());
  const mode_t before = ::umask(0177);
  const int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address));
  const int bind_error = errno;
  ::umask(before);
  if (bound != 0) return failure("cannot make the socket " + path.string() + ": " + std::strerror(bind_error));
  Listener listener(path, std::move(lock), std::move(socket));
  if (auto shared = share_with(path, group); !shared) return tl::make_unexpected(shared.error());
  if (::listen(listener.descriptor(), backlog) != 0)
    return failure("cannot listen at " + path.string() + ": " + reason());
  return listener;
}

Listener::~Listener() {
  if (!socket_) return;
  ::unlink(path_.c_str());
  ::unlink((path_.string() + ".lock").c_str());
}

Descriptor Listener::accept() const {
  return Descriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

Result<Descriptor> connect_to(const std::filesystem::path& path) {
  const auto address = address_of(path);
  if (!address) return tl::make_unexpected(address.error());
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return failure("cannot make a socket: " + reason());
  int result = 0;
  do {
    result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address));
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    const bool none = errno == ENOENT || errno == ECONNREFUSED;
    return failure((none ? "no daemon runs at " : "cannot reach the daemon at ") + path.string() +
                   (none ? "; start one with `cosoc daemon`" : ": " + reason()));
  }
  return socket;
}

Status send_message(int socket, const nlohmann::json& message, std::span<const int> descriptors, bool wait) {
  return send_text(socket, message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), descriptors, wait);
}

Status send_text(int socket, std::string_view text, std::span<const int> descriptors, bool wait) {
  if (text.size() > max_message) {
    return failure("a message to or from the daemon has at most " + std::to_string(max_message) + " bytes, not " +
                   std::to_string(text.size()));
  }
  iovec part{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(max_descriptors * sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return failure("the connection with the daemon broke: " + reason());
  return {};
}

Result<std::optional<Message>> receive_message(int socket) {
  thread_local std::string buffer(max_message, '\0');
  iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(max_descriptors * sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t received = 0;
  do {
    received = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNRESET) return std::optional<Message>{};
    return failure("the connection with the daemon broke: " + reason());
  }
  Message message;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (item->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(item) + i * sizeof(int), sizeof(int));
      message.descriptors.emplace_back(number);
    }
  }
  if (received == 0) return std::optional<Message>{};
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return failure("a message has more than " + std::to_string(max_message) + " bytes, or too many files beside it");
  }
  message.text.assign(buffer.data(), static_cast<std::size_t>(received));
  return std::optional(std::move(message));
}

Result<nlohmann::json> parse_message(std::string_view text) {
  auto object = is_shallow(text) ? nlohmann::json::parse(text, nullptr, false) : nlohmann::json();
  if (!object.is_object()) return failure("a message is one JSON object of at most 16 levels");
  return object;
}

}  // namespace cosoc::daemon

/// Messages over a Unix socket: one JSON object each, with file descriptors beside it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/descriptor.hpp"
#include "device/result.hpp"

namespace cosoc::daemon {

/// Longest message in bytes; longer ones are refused by sender and receiver.
inline constexpr std::size_t max_message = 128 << 10;

struct Message {
  std::string text;
  std::vector<Descriptor> descriptors;
};

/// The address in use by a daemon: its lock is held as long as this lives, and the socket's file goes with it.
class Listener {
 public:
  /// Refuses a path where a daemon runs; replaces a socket that a dead one left. The file is the user's alone, or with
  /// `group` (its name) also that group's.
  static Result<Listener> open(const std::filesystem::path& path, const std::string& group);
  Listener(Listener&& other) noexcept = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  int descriptor() const { return socket_.get(); }
  /// A connection that waits, or none.
  Descriptor accept() const;

 private:
  Listener(std::filesystem::path path, Descriptor lock, Descriptor socket)
      : path_(std::move(path)), lock_(std::move(lock)), socket_(std::move(socket)) {}

  std::filesystem::path path_;
  Descriptor lock_;
  Descriptor socket_;
};

/// Connects to a daemon; when there is none, the error says how to start one.
Result<Descriptor> connect_to(const std::filesystem::path& path);

/// Sends one message. Without `wait` a full socket is an error.
Status send_text(int socket, std::string_view text, std::span<const int> descriptors = {}, bool wait = true);
/// The same with the text of an object.
Status send_message(int socket, const nlohmann::json& message, std::span<const int> descriptors = {}, bool wait = true);
/// Receives one message; nothing when the other side has closed, or when there is none and the socket does not block.
Result<std::optional<Message>> receive_message(int socket);

/// Parses the text of a message to a JSON object.
Result<nlohmann::json> parse_message(std::string_view text);

}  // namespace cosoc::daemon

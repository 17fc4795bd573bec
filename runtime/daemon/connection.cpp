#include "daemon/connection.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>

#include "daemon/futex.hpp"
#include "daemon/types.hpp"

namespace cosoc::daemon {
namespace {

Result<Message> receive_answer(int socket) {
  auto message = receive_message(socket);
  if (!message) return tl::make_unexpected(message.error());
  if (!*message) return failure("the daemon has ended, or has ended this application; `cosoc logs` may say why");
  return std::move(**message);
}

Result<nlohmann::json> read_answer(std::string_view text) {
  auto answer = parse_message(text);
  if (!answer) return answer;
  if (const std::string* error = find_text(*answer, "error")) return failure(*error);
  return answer;
}

std::size_t file_bytes(const Descriptor& file) {
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

}  // namespace

ConnectionOptions Connection::options_of_environment(const std::filesystem::path& socket) {
  const auto value = [](const char* name) {
    const char* text = std::getenv(name);
    return std::string(text == nullptr ? "" : text);
  };
  ConnectionOptions options{.socket = socket};
  if (const std::string name = value("COSOC_NAME"); !name.empty()) options.name = name;
  options.priority = static_cast<std::int32_t>(std::strtol(value("COSOC_PRIORITY").c_str(), nullptr, 10));
  if (const double weight = std::strtod(value("COSOC_WEIGHT").c_str(), nullptr); weight > 0.0) options.weight = weight;
  options.memory_bytes = std::strtoull(value("COSOC_MEMORY").c_str(), nullptr, 10);
  return options;
}

Result<std::shared_ptr<Connection>> Connection::open(const ConnectionOptions& options) {
  auto socket = connect_to(options.socket);
  if (!socket) return tl::make_unexpected(socket.error());
  std::shared_ptr<Connection> connection(new Connection);
  connection->socket_ = std::move(*socket);
  const nlohmann::json hello = {{"type", "hello"},
                                {"protocol", protocol_version},
                                {"name", options.name},
                                {"memory", options.memory_bytes},
                                {"priority", options.priority},
                                {"weight", options.weight},
                                {"waits", options.waits}};
  if (auto sent = send_message(connection->socket_.get(), hello); !sent) return tl::make_unexpected(sent.error());
  auto answer = receive_answer(connection->socket_.get());
  if (!answer) return tl::make_unexpected(answer.error());
  auto welcome = read_answer(answer->text);
  if (!welcome) return tl::make_unexpected(welcome.error());
  connection->welcome_ = std::move(*welcome);
  if (auto mapped = connection->map(std::move(answer->descriptors)); !mapped) {
    return tl::make_unexpected(mapped.error());
  }
  connection->watcher_ = std::thread([raw = connection.get()] { raw->watch(); });
  return connection;
}

Status Connection::map(std::vector<Descriptor> descriptors) {
  if (descriptors.size() != 3) return failure("the daemon gave no shared memory; use both of one version");
  if (file_bytes(descriptors[0]) < sizeof(SharedPage)) return failure("the daemon's page is too small");
  page_ = SharedMapping::of(descriptors[0], sizeof(SharedPage));
  memory_ = SharedMapping::of(descriptors[1], file_bytes(descriptors[1]));
  bell_ = std::move(descriptors[2]);
  if (!page_ || !memory_) return failure("cannot map the memory that the daemon gave");
  if (page().layout != page_layout) return failure("the daemon's page has another layout; use both of one version");
  return {};
}

Connection::~Connection() {
  if (!watcher_.joinable()) return;
  ::shutdown(socket_.get(), SHUT_RDWR);
  watcher_.join();
}

void Connection::watch() {
  // The answers are read by those who asked; here only the end matters.
  pollfd request{.fd = socket_.get(), .events = POLLRDHUP, .revents = 0};
  while (::poll(&request, 1, -1) < 0 && errno == EINTR) {
  }
  page().ended.store(1, std::memory_order_release);
  page().lent.fetch_add(1);
  futex_wake(page().lent);
  for (Mailbox& mailbox : page().mailboxes) futex_wake(mailbox.state);
}

Result<nlohmann::json> Connection::request(const nlohmann::json& message) {
  const std::lock_guard lock(mutex_);
  if (auto sent = send_message(socket_.get(), message); !sent) return tl::make_unexpected(sent.error());
  const auto answer = receive_answer(socket_.get());
  if (!answer) return tl::make_unexpected(answer.error());
  return read_answer(answer->text);
}

void Connection::ring() {
  const std::uint64_t one = 1;
  // It fails only when the counter is full: then it rings already.
  static_cast<void>(!::write(bell_.get(), &one, sizeof(one)));
}

Result<nlohmann::json> ask(const Descriptor& connection, const nlohmann::json& message) {
  if (auto sent = send_message(connection.get(), message); !sent) return tl::make_unexpected(sent.error());
  const auto answer = receive_answer(connection.get());
  if (!answer) return tl::make_unexpected(answer.error());
  return read_answer(answer->text);
}

Result<nlohmann::json> ask(const std::filesystem::path& socket, const nlohmann::json& message) {
  const auto connection = connect_to(socket);
  if (!connection) return tl::make_unexpected(connection.error());
  return ask(*connection, message);
}

}  // namespace cosoc::daemon

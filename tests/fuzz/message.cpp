#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "daemon/connection.hpp"
#include "daemon/server.hpp"
#include "daemon/stepped_platform.hpp"
#include "fuzz/targets.hpp"

namespace fuzz {
namespace {

using namespace cosoc;
using namespace cosoc::daemon;

[[noreturn]] void broken(const std::string& why) {
  std::fprintf(stderr, "fuzz: %s\n", why.c_str());
  std::abort();
}

/// One FFT and one ZIP as functional models.
SoCDescription make_soc() {
  SoCDescription soc;
  soc.board = "sim";
  soc.clock_hz = 300'000'000;
  soc.cpu_cores = 2;
  soc.memory_bytes = 32 << 20;
  const auto add = [&soc](const char* name, const char* kind, std::map<std::string, std::uint32_t> config) {
    AcceleratorDescription accelerator;
    accelerator.name = name;
    accelerator.kind = kind;
    accelerator.memory_ports = {"HP0"};
    accelerator.config = std::move(config);
    soc.accelerators.push_back(std::move(accelerator));
  };
  add("fft0", "fft",
      {{"max_log2", 8},
       {"samples", 1},
       {"number_format", 0},
       {"mantissa_bits", 16},
       {"real_input", 0},
       {"multiply", 0},
       {"memory_ports", 1}});
  add("zip0", "zip", {{"lanes", 2}, {"memory_ports", 1}, {"number_format", 0}});
  return soc;
}

class Daemon {
 public:
  Daemon() : socket_("/tmp/cosoc-fuzz-" + std::to_string(::getpid()) + ".socket") {
    auto platform = make_concurrent_platform(make_soc());
    auto listener = Listener::open(socket_, "");
    if (!platform || !listener) broken("no daemon");
    auto accelerators = Accelerators::over({}, make_soc(), std::move(*platform), std::chrono::seconds(5));
    if (!accelerators) broken(accelerators.error().message);
    ServerOptions options;
    options.socket = socket_;
    options.memory_bytes = 1 << 20;
    auto server = Server::over(options, std::move(*listener), std::move(*accelerators));
    if (!server) broken(server.error().message);
    server_ = std::move(*server);
    thread_ = std::thread([this] { server_->run(); });
  }
  ~Daemon() {
    server_->stop();
    thread_.join();
  }

  const std::filesystem::path& socket() const { return socket_; }

 private:
  std::filesystem::path socket_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

/// A client that says what the bytes tell it.
class Client {
 public:
  explicit Client(const std::filesystem::path& socket) {
    auto connected = connect_to(socket);
    if (!connected) broken(connected.error().message);
    socket_ = std::move(*connected);
    // An answer that never comes, such as that of `wait`, must not hold us.
    const timeval limit{.tv_sec = 0, .tv_usec = 20'000};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }

  void say(std::span<const std::uint8_t> line) {
    if (::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return;
    auto answer = receive_message(socket_.get());
    if (!answer || !*answer || (**answer).descriptors.size() != 3) return;
    page_ = SharedMapping::of((**answer).descriptors[0], sizeof(SharedPage));
    bell_ = std::move((**answer).descriptors[2]);
  }

  /// Overwrites the part of the page where cores are, or that of the mailboxes.
  void scribble(std::span<const std::uint8_t> bytes) {
    if (!page_) return;
    auto& page = *reinterpret_cast<SharedPage*>(page_.bytes().data());
    const std::size_t half = bytes.size() / 2;
    std::memcpy(page_.bytes().data(), bytes.data(), std::min(half, offsetof(SharedPage, mailboxes)));
    std::memcpy(static_cast<void*>(page.mailboxes.data()), bytes.data() + half,
                std::min(bytes.size() - half, sizeof(page.mailboxes)));
    page.mailboxes[0].state.store(static_cast<std::uint32_t>(MailState::posted));
    const std::uint64_t one = 1;
    static_cast<void>(!::write(bell_.get(), &one, sizeof(one)));
  }

 private:
  Descriptor socket_;
  Descriptor bell_;
  SharedMapping page_;
};

}  // namespace

void message(std::span<const std::uint8_t> bytes) {
  static const auto daemon = std::make_unique<Daemon>();
  {
    Client client(daemon->socket());
    while (!bytes.empty()) {
      const auto end = std::ranges::find(bytes, std::uint8_t{'\n'});
      const auto line = bytes.first(static_cast<std::size_t>(end - bytes.begin()));
      // The end of the daemon by request is no finding.
      const std::string_view text(reinterpret_cast<const char*>(line.data()), line.size());
      if (!line.empty() && line[0] == '!') {
        client.scribble(bytes.subspan(1));
        break;
      }
      if (!line.empty() && text.find("stop") == std::string_view::npos && text.find("\\u") == std::string_view::npos) {
        client.say(line);
      }
      bytes = bytes.subspan(std::min(line.size() + 1, bytes.size()));
    }
  }
  const auto state = ask(daemon->socket(), {{"type", "ps"}});
  if (!state) broken("the daemon does not answer: " + state.error().message);
}

}  // namespace fuzz

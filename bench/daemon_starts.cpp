/// From a submission to the start of the application's first task, under the daemon at COSOC_DAEMON, and the same
/// without a daemon's processes that wait: a program that is started and loads the same shared object.
///
///     daemon-starts COUNT APPLICATION.so HOST FILE
///
/// The application appends the time at which its first task starts to FILE, by the monotonic clock. All is one after
/// the other, with a pause between. Prints medians in us, of submissions over one connection after short and long
/// pauses.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/connection.hpp"

namespace {

using Clock = std::chrono::steady_clock;
/// In which the next process comes to wait.
constexpr auto short_pause = std::chrono::milliseconds(4);
/// After which caches and cores of a machine without other work are as if nothing had ever run.
constexpr auto long_pause = std::chrono::milliseconds(20);

int fail(const std::string& message) {
  std::fprintf(stderr, "daemon-starts: %s\n", message.c_str());
  return 1;
}

double median(std::vector<double>& times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

/// Between the calls of `start` and what the application wrote; `start` blocks until it has ended.
std::vector<double> measure(int count, std::chrono::milliseconds pause, const std::string& file,
                            const std::function<bool()>& start) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    ::unlink(file.c_str());
    std::this_thread::sleep_for(pause);
    const auto begin = Clock::now();
    std::int64_t told = 0;
    if (!start() || !(std::ifstream(file) >> told)) return {};
    times.push_back(
        std::chrono::duration<double, std::micro>(Clock::time_point(std::chrono::nanoseconds(told)) - begin).count());
  }
  return times;
}

}  // namespace

int main(int count, char** arguments) {
  const char* socket = std::getenv("COSOC_DAEMON");
  if (count != 5 || socket == nullptr)
    return fail("usage: COSOC_DAEMON=SOCKET daemon-starts COUNT APPLICATION.so HOST FILE");
  const int repeats = std::atoi(arguments[1]);
  const std::string application = arguments[2];
  std::string host = arguments[3];
  const std::string file = arguments[4];
  const nlohmann::json message = {{"type", "submit"}, {"kind", "so"}, {"program", application}, {"arguments", {file}}};
  const auto connection = cosoc::daemon::connect_to(socket);
  if (!connection) return fail(connection.error().message);
  const auto submit = [&] {
    const auto job = cosoc::daemon::ask(*connection, message);
    return job && cosoc::daemon::ask(*connection, {{"type", "wait"}, {"job", job->at("job")}}).has_value();
  };
  auto submitted = measure(repeats, short_pause, file, submit);
  auto rested = measure(repeats, long_pause, file, submit);
  auto started = measure(repeats, long_pause, file, [&] {
    std::vector<std::string> words = {host, application, file};
    std::vector<char*> line = {words[0].data(), words[1].data(), words[2].data(), nullptr};
    pid_t process = 0;
    return ::posix_spawn(&process, host.c_str(), nullptr, nullptr, line.data(), environ) == 0 &&
           ::waitpid(process, nullptr, 0) == process;
  });
  if (submitted.empty() || rested.empty() || started.empty())
    return fail("an application did not start; `cosoc logs` may say why");
  std::printf("%s\n", nlohmann::json{{"submitted", median(submitted)},
                                     {"submitted_after_rest", median(rested)},
                                     {"started", median(started)}}
                          .dump()
                          .c_str());
}

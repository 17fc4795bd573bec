/// The part of the jobs that is about processes: their beginning, limits and end.
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "daemon/jobs.hpp"

namespace cosoc::daemon {
namespace {

/// Between two looks at the logs of what runs.
constexpr auto log_period = std::chrono::milliseconds(200);

std::string describe_end(int status, bool overdue, double limit) {
  if (overdue) return "was ended after its time limit of " + std::to_string(limit) + " s";
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return "was ended by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  }
  const int code = WEXITSTATUS(status);
  return code == 0 ? "" : "ended with status " + std::to_string(code);
}

}  // namespace

Status Jobs::start_zygote() {
  auto zygote = Zygote::start(options_.zygote, socket_, options_.ready, loop_,
                              [this](const ZygoteReport& report) { handle(report); });
  if (!zygote) return tl::make_unexpected(zygote.error());
  zygote_ = std::move(*zygote);
  return {};
}

bool Jobs::begin(Job& job) {
  const bool bundle = job.spec.kind == "bundle";
  std::vector<std::string> arguments = job.spec.arguments;
  if (bundle) arguments.insert(arguments.begin(), job.spec.program);
  const std::uint64_t instance = last_instance_ + 1;
  const nlohmann::json work = {{"instance", instance},
                               {"shared", job.spec.kind == "so"},
                               {"program", bundle ? options_.runner.string() : job.spec.program},
                               {"arguments", arguments},
                               {"folder", job.spec.folder},
                               {"log", logs_.path_of(job.id).string()},
                               {"name", job.spec.name},
                               {"priority", job.spec.priority},
                               {"weight", job.spec.weight},
                               {"memory", job.spec.memory},
                               {"host_memory", job.spec.host_memory}};
  if (!zygote_->become(work)) {
    // Its queue is full: the next report makes room.
    return false;
  }
  last_instance_ = instance;
  instances_[instance] = {.job = job.id, .number = ++job.begun};
  ++job.running;
  return true;
}

void Jobs::handle(const ZygoteReport& report) {
  switch (report.kind) {
    case ZygoteReport::started:
      return begun(report);
    case ZygoteReport::ended:
      return ended(report);
    case ZygoteReport::lost:
      return lose_zygote();
    default:
      return;
  }
}

void Jobs::begun(const ZygoteReport& report) {
  const auto found = instances_.find(report.instance);
  if (found != instances_.end()) started_(report.process, jobs_.at(found->second.job).spec);
  zygote_->fork_one();
  if (found == instances_.end()) return;
  found->second.process = report.process;
  by_process_[report.process] = report.instance;
  const Job& job = jobs_.at(found->second.job);
  watch_logs();
  if (job.ending) ::kill(-report.process, SIGKILL);
  if (job.spec.time_limit == 0.0) return;
  const std::chrono::duration<double> limit(job.spec.time_limit);
  found->second.limit = Clock::now() + std::chrono::duration_cast<Clock::duration>(limit);
  watch_limits();
}

/// Ends what is overdue, and comes back for the next one: one timer serves all.
void Jobs::watch_limits() {
  const Instant now = Clock::now();
  Instant next = Instant::max();
  for (auto& [id, instance] : instances_) {
    if (instance.limit > now) {
      next = std::min(next, instance.limit);
    } else if (!instance.overdue) {
      instance.overdue = true;
      ::kill(-instance.process, SIGKILL);
    }
  }
  if (next >= next_watch_) return;
  next_watch_ = next;
  loop_.at(next, [this] {
    next_watch_ = Instant::max();
    watch_limits();
  });
}

/// Keeps logs short while something runs that may print.
void Jobs::watch_logs() {
  if (watches_logs_ || by_process_.empty()) return;
  watches_logs_ = true;
  loop_.at(Clock::now() + log_period, [this] {
    watches_logs_ = false;
    for (const auto& [process, instance] : by_process_) logs_.trim(instances_.at(instance).job);
    watch_logs();
  });
}

void Jobs::ended(const ZygoteReport& report) {
  const auto found = by_process_.find(report.process);
  if (found == by_process_.end()) {
    // One that waited for work died; not at once again, in case all do.
    loop_.at(Clock::now() + std::chrono::seconds(1), [this] {
      if (zygote_) zygote_->fork_one();
    });
    return;
  }
  // Processes that the application left behind.
  ::kill(-report.process, SIGKILL);
  const std::uint64_t id = found->second;
  const Instance& instance = instances_.at(id);
  const double limit = jobs_.at(instance.job).spec.time_limit;
  finish(id, describe_end(report.status, instance.overdue, limit));
  pump();
}

void Jobs::finish(std::uint64_t id, const std::string& failure) {
  const auto found = instances_.find(id);
  const Instance instance = found->second;
  instances_.erase(found);
  by_process_.erase(instance.process);
  Job& job = jobs_.at(instance.job);
  --job.running;
  logs_.trim(job.id);
  if (failure.empty()) {
    ++job.done;
  } else {
    ++job.failed;
    if (job.report.empty()) {
      job.report = "instance " + std::to_string(instance.number) + " (process " + std::to_string(instance.process) +
                   ") " + failure;
    }
  }
  settle(job);
}

/// The zygote was killed: what it had started has nobody to tell its end, so it ends here.
void Jobs::lose_zygote() {
  loop_.post([this] {
    zygote_.reset();
    std::vector<std::uint64_t> lost;
    for (const auto& [id, instance] : instances_) {
      if (instance.process != 0) ::kill(-instance.process, SIGKILL);
      lost.push_back(id);
    }
    for (const std::uint64_t id : lost) finish(id, "was ended because the daemon's process that starts others died");
    if (start_zygote()) pump();
  });
}

}  // namespace cosoc::daemon

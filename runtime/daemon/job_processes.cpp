/// The part of the jobs that is about processes: their beginning, limits and end.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "daemon/jobs.hpp"

namespace cosoc::daemon {
namespace {

/// Between two looks at the logs of what runs.
constexpr auto log_period = std::chrono::milliseconds(200);

std::string describe_end(int status, const std::string& verdict) {
  if (!verdict.empty()) return "was ended " + verdict;
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

/// False: no process waits, and the report of the next one comes back here.
bool Jobs::begin(Job& job) {
  const JobSpec& spec = job.spec;
  const bool bundle = spec.kind == "bundle";
  WorkOrder work = {.kind = spec.kind == "so" ? WorkOrder::shared : WorkOrder::program,
                    .needs_session = spec.memory != 0 || spec.seed,
                    .host_memory = spec.host_memory,
                    .folder = spec.folder,
                    // The rest is for programs that connect themselves; the open session has it from `started_`.
                    .environment = {"COSOC_NAME=" + spec.name, "COSOC_PRIORITY=" + std::to_string(spec.priority),
                                    "COSOC_WEIGHT=" + nlohmann::json(spec.weight).dump()},
                    .arguments = {bundle ? options_.runner.string() : spec.program}};
  if (spec.memory != 0) work.environment.push_back("COSOC_MEMORY=" + std::to_string(spec.memory));
  if (spec.deadline != 0.0) work.environment.push_back("COSOC_DEADLINE=" + nlohmann::json(spec.deadline).dump());
  if (spec.seed) work.environment.push_back("COSOC_SEED=" + std::to_string(*spec.seed));
  if (bundle) work.arguments.push_back(spec.program);
  work.arguments.insert(work.arguments.end(), spec.arguments.begin(), spec.arguments.end());
  const int process = zygote_->become(work, logs_.open(job.id), [&](int chosen) { started_(chosen, spec); });
  if (process == 0) return false;
  Instance& instance = instances_[++last_instance_];
  instance = {.job = job.id, .number = ++job.begun, .process = process, .verdict = {}};
  by_process_[process] = last_instance_;
  ++job.running;
  watch_logs();
  if (spec.time_limit != 0.0) limit_time(instance, spec.time_limit);
  return true;
}

void Jobs::limit_time(Instance& instance, double seconds) {
  instance.limit = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  watch_limits();
}

void Jobs::handle(const ZygoteReport& report) {
  switch (report.kind) {
    case ZygoteReport::waits:
      logs_.prepare(last_job_ + 1);
      return pump();
    case ZygoteReport::ended:
      return ended(report);
    case ZygoteReport::lost:
      return lose_zygote();
    default:
      return;
  }
}

/// Ends what is overdue, and comes back for the next one: one timer serves all.
void Jobs::watch_limits() {
  const Instant now = Clock::now();
  Instant next = Instant::max();
  for (auto& [id, instance] : instances_) {
    if (instance.limit > now) {
      next = std::min(next, instance.limit);
    } else {
      const double limit = jobs_.at(instance.job).spec.time_limit;
      condemn(instance, "after its time limit of " + std::to_string(limit) + " s");
    }
  }
  if (next >= next_watch_) return;
  next_watch_ = next;
  loop_.at(next, [this] {
    next_watch_ = Instant::max();
    watch_limits();
  });
}

void Jobs::condemn(Instance& instance, const std::string& reason) {
  if (!instance.verdict.empty()) return;
  instance.verdict = reason;
  ::kill(-instance.process, SIGKILL);
  const std::string line = "cosoc: instance " + std::to_string(instance.number) + " was ended " + reason + "\n";
  static_cast<void>(!::write(logs_.open(instance.job).get(), line.data(), line.size()));
}

void Jobs::condemn(int process, const std::string& reason) {
  if (const auto instance = instance_of(process)) condemn(instances_.at(*instance), reason);
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
    if (zygote_->forget(report.process)) return;
    loop_.at(Clock::now() + std::chrono::seconds(1), [this] {
      if (zygote_) zygote_->fork_one();
    });
    return;
  }
  // Processes that the application left behind.
  ::kill(-report.process, SIGKILL);
  const std::uint64_t id = found->second;
  const Instance& instance = instances_.at(id);
  finish(id, describe_end(report.status, instance.verdict));
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
      ::kill(-instance.process, SIGKILL);
      lost.push_back(id);
    }
    for (const std::uint64_t id : lost) finish(id, "was ended because the daemon's process that starts others died");
    if (start_zygote()) pump();
  });
}

}  // namespace cosoc::daemon

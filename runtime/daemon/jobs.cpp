#include "daemon/jobs.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>

#include "daemon/types.hpp"

namespace cosoc::daemon {
namespace {

/// Jobs that are remembered after their end; the oldest is forgotten with its log.
constexpr std::size_t max_ended = 1000;
constexpr std::size_t max_jobs = 100'000;
/// Of one answer.
constexpr std::size_t log_part = 16 << 10;

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

Jobs::Jobs(JobOptions options, std::filesystem::path socket, EventLoop& loop)
    : options_(std::move(options)), socket_(std::move(socket)), loop_(loop) {}

Result<std::unique_ptr<Jobs>> Jobs::start(const JobOptions& options, const std::filesystem::path& socket,
                                          EventLoop& loop) {
  std::unique_ptr<Jobs> jobs(new Jobs(options, socket, loop));
  if (options.zygote.empty()) return jobs;
  // What an earlier daemon at this address left.
  std::error_code error;
  std::filesystem::remove_all(options.logs, error);
  std::filesystem::create_directories(options.logs, error);
  if (error) return failure("cannot make " + options.logs.string() + ": " + error.message());
  std::filesystem::permissions(options.logs, std::filesystem::perms::owner_all, error);
  if (auto started = jobs->start_zygote(); !started) return tl::make_unexpected(started.error());
  return jobs;
}

Status Jobs::start_zygote() {
  auto zygote = Zygote::start(options_.zygote, socket_, options_.ready, loop_,
                              [this](const ZygoteReport& report) { handle(report); });
  if (!zygote) return tl::make_unexpected(zygote.error());
  zygote_ = std::move(*zygote);
  return {};
}

Jobs::~Jobs() {
  for (const auto& [process, instance] : by_process_) ::kill(-process, SIGKILL);
  zygote_.reset();
}

Result<nlohmann::json> Jobs::submit(const nlohmann::json& message) {
  auto spec = read_job(message);
  if (!spec) return tl::make_unexpected(spec.error());
  if (!zygote_) return failure("this daemon starts no applications");
  if (open_ >= max_jobs) return failure("the daemon has " + std::to_string(open_) + " jobs; wait for some of them");
  Job& job = jobs_[++last_job_];
  job.id = last_job_;
  job.spec = std::move(*spec);
  job.random.seed(job.id);
  if (job.spec.time_limit == 0.0) job.spec.time_limit = options_.time_limit;
  ++open_;
  arrive(job.id);
  return nlohmann::json{{"job", job.id}};
}

/// Instances of a job that come now; the next one comes by the clock.
void Jobs::arrive(std::uint64_t id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.ending) return;
  Job& job = found->second;
  const bool at_once = job.spec.period == 0.0 && job.spec.rate == 0.0;
  job.arrived = at_once ? job.spec.count : job.arrived + 1;
  due_.emplace(-job.spec.priority, id);
  if (job.arrived < job.spec.count) {
    double wait = job.spec.period;
    if (job.spec.rate > 0.0) wait = std::exponential_distribution<double>(job.spec.rate)(job.random);
    const auto pause = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(wait));
    loop_.at(Clock::now() + pause, [this, id] { arrive(id); });
  }
  pump();
}

/// Starts what may start.
void Jobs::pump() {
  while (zygote_ && !due_.empty() && instances_.size() < options_.processes) {
    Job& job = jobs_.at(due_.begin()->second);
    if (job.begun == job.arrived) {
      due_.erase(due_.begin());
    } else if (!begin(job)) {
      return;
    }
  }
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
                               {"log", log_of(job.id).string()},
                               {"name", job.spec.name},
                               {"priority", job.spec.priority},
                               {"weight", job.spec.weight},
                               {"memory", job.spec.memory}};
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
      return started(report);
    case ZygoteReport::ended:
      return ended(report);
    case ZygoteReport::lost:
      return lose_zygote();
    default:
      return;
  }
}

void Jobs::started(const ZygoteReport& report) {
  zygote_->fork_one();
  const auto found = instances_.find(report.instance);
  if (found == instances_.end()) return;
  found->second.process = report.process;
  by_process_[report.process] = report.instance;
  const Job& job = jobs_.at(found->second.job);
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

/// Tells those who wait when the job has ended.
void Jobs::settle(Job& job) {
  if (!job.ended()) return;
  --open_;
  const std::uint64_t id = job.id;
  std::list<Waiting> told;
  for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
    const auto next = std::next(waiting);
    if (waiting->job == id || (waiting->job == 0 && open_ == 0)) told.splice(told.end(), waiting_, waiting);
    waiting = next;
  }
  for (const Waiting& waiting : told)
    waiting.answer(waiting.job == 0 ? nlohmann::json{{"jobs", overview()}} : describe(job));
  if (jobs_.size() - open_ <= max_ended) return;
  const auto oldest = std::ranges::find_if(jobs_, [](const auto& item) { return item.second.ended(); });
  std::error_code ignored;
  std::filesystem::remove(log_of(oldest->first), ignored);
  jobs_.erase(oldest);
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

Result<std::uint64_t> Jobs::find(const nlohmann::json& message) const {
  const auto id = find_number(message, "job");
  if (id && jobs_.contains(*id)) return *id;
  const auto named = message.find("job");
  return failure("there is no job " + (named == message.end() ? std::string("without a number") : named->dump()) +
                 "; `cosoc ps` lists them");
}

Result<nlohmann::json> Jobs::end(const nlohmann::json& message) {
  const auto id = find(message);
  if (!id) return tl::make_unexpected(id.error());
  Job& job = jobs_.at(*id);
  if (job.ended() || job.ending) return describe(job);
  job.ending = true;
  job.never = job.spec.count - job.begun;
  if (job.report.empty()) job.report = "was ended on request";
  due_.erase({-job.spec.priority, *id});
  for (const auto& [number, instance] : instances_) {
    if (instance.job == *id && instance.process != 0) ::kill(-instance.process, SIGKILL);
  }
  nlohmann::json answer = describe(job);
  settle(job);
  return answer;
}

void Jobs::wait(const nlohmann::json& message, std::uint64_t peer, Answer answer) {
  // A connection waits for one thing at a time.
  forget_waiting(peer);
  if (!message.contains("job")) {
    if (open_ == 0) return answer(nlohmann::json{{"jobs", overview()}});
    waiting_.push_back({peer, 0, std::move(answer)});
    return;
  }
  const auto id = find(message);
  if (!id) return answer(tl::make_unexpected(id.error()));
  const Job& job = jobs_.at(*id);
  if (job.ended()) return answer(describe(job));
  waiting_.push_back({peer, *id, std::move(answer)});
}

void Jobs::forget_waiting(std::uint64_t peer) {
  waiting_.remove_if([peer](const Waiting& waiting) { return waiting.peer == peer; });
}

std::filesystem::path Jobs::log_of(std::uint64_t job) const {
  return options_.logs / ("job-" + std::to_string(job) + ".log");
}

Result<nlohmann::json> Jobs::read_log(const nlohmann::json& message) const {
  const auto id = find(message);
  if (!id) return tl::make_unexpected(id.error());
  const std::uint64_t offset = find_number(message, "offset").value_or(0);
  std::string text(log_part, '\0');
  std::ifstream file(log_of(*id), std::ios::binary);
  file.seekg(static_cast<std::streamoff>(std::min<std::uint64_t>(offset, INT64_MAX)));
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(file.gcount() > 0 ? static_cast<std::size_t>(file.gcount()) : 0);
  return nlohmann::json{{"text", text}, {"next", offset + text.size()}, {"ended", jobs_.at(*id).ended()}};
}

nlohmann::json Jobs::describe(const Job& job) const {
  return {{"job", job.id},
          {"name", job.spec.name},
          {"priority", job.spec.priority},
          {"count", job.spec.count},
          {"waiting", job.spec.count - job.begun - job.never},
          {"running", job.running},
          {"done", job.done},
          {"failed", job.failed + job.never},
          {"ended", job.ended()},
          {"report", job.report}};
}

nlohmann::json Jobs::overview() const {
  // The newest ones when there are very many: an answer has its limit.
  constexpr std::size_t most = 200;
  nlohmann::json list = nlohmann::json::array();
  const std::size_t skipped = jobs_.size() > most ? jobs_.size() - most : 0;
  for (auto job = std::next(jobs_.begin(), static_cast<std::ptrdiff_t>(skipped)); job != jobs_.end(); ++job) {
    list.push_back(describe(job->second));
  }
  return list;
}

std::uint64_t Jobs::job_of(int process) const {
  // An instance leads a session of its own, in which the processes are that it starts.
  for (const int candidate : {process, static_cast<int>(::getsid(process))}) {
    const auto found = by_process_.find(candidate);
    if (found != by_process_.end()) return instances_.at(found->second).job;
  }
  return 0;
}

}  // namespace cosoc::daemon

#include "daemon/jobs.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "daemon/types.hpp"

namespace cosoc::daemon {
namespace {

/// Jobs that are remembered after their end; the oldest is forgotten with its log.
constexpr std::size_t max_ended = 1000;
constexpr std::size_t max_jobs = 100'000;

}  // namespace

Jobs::Jobs(JobOptions options, std::filesystem::path socket, EventLoop& loop, Started started)
    : options_(std::move(options)),
      socket_(std::move(socket)),
      loop_(loop),
      started_(std::move(started)),
      logs_(options_.logs, options_.log_limit) {}

Result<std::unique_ptr<Jobs>> Jobs::start(const JobOptions& options, const std::filesystem::path& socket,
                                          EventLoop& loop, Started started) {
  std::unique_ptr<Jobs> jobs(new Jobs(options, socket, loop, std::move(started)));
  if (options.zygote.empty()) return jobs;
  if (auto cleared = jobs->logs_.clear(); !cleared) return tl::make_unexpected(cleared.error());
  if (auto started = jobs->start_zygote(); !started) return tl::make_unexpected(started.error());
  return jobs;
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
  if (job.spec.rate > 0.0) job.random = std::make_unique<std::mt19937_64>(job.id);
  if (job.spec.time_limit == 0.0) job.spec.time_limit = options_.time_limit;
  if (job.spec.host_memory == 0) job.spec.host_memory = options_.host_memory;
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
    if (job.random) wait = std::exponential_distribution<double>(job.spec.rate)(*job.random);
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
  logs_.forget(oldest->first);
  jobs_.erase(oldest);
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
    if (instance.job == *id) ::kill(-instance.process, SIGKILL);
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

Result<nlohmann::json> Jobs::read_log(const nlohmann::json& message) const {
  const auto id = find(message);
  if (!id) return tl::make_unexpected(id.error());
  nlohmann::json part = logs_.read(*id, find_number(message, "offset").value_or(0));
  part["ended"] = jobs_.at(*id).ended();
  return part;
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

std::optional<std::uint64_t> Jobs::instance_of(int process) const {
  // An instance leads a session of its own, in which the processes are that it starts.
  for (const int candidate : {process, static_cast<int>(::getsid(process))}) {
    const auto found = by_process_.find(candidate);
    if (found != by_process_.end()) return found->second;
  }
  return std::nullopt;
}

std::uint64_t Jobs::job_of(int process) const {
  const auto instance = instance_of(process);
  return instance ? instances_.at(*instance).job : 0;
}

}  // namespace cosoc::daemon

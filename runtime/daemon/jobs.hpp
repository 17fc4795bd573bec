/// Applications that the daemon starts: a queue of submissions, a bounded number of processes.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>

#include "daemon/job_logs.hpp"
#include "daemon/zygote.hpp"

namespace cosoc::daemon {

struct JobOptions {
  std::filesystem::path zygote = {};  // the program
  std::filesystem::path runner = {};  // the program that runs a bundle
  std::filesystem::path logs = {};    // directory of what applications print
  std::uint32_t ready = 2;            // processes that wait for an application
  std::uint32_t processes = 6;        // of applications at a time
  double time_limit = 0.0;            // of any instance in s; 0: none
  std::uint64_t host_memory = 0;      // bytes of its own that a process may have; 0: any
  std::uint64_t log_limit = 0;        // bytes that are kept of what a job prints; 0: all
};

/// What was submitted.
struct JobSpec {
  std::string kind;  // so, program or bundle
  std::string name;
  std::string program;
  std::vector<std::string> arguments;
  std::string folder;  // where it runs
  std::uint64_t count = 1;
  double period = 0.0;  // s between arrivals
  double rate = 0.0;    // of Poisson arrivals, 1/s
  std::int64_t priority = 0;
  double weight = 1.0;
  std::uint64_t memory = 0;
  std::uint64_t host_memory = 0;
  double time_limit = 0.0;
  double deadline = 0.0;              // of each of its calls and runs in s; 0: none
  std::optional<std::uint64_t> seed;  // of its policy
};

/// Checks what anybody sent, and that the application is there.
Result<JobSpec> read_job(const nlohmann::json& message);

class Jobs {
 public:
  using Answer = std::function<void(const Result<nlohmann::json>&)>;
  /// A process is about to become an instance of this job.
  using Started = std::function<void(int process, const JobSpec& job)>;

  static Result<std::unique_ptr<Jobs>> start(const JobOptions& options, const std::filesystem::path& socket,
                                             EventLoop& loop, Started started);
  /// Ends all processes.
  ~Jobs();

  /// A submission is being read: see `Zygote::alert`.
  void alert() {
    if (zygote_) zygote_->alert();
  }
  Result<nlohmann::json> submit(const nlohmann::json& message);
  /// Ends one job: what runs of it is killed, the rest does not start.
  Result<nlohmann::json> end(const nlohmann::json& message);
  /// Answers when the job, or every job, has ended.
  void wait(const nlohmann::json& message, std::uint64_t peer, Answer answer);
  /// The peer is gone.
  void forget_waiting(std::uint64_t peer);
  /// A part of what the instances of a job printed.
  Result<nlohmann::json> read_log(const nlohmann::json& message) const;
  nlohmann::json overview() const;
  /// Ends the instance that a process belongs to, if it is one's: it "was ended" for this reason, as reports and logs
  /// say.
  void condemn(int process, const std::string& reason);
  /// Whose process this is; 0: nobody's.
  std::uint64_t job_of(int process) const;

 private:
  struct Job {
    std::uint64_t id = 0;
    JobSpec spec;
    std::uint64_t arrived = 0;  // instances that may start
    std::uint64_t begun = 0;    // and that were handed over to a process
    std::uint64_t running = 0;
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    std::uint64_t never = 0;  // that will not start
    bool ending = false;
    std::string report;                       // of the first failure
    std::unique_ptr<std::mt19937_64> random;  // of Poisson arrivals

    bool ended() const { return done + failed + never == spec.count; }
  };
  struct Instance {
    std::uint64_t job = 0;
    std::uint64_t number = 0;  // in the job
    int process = 0;
    std::string verdict;  // why the daemon ends it
    Instant limit = Instant::max();
  };
  struct Waiting {
    std::uint64_t peer;
    std::uint64_t job;  // 0: all
    Answer answer;
  };

  Jobs(JobOptions options, std::filesystem::path socket, EventLoop& loop, Started started);
  Status start_zygote();
  void arrive(std::uint64_t id);
  void pump();
  bool begin(Job& job);
  void handle(const ZygoteReport& report);
  void limit_time(Instance& instance, double seconds);
  void ended(const ZygoteReport& report);
  void watch_limits();
  void condemn(Instance& instance, const std::string& reason);
  std::optional<std::uint64_t> instance_of(int process) const;
  void watch_logs();
  void finish(std::uint64_t instance, const std::string& failure);
  void settle(Job& job);
  void lose_zygote();
  Result<std::uint64_t> find(const nlohmann::json& message) const;
  nlohmann::json describe(const Job& job) const;

  JobOptions options_;
  std::filesystem::path socket_;
  EventLoop& loop_;
  Started started_;
  JobLogs logs_;
  std::map<std::uint64_t, Job> jobs_;
  std::set<std::pair<std::int64_t, std::uint64_t>> due_;  // (-priority, id) of jobs with instances to start
  std::map<std::uint64_t, Instance> instances_;           // handed over and not ended
  std::map<int, std::uint64_t> by_process_;
  std::list<Waiting> waiting_;
  Instant next_watch_ = Instant::max();
  bool watches_logs_ = false;
  std::size_t open_ = 0;  // jobs that have not ended
  std::uint64_t last_job_ = 0;
  std::uint64_t last_instance_ = 0;
  std::unique_ptr<Zygote> zygote_;
};

}  // namespace cosoc::daemon

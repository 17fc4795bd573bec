#include <sys/stat.h>
#include <unistd.h>

#include <cmath>

#include "daemon/jobs.hpp"
#include "daemon/types.hpp"

namespace cosoc::daemon {
namespace {

constexpr std::uint64_t max_count = 10'000'000;
constexpr std::size_t max_arguments = 1024;
/// Of arguments and paths together: a process gets them in one message, beside the path of the runner and numbers.
constexpr std::size_t max_text = max_message - 8192;
constexpr double longest = 1e7;

/// A number of at least 0 that is absent when 0.
Status read_number(const nlohmann::json& message, const char* key, double& value) {
  const auto found = message.find(key);
  if (found == message.end()) return {};
  const double number = found->is_number() ? found->get<double>() : -1.0;
  if (!std::isfinite(number) || number < 0.0 || number > longest) {
    return failure(std::string(key) + " is a number of 0.." + std::to_string(longest) + ", not " + found->dump());
  }
  value = number;
  return {};
}

Status read_arguments(const nlohmann::json& message, std::vector<std::string>& arguments) {
  const auto found = message.find("arguments");
  if (found == message.end()) return {};
  if (!found->is_array() || found->size() > max_arguments) {
    return failure("arguments are a list of at most " + std::to_string(max_arguments) + " texts");
  }
  for (const auto& item : *found) {
    const auto* text = item.get_ptr<const std::string*>();
    if (text == nullptr || text->find('\0') != std::string::npos) return failure("an argument is a text without zeros");
    arguments.push_back(*text);
  }
  return {};
}

Status check_length(const JobSpec& job) {
  std::size_t bytes = job.program.size() + job.folder.size();
  for (const std::string& argument : job.arguments) bytes += argument.size() + 1;
  if (bytes <= max_text) return {};
  return failure("program, folder and arguments have at most " + std::to_string(max_text) + " bytes together, not " +
                 std::to_string(bytes) + "; put what is longer into a file");
}

bool is_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

Status check_program(const JobSpec& job) {
  if (!job.program.starts_with('/') || job.program.find('\0') != std::string::npos) {
    return failure("the application needs an absolute path, not '" + job.program + "'");
  }
  if (job.kind == "bundle") {
    if (is_file(job.program + "/graph.json")) return {};
    return failure(job.program + " is no bundle: there is no graph.json in it");
  }
  if (!is_file(job.program)) return failure("there is no application " + job.program);
  const bool shared = job.kind == "so";
  if (::access(job.program.c_str(), shared ? R_OK : X_OK) == 0) return {};
  return failure(job.program + (shared ? " cannot be read" : " cannot be executed"));
}

}  // namespace

Result<JobSpec> read_job(const nlohmann::json& message) {
  JobSpec job;
  const std::string* kind = find_text(message, "kind");
  const std::string* program = find_text(message, "program");
  if (kind == nullptr || (*kind != "so" && *kind != "program" && *kind != "bundle") || program == nullptr) {
    return failure("a job needs a kind (so, program or bundle) and a program");
  }
  job.kind = *kind;
  job.program = *program;
  job.name = job.program.substr(job.program.rfind('/') + 1).substr(0, 64);
  job.folder = "/";
  if (const std::string* folder = find_text(message, "folder")) job.folder = *folder;
  if (job.folder.find('\0') != std::string::npos) return failure("a folder is a path without zeros");
  job.count = message.contains("count") ? find_number(message, "count").value_or(0) : 1;
  if (job.count < 1 || job.count > max_count) {
    return failure("a job has 1.." + std::to_string(max_count) + " instances");
  }
  job.memory = find_number(message, "memory").value_or(0);
  job.host_memory = find_number(message, "host_memory").value_or(0);
  job.seed = find_number(message, "seed");
  if (const auto priority = message.find("priority"); priority != message.end()) {
    if (!priority->is_number_integer() || std::abs(priority->get<double>()) > 1000) {
      return failure("a priority is a number of -1000..1000, not " + priority->dump());
    }
    job.priority = priority->get<std::int64_t>();
  }
  Status good = read_arguments(message, job.arguments);
  if (good) good = check_length(job);
  if (good) good = read_number(message, "period", job.period);
  if (good) good = read_number(message, "rate", job.rate);
  if (good) good = read_number(message, "weight", job.weight);
  if (good) good = read_number(message, "time_limit", job.time_limit);
  if (good) good = read_number(message, "deadline", job.deadline);
  if (good && job.period > 0.0 && job.rate > 0.0) good = failure("a job has a period or a rate, not both");
  if (good && job.weight <= 0.0) good = failure("a weight is above 0");
  if (good) good = check_program(job);
  if (!good) return tl::make_unexpected(good.error());
  return job;
}

}  // namespace cosoc::daemon

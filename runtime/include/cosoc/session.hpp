/// A session runs models on one SoC: its CPU cores and accelerators under one scheduler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cosoc/graph.hpp"
#include "device/platform.hpp"

namespace cosoc {

/// What lies under the scheduler.
enum class Mode {
  cpu,         // CPU cores of this machine, wall clock
  rtl,         // the SoC as one Verilated model, simulated time
  functional,  // bit-exact models of the accelerators with modelled durations, simulated time
  model,       // durations only, no values: outputs are 0, simulated time
  board,       // accelerators through Linux UIO, wall clock
};

/// The mode with this name, or an error that lists them.
Result<Mode> mode_of(std::string_view name);

struct SessionOptions {
  Mode mode = Mode::cpu;
  /// `soc.json`, or the directory that holds it; every mode but `cpu` needs it.
  std::filesystem::path soc = {};
  /// A name of `policy_names()`, or the path of a shared object with a policy, see cosoc/policy.h.
  std::string policy = "EFT";
  /// Of policies that draw random numbers.
  std::uint64_t seed = 1;
  /// Of models and clients that have none of their own, see `ModelOptions::deadline`.
  std::optional<Time> deadline = {};
  /// File for the trace; none when empty. The Perfetto UI opens it.
  std::filesystem::path trace = {};
  /// File of measured costs: read at the start if it exists, and on the wall clock written at the end with what was
  /// learned. Nothing is read or written when it is empty, unless the environment variable COSOC_COSTS names a file.
  std::filesystem::path costs = {};
  /// Device memory of mode `cpu`; the other modes take it from the SoC.
  std::size_t memory_bytes = std::size_t{256} << 20;
  /// CPU cores to schedule on. Default: the SoC's, or in mode `cpu` those of this machine.
  std::optional<std::uint32_t> cpu_cores = {};
  /// Large convolutions are split over several accelerators where that is expected to pay.
  bool shard = true;
  /// Gives every intermediate tensor memory of its own, so that `Model::tensor` can read it after a run.
  bool keep_tensors = false;
  /// Socket of a daemon that shares its SoC with this process, see docs/daemon.md; the environment's COSOC_DAEMON when
  /// empty, and no daemon when that is empty too. Mode, SoC, cores and memory are the daemon's then.
  std::filesystem::path daemon = {};
  /// Least time that a task on an accelerator gets before it counts as hung; it always gets 100 times its estimate.
  /// Default: 10 ms of simulated time, 2 s on the wall clock.
  std::optional<Time> minimum_deadline = {};
};

/// What happened to one node in a run. Times count from the opening of the session.
struct TaskRecord {
  std::string node;
  std::string operation;
  std::string device;  // of a layer that was split: c2d0+c2d1
  Time start{};
  Time end{};
  std::uint64_t cycles = 0;    // accelerator clock cycles of its commands; 0 on a CPU
  std::uint64_t commands = 0;  // accelerator commands; 0 on a CPU
  std::string reason;          // why an accelerator that the node lists did not run it, or what went wrong there
};

/// What happened in the last run of a model.
struct RunReport {
  std::vector<TaskRecord> tasks;  // in the order of the graph's nodes
  Time start{};
  Time end{};
  std::size_t peak_memory_bytes = 0;     // of device memory, since the session opened
  std::vector<std::string> quarantined;  // devices that failed and get no more work, each with the reason
};

enum class DeviceCondition {
  working,
  quarantined,  // it failed; `reason` says how
  removed,      // by `Session::remove_device`; it may still be finishing a task
};

/// A device of a session, as it is now.
struct DeviceStatus {
  std::string name;  // c2d0
  std::string kind;  // c2d
  DeviceCondition condition = DeviceCondition::working;
  std::string reason;
};

/// One call on one kind of device, estimated and measured.
struct MeasuredCost {
  std::string device;  // kind, and of an accelerator the hash of its parameters
  std::string call;    // operation, attributes, types
  Time estimate{};
  Time measured{};  // the median of the last samples
  std::uint64_t samples = 0;
};

/// How a model competes with others of its session.
struct ModelOptions {
  /// Ready tasks of higher priority are placed and taken first.
  std::int32_t priority = 0;
  /// Share of the SoC under the policy FAIR; above 0.
  double weight = 1.0;
  /// When a run should have ended, from its submission; the policy ENERGY saves energy as long as that holds.
  std::optional<Time> deadline = {};
};

/// How the calls of a client compete with others of its session.
struct ClientOptions {
  std::string name = "client";  // in traces and messages
  /// As those of `ModelOptions`; the deadline is that of each call, and of each run of a graph.
  std::int32_t priority = 0;
  double weight = 1.0;
  std::optional<Time> deadline = {};
};

class Buffer;
class Client;
class Future;
class SessionState;
class ModelState;

/// A graph in device memory, ready to run. Copies are the same model. Different models may run at the same time, from
/// different threads; runs of one model follow one another, the samples of a batch do not.
class Model {
 public:
  const Graph& graph() const;
  /// Runs once. Inputs and outputs are host memory in the order of the graph's, dense and row-major, of exactly the
  /// bytes that `TensorType::dense_bytes` tells. Outputs are written only when the run succeeds.
  ///
  /// A graph for any batch takes any number of samples, as many in each of them: they run in batches of the graph's
  /// size, the last one filled up, at most one for each device at a time, or as many as have memory. The report is that
  /// of the last batch, or of the one that failed, and a failure leaves the outputs of those before it.
  Status run(std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs);
  /// Submits a run that starts when all of `after` and the model's runs before it have ended well (those before it:
  /// have ended). Calls of clients may follow it. Buffers are of the types of the graph's inputs and outputs; they are
  /// copied by tasks of their own, and live until the run has ended. Waits for a `run` of another thread.
  Future submit(std::span<const Buffer> inputs, std::span<const Buffer> outputs, std::span<const Future> after = {});
  Future submit(std::initializer_list<Buffer> inputs, std::initializer_list<Buffer> outputs,
                std::initializer_list<Future> after = {});
  /// Of the last run, whose end it waits for; the next one changes it.
  const RunReport& report() const;
  /// Copies an input, constant, output or (with `keep_tensors`) intermediate tensor of the last run.
  Status tensor(const std::string& name, std::span<std::byte> bytes) const;

 private:
  friend class Session;
  explicit Model(std::shared_ptr<ModelState> state) : state_(std::move(state)) {}
  std::shared_ptr<ModelState> state_;
};

/// One SoC, opened. Copies are the same session; it closes when it and all its models are gone.
class Session {
 public:
  static Result<Session> open(const SessionOptions& options);
  /// Plans memory, copies constants, finds the devices of every node.
  Result<Model> load(Graph graph, const ModelOptions& options = {});
  /// A program that calls kernels one by one: see cosoc/client.hpp.
  Result<Client> client(const ClientOptions& options = {});
  /// Names of the devices, CPU cores first.
  std::vector<std::string> devices() const;

  /// Takes a device out while work goes on: what waits for it is placed anew, and what runs on it ends there. Returns
  /// when it has nothing to do any more. Tasks that only this device could run fail, and say why.
  Status remove_device(const std::string& name);
  /// Gives work to a device that was removed, or quarantined. An accelerator is reset first, and has to be the one that
  /// it was: another bitstream is refused.
  Status add_device(const std::string& name);
  std::vector<DeviceStatus> device_status() const;

  /// Whether time is simulated.
  bool is_simulated() const;
  /// What tasks were measured to take, in this session or before it, see `SessionOptions::costs`.
  std::vector<MeasuredCost> measured_costs() const;
  /// Writes them to `SessionOptions::costs` now; the end of the session does so too, but cannot tell a failure.
  Status save_costs() const;

  /// For tests and for code inside the library.
  explicit Session(std::shared_ptr<SessionState> state) : state_(std::move(state)) {}
  const std::shared_ptr<SessionState>& state() const { return state_; }

 private:
  std::shared_ptr<SessionState> state_;
};

/// Names of the scheduling policies.
std::vector<std::string_view> policy_names();

}  // namespace cosoc

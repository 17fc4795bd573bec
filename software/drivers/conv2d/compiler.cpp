#include "drivers/conv2d/compiler.hpp"

#include <string>

#include "drivers/conv2d/schedule.hpp"
#include "drivers/conv2d/transfer.hpp"

namespace cosoc::conv2d {
namespace {

std::string describe(const Layer& layer) {
  return std::to_string(layer.in_channels) + " channels, kernel " + std::to_string(layer.kernel.rows) + "x" +
         std::to_string(layer.kernel.columns) + ", input of " + std::to_string(layer.in.rows) + " x " +
         std::to_string(layer.in.columns) + " pixels";
}

/// A pass's fields of memory are narrower than its tensors may be.
Status check_pitches(const Pass& pass) {
  const auto check = [](const TensorShape& shape, std::int64_t row_step, std::int64_t column_step) -> Status {
    constexpr std::int64_t most_pixel = (1 << 10) - 1;
    constexpr std::int64_t most_row = (1 << 20) - 1;
    if ((shape.columns > 1 && shape.words * column_step > most_pixel) ||
        (shape.rows > 1 && shape.words * shape.columns * row_step > most_row)) {
      return failure("a feature map of " + std::to_string(shape.rows) + " x " + std::to_string(shape.columns) +
                     " pixels of " + std::to_string(shape.words) +
                     " words is too large for the Conv2D engine: at most 1023 words from one pixel to the next and "
                     "1048575 from one row to the next");
    }
    return {};
  };
  if (const Status in = check(pass.in_shape, pass.rows.in_step, pass.columns.in_step); !in) return in;
  return check(pass.out_shape, pass.rows.out_step, pass.columns.out_step);
}

/// A result that stays in the feature buffer.
struct Resident {
  Place place;
  TensorShape shape;
  ResidentTensor tensor;
  std::size_t last_use = 0;  // number of the call
  bool stored = true;        // it is in memory as well
};

/// How a pass will be executed.
struct Choice {
  Pass pass;
  Residency residency;
  bool stored = true;  // the result goes to memory
  Tiling tiling = {};
  ConstantLayout layout = {};
  double cycles = 0;
};

/// Tilings tried for each pass.
constexpr std::array<std::size_t, 3> search_widths = {8, 10, 12};

/// Compiles one call after the other into one program.
class Compilation {
 public:
  /// `width` is the number of tilings that are tried for each pass.
  Compilation(const Config& config, double memory_latency, std::span<const LayerCall> calls, Place constants,
              std::size_t width)
      : config_(config),
        memory_latency_(memory_latency),
        calls_(calls),
        constants_(constants),
        width_(width),
        engine_(config) {}

  Result<Program> run();

 private:
  Result<PackedConstants::Part> add_pass(std::size_t call, const Pass& pass, bool only);
  /// The last call that reads the result of this one as its input or residual; none when it is overwritten before.
  std::size_t last_use(std::size_t call) const;
  std::uint32_t phases_of_readers(std::size_t call, std::int64_t row_pitch) const;
  std::int64_t row_pitch_of_result(std::size_t call, const TensorShape& shape) const;
  Resident* find(const Place& place, const TensorShape& shape);
  std::vector<Choice> options(const LayerCall& call, const Pass& pass);
  std::optional<Choice> choose(const LayerCall& call, const Pass& pass, const Places& places);
  bool plan(const LayerCall& call, const Places& places, const FeatureAllocator& features, Choice& choice) const;
  void keep_result(std::size_t call, const Places& places, Choice& choice);
  bool append(const LayerCall& call, const Places& places, const Choice& choice);
  double cycles_to_store(const LayerCall& call, const Residency& residency) const;
  void store_what_is_read(const LayerCall& call, const Residency& residency);
  void store(Resident& resident);
  void drop(std::size_t finished_call);
  void drop_oldest();

  const Config& config_;
  double memory_latency_;
  std::span<const LayerCall> calls_;
  Place constants_;
  std::size_t width_;
  Engine engine_;
  std::vector<Resident> residents_;
  Program program_;
};

std::size_t Compilation::last_use(std::size_t call) const {
  const Place& place = calls_[call].out;
  std::size_t last = call;
  for (std::size_t later = call + 1; later < calls_.size(); ++later) {
    const bool residual = calls_[later].layer.residual && calls_[later].residual == place;
    if (calls_[later].in == place || residual) last = later;
    if (calls_[later].out == place) break;
  }
  return last;
}

/// Sum of the phases that later calls need to read the result of this one. A result is in the pitch of its residual,
/// so what reads that counts too.
std::uint32_t Compilation::phases_of_readers(std::size_t call, std::int64_t row_pitch) const {
  const Place& place = calls_[call].out;
  std::uint32_t phases = 0;
  for (std::size_t later = call + 1; later <= last_use(call); ++later) {
    const LayerCall& reader = calls_[later];
    if (reader.layer.residual && reader.residual == place) phases += phases_of_readers(later, row_pitch);
    if (reader.in != place || !validate(config_, reader.layer)) continue;
    for (const Pass& each : passes_of(config_, reader.layer)) {
      const Pass pass = with_whole_input(each);
      phases += read_phases(config_, pass, row_pitch, pass.columns.out, pass.rows.out * pass.columns.out);
    }
  }
  return phases;
}

/// The least row pitch of those that suit the readers of a result best.
std::int64_t Compilation::row_pitch_of_result(std::size_t call, const TensorShape& shape) const {
  std::int64_t best = shape.columns;
  std::uint32_t least = phases_of_readers(call, best);
  for (std::int64_t pitch = best + 1; least > 0 && pitch < shape.columns + banks(config_); ++pitch) {
    const std::uint32_t phases = phases_of_readers(call, pitch);
    if (phases >= least) continue;
    best = pitch;
    least = phases;
  }
  return best;
}

Resident* Compilation::find(const Place& place, const TensorShape& shape) {
  for (Resident& resident : residents_) {
    if (resident.place == place && resident.shape == shape) return &resident;
  }
  return nullptr;
}

/// Ways to execute a pass, by the resident tensors that it uses: of whole images. Rows of a resident input may make
/// pixel lanes share banks; then another way is to load it with other pitches.
std::vector<Choice> Compilation::options(const LayerCall& call, const Pass& pass) {
  Choice loading = {pass, {}};
  if (pass.images != 1) return {loading};
  if (call.layer.residual && !pass.pooling) {
    if (const Resident* residual = find(call.residual, pass.out_shape)) loading.residency.residual = residual->tensor;
  }
  const Resident* in = pass.fold ? nullptr : find(call.in, pass.in_shape);
  if (in == nullptr) return {loading};
  Choice resident = {with_whole_input(pass), loading.residency};
  resident.residency.in = in->tensor;
  const std::int64_t pixels = pass.rows.out * pass.columns.out;
  if (read_phases(config_, resident.pass, in->tensor.row_pitch, pass.columns.out, pixels) == 0) return {resident};
  return {resident, loading};
}

/// Decides on the tiling; false when nothing fits.
bool Compilation::plan(const LayerCall& call, const Places& places, const FeatureAllocator& features,
                       Choice& choice) const {
  bool found = false;
  const bool residual = call.layer.residual.has_value();
  for (const Tiling& tiling :
       tilings(config_, choice.pass, residual, choice.residency, features.free_words(), width_)) {
    ConstantLayout layout = make_layout(config_, choice.pass, tiling.blocks, tiling.words);
    Engine trial(config_);
    trial.features = features.without_times();
    const PlannedPass planned = {config_,          call.layer, choice.pass, tiling,
                                 choice.residency, layout,     places,      choice.stored};
    if (!generate(planned, trial)) continue;
    const double cycles = schedule(config_, trial.assembler.finish(), memory_latency_).cycles;
    if (found && cycles >= choice.cycles) continue;
    choice.tiling = tiling;
    choice.layout = std::move(layout);
    choice.cycles = cycles;
    found = true;
  }
  return found;
}

/// The best way with the tensors that are resident now.
std::optional<Choice> Compilation::choose(const LayerCall& call, const Pass& pass, const Places& places) {
  std::optional<Choice> best;
  double least = 0;
  for (Choice& option : options(call, pass)) {
    if (!plan(call, places, engine_.features, option)) continue;
    const double cycles = option.cycles + cycles_to_store(call, option.residency);
    if (best && cycles >= least) continue;
    best = std::move(option);
    least = cycles;
  }
  return best;
}

/// Changes the choice to one whose result stays in the feature buffer, where later calls gain from that.
void Compilation::keep_result(std::size_t number, const Places& places, Choice& choice) {
  const LayerCall& call = calls_[number];
  const Pass& pass = choice.pass;
  const std::size_t last = last_use(number);
  if (pass.images != 1 || pass.pooling || !pass.computes || last == number) return;
  FeatureAllocator features = engine_.features;
  const std::int64_t row_pitch =
      choice.residency.residual ? choice.residency.residual->row_pitch : row_pitch_of_result(number, pass.out_shape);
  const std::int64_t plane = pass.out_shape.rows * row_pitch;
  const auto region = features.allocate(plane * pass.out_shape.words, engine_.assembler.free_at(isa::Unit::compute));
  if (!region) return;
  // What takes most of the buffer seldom stays there until its last reader: better stored while the array works.
  const bool large = 2 * region->words > config_.feature_words || pass.out_shape.rows > most_extent;
  Choice kept = {pass, choice.residency, !call.temporary || large};
  kept.residency.out = ResidentTensor{*region, row_pitch, plane};
  if (!plan(call, places, features, kept)) return;
  // What the reader saves: the way of the tensor to memory and back.
  const double saved = static_cast<double>(region->words) * word_cycles(config_) / config_.memory_ports;
  if (kept.cycles >= choice.cycles + saved) return;
  choice = std::move(kept);
  engine_.features = std::move(features);
  residents_.push_back({call.out, pass.out_shape, *choice.residency.out, last, choice.stored});
}

bool Compilation::append(const LayerCall& call, const Places& places, const Choice& choice) {
  const PlannedPass planned = {config_,          call.layer,    choice.pass, choice.tiling,
                               choice.residency, choice.layout, places,      choice.stored};
  const auto generated = [&](const FeatureAllocator& features) {
    Engine engine = engine_;
    engine.features = features;
    if (!generate(planned, engine)) return false;
    engine_ = std::move(engine);
    return true;
  };
  // Places that suit the units' times can leave gaps that are too small; those of the trial are an alternative.
  return generated(engine_.features) || generated(engine_.features.without_times());
}

/// Cycles for tensors that are only in the feature buffer when a call reads them from memory.
double Compilation::cycles_to_store(const LayerCall& call, const Residency& residency) const {
  double cycles = 0;
  for (const Resident& resident : residents_) {
    const bool read = (resident.place == call.in && !residency.in) ||
                      (call.layer.residual && resident.place == call.residual && !residency.residual);
    if (!read || resident.stored) continue;
    cycles += static_cast<double>(resident.tensor.region.words) * word_cycles(config_) / config_.memory_ports;
  }
  return cycles;
}

/// Stores the tensors that a call will read from memory.
void Compilation::store_what_is_read(const LayerCall& call, const Residency& residency) {
  for (Resident& resident : residents_) {
    if (resident.place == call.in && !residency.in) store(resident);
    if (call.layer.residual && resident.place == call.residual && !residency.residual) store(resident);
  }
}

void Compilation::store(Resident& resident) {
  if (!resident.stored) store_tensor(config_, resident.shape, resident.tensor, resident.place, engine_);
  resident.stored = true;
}

/// Frees what no later call reads.
void Compilation::drop(std::size_t finished_call) {
  std::erase_if(residents_, [&](const Resident& resident) {
    const bool gone = resident.last_use <= finished_call;
    if (gone) engine_.features.release(resident.tensor.region);
    return gone;
  });
}

void Compilation::drop_oldest() {
  store(residents_.front());
  engine_.features.release(residents_.front().tensor.region);
  residents_.erase(residents_.begin());
}

Result<PackedConstants::Part> Compilation::add_pass(std::size_t number, const Pass& pass, bool only) {
  const LayerCall& call = calls_[number];
  if (const Status pitches = check_pitches(pass); !pitches) return tl::make_unexpected(pitches.error());
  const Place constants = {constants_.base, constants_.offset + program_.constant_bytes};
  const Places places = {call.in, call.out, call.residual, constants};
  auto choice = choose(call, pass, places);
  while (!choice && !residents_.empty()) {
    drop_oldest();
    choice = choose(call, pass, places);
  }
  if (choice) {
    store_what_is_read(call, choice->residency);
    if (only) keep_result(number, places, *choice);
  }
  if (!choice || !append(call, places, *choice)) {
    return failure("a layer of " + describe(call.layer) + " does not fit a Conv2D engine with feature_words = " +
                   std::to_string(config_.feature_words) + ": build it with more");
  }
  const std::uint64_t offset = program_.constant_bytes;
  program_.constant_bytes += static_cast<std::uint64_t>(choice->layout.bytes);
  return PackedConstants::Part{std::move(choice->pass), std::move(choice->layout), offset};
}

Result<Program> Compilation::run() {
  for (std::size_t number = 0; number < calls_.size(); ++number) {
    const LayerCall& call = calls_[number];
    if (const Status valid = validate(config_, call.layer); !valid) return tl::make_unexpected(valid.error());
    PackedConstants packed = {call.layer, {}};
    const std::vector<Pass> passes = passes_of(config_, call.layer);
    for (const Pass& pass : passes) {
      auto part = add_pass(number, pass, passes.size() == 1);
      if (!part) return tl::make_unexpected(part.error());
      packed.parts.push_back(std::move(*part));
    }
    program_.constants.push_back(std::move(packed));
    drop(number);
  }
  program_.instructions = engine_.assembler.finish();
  program_.cycles = schedule(config_, program_.instructions, memory_latency_).cycles;
  return std::move(program_);
}

}  // namespace

Result<Program> Compiler::compile(std::span<const LayerCall> calls, Place constants) const {
  // The tiling that is best for one layer need not be for the next ones: searches of other widths end elsewhere.
  auto best = Compilation(config_, memory_latency_, calls, constants, search_widths.front()).run();
  if (!best || calls.size() == 1) return best;
  for (const std::size_t width : std::span(search_widths).subspan(1)) {
    auto other = Compilation(config_, memory_latency_, calls, constants, width).run();
    if (other && other->cycles < best->cycles) best = std::move(other);
  }
  return best;
}

Result<Program> Compiler::compile(const Layer& layer) const {
  const auto place = [](Base base) { return Place{static_cast<std::uint32_t>(base), 0}; };
  const LayerCall call = {layer, place(Base::input), place(Base::output), place(Base::residual)};
  return compile(std::span(&call, 1), place(Base::constants));
}

Status Compiler::pack_constants(const PackedConstants& call, const Constants& constants,
                                std::span<std::byte> packed) const {
  if (call.layer.kind == Kind::max_pooling) return {};
  if (const Status valid = check_constants(call.layer, constants); !valid) return valid;
  for (const auto& part : call.parts) {
    const auto bytes = static_cast<std::uint64_t>(part.layout.bytes);
    if (part.offset + bytes > packed.size()) {
      return failure("the constants need " + std::to_string(part.offset + bytes) + " bytes, there are " +
                     std::to_string(packed.size()));
    }
    pack(config_, call.layer, part.pass, part.layout, constants, packed.subspan(part.offset, bytes));
  }
  return {};
}

}  // namespace cosoc::conv2d

#include "drivers/conv2d_engine/compiler.hpp"

#include <string>

#include "device/conv2d_schedule.hpp"

namespace cosoc::conv2d_engine {
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
  Region region;
  std::size_t last_use = 0;  // number of the call
};

/// How a pass will be executed.
struct Choice {
  Tiling tiling;
  ConstantLayout layout;
  double cycles = 0;
};

/// Compiles one call after the other into one program.
class Compilation {
 public:
  Compilation(const Config& config, std::span<const LayerCall> calls, Place constants)
      : config_(config), calls_(calls), constants_(constants), engine_(config) {}

  Result<Program> run();

 private:
  Result<PackedConstants::Part> add_pass(std::size_t call, const Pass& pass, bool only);
  /// The last call that reads the result of this one as its input or residual; none when it is overwritten before.
  std::size_t last_use(std::size_t call) const;
  std::optional<Region> find(const Place& place, const TensorShape& shape) const;
  Residency residents_of(const LayerCall& call, const Pass& pass) const;
  std::optional<Choice> choose(const LayerCall& call, const Pass& pass, const Residency& residency,
                               const Places& places, const FeatureAllocator& features) const;
  void drop(std::size_t finished_call);
  void drop_oldest();

  const Config& config_;
  std::span<const LayerCall> calls_;
  Place constants_;
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

std::optional<Region> Compilation::find(const Place& place, const TensorShape& shape) const {
  for (const Resident& resident : residents_) {
    if (resident.place == place && resident.shape == shape) return resident.region;
  }
  return {};
}

/// The resident tensors that a pass can use: whole images, whose rows do not make pixel lanes share banks.
Residency Compilation::residents_of(const LayerCall& call, const Pass& pass) const {
  Residency residency;
  if (pass.images != 1) return residency;
  const std::int64_t pixels = pass.rows.out * pass.columns.out;
  const bool as_stored = !pass.fold && pass.rows.in_step == 1 && pass.columns.in_step == 1;
  if (as_stored && read_phases(config_, pass, pass.in_shape.columns, pass.columns.out, pixels) == 0) {
    residency.in = find(call.in, pass.in_shape);
  }
  if (call.layer.residual && !pass.pooling) residency.residual = find(call.residual, pass.out_shape);
  return residency;
}

std::optional<Choice> Compilation::choose(const LayerCall& call, const Pass& pass, const Residency& residency,
                                          const Places& places, const FeatureAllocator& features) const {
  std::optional<Choice> best;
  for (const Tiling& tiling :
       tilings(config_, pass, call.layer.residual.has_value(), residency, features.free_words())) {
    Choice choice = {tiling, make_layout(config_, pass, tiling.blocks, tiling.words), 0};
    Engine trial(config_);
    trial.features = features.without_times();
    if (!generate({config_, call.layer, pass, tiling, residency, choice.layout, places}, trial)) continue;
    choice.cycles = schedule(config_, trial.assembler.finish()).cycles;
    if (!best || choice.cycles < best->cycles) best = std::move(choice);
  }
  return best;
}

/// Frees what no later call reads.
void Compilation::drop(std::size_t finished_call) {
  std::erase_if(residents_, [&](const Resident& resident) {
    const bool gone = resident.last_use <= finished_call;
    if (gone) engine_.features.release(resident.region);
    return gone;
  });
}

void Compilation::drop_oldest() {
  engine_.features.release(residents_.front().region);
  residents_.erase(residents_.begin());
}

Result<PackedConstants::Part> Compilation::add_pass(std::size_t number, const Pass& pass, bool only) {
  const LayerCall& call = calls_[number];
  if (const Status pitches = check_pitches(pass); !pitches) return tl::make_unexpected(pitches.error());
  const Place constants = {constants_.base, constants_.offset + program_.constant_bytes};
  const Places places = {call.in, call.out, call.residual, constants};
  Residency residency = residents_of(call, pass);
  auto choice = choose(call, pass, residency, places, engine_.features);
  while (!choice && !residents_.empty()) {
    drop_oldest();
    residency = residents_of(call, pass);
    choice = choose(call, pass, residency, places, engine_.features);
  }
  const std::size_t last = last_use(number);
  if (choice && only && pass.images == 1 && !pass.pooling && pass.computes && last > number) {
    FeatureAllocator features = engine_.features;
    Residency kept = residency;
    kept.out = features.allocate(pass.out_shape.pixels() * pass.out_shape.words,
                                 engine_.assembler.free_at(isa::Unit::compute));
    auto other = kept.out ? choose(call, pass, kept, places, features) : std::nullopt;
    // What the reader saves: the way of the tensor to memory and back.
    const double saved = static_cast<double>(kept.out ? kept.out->words : 0) / config_.memory_ports;
    if (other && other->cycles < choice->cycles + saved) {
      choice = std::move(other);
      residency = kept;
      engine_.features = std::move(features);
      residents_.push_back({call.out, pass.out_shape, *kept.out, last});
    }
  }
  const auto append = [&](const FeatureAllocator& features) {
    Engine engine = engine_;
    engine.features = features;
    if (!generate({config_, call.layer, pass, choice->tiling, residency, choice->layout, places}, engine)) return false;
    engine_ = std::move(engine);
    return true;
  };
  // Places that suit the units' times can leave gaps that are too small; those of the trial are an alternative.
  if (!choice || !(append(engine_.features) || append(engine_.features.without_times()))) {
    return failure("a layer of " + describe(call.layer) + " does not fit a Conv2D engine with feature_words = " +
                   std::to_string(config_.feature_words) + ": build it with more");
  }
  PackedConstants::Part part = {pass, std::move(choice->layout), program_.constant_bytes};
  program_.constant_bytes += static_cast<std::uint64_t>(part.layout.bytes);
  return part;
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
  program_.cycles = schedule(config_, program_.instructions).cycles;
  return std::move(program_);
}

}  // namespace

Result<Program> Compiler::compile(std::span<const LayerCall> calls, Place constants) const {
  return Compilation(config_, calls, constants).run();
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

}  // namespace cosoc::conv2d_engine

#include "drivers/conv2d/compilation.hpp"

#include <string>

#include "drivers/conv2d/result_readers.hpp"
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
  if (Status in = check(pass.in_shape, pass.rows.in_step, pass.columns.in_step); !in) return in;
  return check(pass.out_shape, pass.rows.out_step, pass.columns.out_step);
}

}  // namespace

/// Ways to execute a pass, by the resident tensors that it uses: of whole images. Rows of a resident input may make
/// pixel lanes share banks; then another way is to load it with other pitches. Few channels can be folded in two ways.
std::vector<Choice> Compilation::options(const LayerCall& call, const Pass& pass) {
  Residency residency;
  if (pass.images == 1 && call.layer.residual && !pass.pooling) {
    if (const Resident* residual = residents_.find(call.residual, pass.out_shape))
      residency.residual = residual->tensor;
  }
  std::vector<Choice> loading = {{pass, residency}};
  if (auto sharing = with_shared_words(config_, call.layer, pass)) loading.push_back({std::move(*sharing), residency});
  const Resident* in = pass.fold || pass.images != 1 ? nullptr : residents_.find(call.in, pass.in_shape);
  if (in == nullptr) return loading;
  Choice resident = {with_whole_input(pass), residency};
  resident.residency.in = in->tensor;
  const std::int64_t pixels = pass.rows.out * pass.columns.out;
  if (read_phases(config_, resident.pass, in->tensor.row_pitch, pass.columns.out, pixels) == 0) return {resident};
  loading.insert(loading.begin(), std::move(resident));
  return loading;
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
    const double limit = found ? choice.cycles : no_limit;
    const double cycles = estimator_.cycles(trial.assembler.finish(), limit);
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
    const double cycles = option.cycles + residents_.cycles_to_store(call, option.residency);
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
  const std::size_t last = last_use(calls_, number);
  if (pass.images != 1 || pass.pooling || !pass.computes || last == number) return;
  FeatureAllocator features = engine_.features;
  const std::int64_t row_pitch = choice.residency.residual
                                     ? choice.residency.residual->row_pitch
                                     : row_pitch_of_result(config_, calls_, number, pass.out_shape);
  const std::int64_t plane = plane_pitch(config_, pass.out_shape.rows * row_pitch, pass.out_shape.words);
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
  residents_.add({call.out, pass.out_shape, *choice.residency.out, last, choice.stored});
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

Result<PackedConstants::Part> Compilation::add_pass(std::size_t number, const Pass& pass, bool only) {
  const LayerCall& call = calls_[number];
  if (const Status pitches = check_pitches(pass); !pitches) return tl::make_unexpected(pitches.error());
  const Place constants = {constants_.base, constants_.offset + program_.constant_bytes};
  const Places places = {call.in, call.out, call.residual, constants};
  auto choice = choose(call, pass, places);
  while (!choice && !residents_.empty()) {
    residents_.drop_oldest(engine_);
    choice = choose(call, pass, places);
  }
  if (choice) {
    residents_.store_what_is_read(call, choice->residency, engine_);
    if (only) keep_result(number, places, *choice);
  }
  if (!choice && pass.window) return add_pass(number, without_window(pass), only);
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
    residents_.drop(number, engine_);
  }
  program_.instructions = engine_.assembler.finish();
  program_.cycles = estimator_.cycles(program_.instructions);
  return std::move(program_);
}

}  // namespace cosoc::conv2d

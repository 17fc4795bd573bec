#include "cedr/library.hpp"

#include <pthread.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <tuple>

#include "cedr/environment.hpp"
#include "scheduler/plan.hpp"

namespace cosoc::cedr {
namespace {

/// So many shapes are kept for good. Programs with more prepare every call of the others anew.
constexpr std::size_t most_prepared = 4096;
/// Of one size of a shape; what is above was a negative number.
constexpr std::uint64_t largest_size = std::uint64_t{1} << 40;

std::atomic<Library*> current = nullptr;
std::mutex making;
std::atomic<bool> is_child = false;  // of a fork of a process that had called

void report(const std::string& message) { std::fprintf(stderr, "cosoc: %s\n", message.c_str()); }

/// A thread's latest shapes. Without a destructor, because there may be calls after all destructors.
struct Recent {
  const Library* library;
  Shape shape;
  const Prepared* prepared;
};
constexpr std::size_t recent_count = 64;
constinit thread_local std::array<Recent, recent_count> recent{};

std::size_t place_of(const Shape& shape) {
  std::uint64_t mixed = static_cast<std::uint64_t>(shape.operation) * 31 + shape.variant;
  for (const std::uint64_t size : shape.sizes) mixed = (mixed ^ size) * 0x9E3779B97F4A7C15ULL;
  return mixed >> 58;
}
static_assert(recent_count == 1 << (64 - 58));

TensorView view_of(const TensorType& type, const void* place) {
  auto* data = static_cast<std::byte*>(const_cast<void*>(place));  // kernels do not write to inputs
  return {&type, {.data = data, .physical = 0, .size = type.bytes()}};
}

bool overlap(const TensorView& a, const TensorView& b) {
  return std::less()(a.block.data, b.block.data + b.block.size) &&
         std::less()(b.block.data, a.block.data + a.block.size);
}

bool works_in_place(Operation operation) {
  switch (operation) {
    case Operation::zip_flt:
    case Operation::zip_int:
    case Operation::fft_flt:
    case Operation::fft_int:
    case Operation::madd_flt:
    case Operation::madd_int:
    case Operation::msub_flt:
    case Operation::msub_int:
      return true;
    default:
      return false;
  }
}

/// An input that the output lies over, other than kernels can do it, is copied.
void keep_apart(Operation operation, std::span<TensorView> inputs, const TensorView& output,
                std::vector<std::byte>& copy) {
  const auto clash = [&](const TensorView& input) {
    if (!overlap(input, output)) return false;
    return input.block.data != output.block.data || !works_in_place(operation);
  };
  std::size_t bytes = 0;
  for (const TensorView& input : inputs) bytes += clash(input) ? input.block.size : 0;
  if (bytes == 0) return;
  copy.resize(bytes);
  std::byte* to = copy.data();
  for (TensorView& input : inputs) {
    if (!clash(input)) continue;
    std::memcpy(to, input.block.data, input.block.size);
    input.block.data = to;
    to += input.block.size;
  }
}

/// Whether the call can be made at all; reports why not.
bool is_sound(const Shape& shape, const Places& places) {
  const auto name = [&] { return std::string(name_of(shape.operation)); };
  if (std::ranges::any_of(shape.sizes, [](std::uint64_t size) { return size > largest_size; })) {
    report(name() + ": a size is negative or too large; nothing is computed");
    return false;
  }
  const std::span inputs = std::span(places.inputs).first(shape.inputs());
  if (places.output == nullptr || std::ranges::find(inputs, nullptr) != inputs.end()) {
    report(name() + ": an input or the output is a null pointer; nothing is computed");
    return false;
  }
  if (shape.operation <= Operation::zip_int && shape.variant > ZIP_CMP_MULT) {
    report(name() + ": there is no operation " + std::to_string(shape.variant) +
           "; there are ZIP_ADD (0) to ZIP_CMP_MULT (4)");
    return false;
  }
  return true;
}

void run_here(const Prepared& prepared, std::span<const TensorView> inputs, const TensorView& output) {
  if (auto done = prepared.what.kernel->run(inputs, {&output, 1}); !done) report(done.error().message);
}

/// The library's locks are free in a child of a fork, and it has no threads: it begins anew.
void survive_forks() {
  static const int registered = pthread_atfork([] { making.lock(); }, [] { making.unlock(); },
                                               [] {
                                                 if (current.exchange(nullptr) != nullptr) is_child = true;
                                                 making.unlock();
                                               });
  static_cast<void>(registered);
}

}  // namespace

void recover(PendingCall& call, const Error& why) {
  report(why.message + "; computed on the CPU instead");
  call.group.reset();
  const std::span inputs = std::span(call.inputs).first(call.prepared->operands.inputs.size());
  run_here(*call.prepared, inputs, call.output);
}

bool Library::ShapeOrder::operator()(const Shape& a, const Shape& b) const {
  return std::tie(a.operation, a.variant, a.sizes) < std::tie(b.operation, b.variant, b.sizes);
}

Library& Library::instance() {
  Library* library = current.load(std::memory_order_acquire);
  return library != nullptr ? *library : make();
}

Library& Library::make() {
  const std::lock_guard lock(making);
  if (Library* made = current.load()) return *made;
  survive_forks();
  std::unique_ptr<Library> library(new Library);
  if (auto opened = library->open(); !opened) {
    report(opened.error().message + "; calls are computed on the CPU, where they are made");
  }
  Library* const kept = library.release();  // for good
  current.store(kept, std::memory_order_release);
  return *kept;
}

Library::Library() = default;

Status Library::open() {
  auto options = options_of_environment();
  if (!options) return tl::make_unexpected(options.error());
  // The trace is the parent's.
  if (is_child) options->trace.clear();
  auto session = Session::open(*options);
  if (!session) return tl::make_unexpected(session.error());
  std::shared_ptr<SessionState> state = session->state();
  auto application =
      state->scheduler().add_application({.name = name_of_application(), .deadline = state->deadline_of({})});
  if (!application) return tl::make_unexpected(application.error());
  session_ = std::move(state);
  application_ = std::move(*application);
  simulated_ = session_->is_simulated();
  if (options->trace.empty()) return {};
  std::atexit([] {
    const Library* library = current.load();
    if (library == nullptr || !library->session_) return;
    if (auto done = library->session_->finish_trace(); !done) report(done.error().message);
  });
  return {};
}

Result<std::shared_ptr<const Prepared>> Library::prepare(const Shape& shape) const {
  auto made = std::make_shared<Prepared>();
  made->operands = operands_of(shape);
  auto kernel = make_kernel_of(shape);
  if (!kernel) return tl::make_unexpected(kernel.error());
  if (auto good = (*kernel)->check(made->operands.inputs, {&made->operands.output, 1}); !good) {
    return tl::make_unexpected(good.error());
  }
  if (!session_) {
    made->what.kernel = std::move(*kernel);
    return made;
  }
  CallDescription call{.name = std::string(name_of(shape.operation)),
                       .kernel = std::move(*kernel),
                       .inputs = made->operands.inputs,
                       .outputs = {made->operands.output},
                       .devices = kinds_of(session_->devices()),
                       .is_outside = true};
  for (const TensorType& type : call.inputs) call.moved_bytes += type.bytes();
  auto what = make_template(call, session_->devices(), session_->soc(), &session_->costs());
  if (!what) return failure(call.name + " " + what.error().message);
  made->what = std::move(*what);
  return made;
}

const Prepared* Library::find_shared(const Shape& shape, std::shared_ptr<const Prepared>& owned) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = prepared_.find(shape); found != prepared_.end()) return found->second.get();
  }
  auto made = prepare(shape);
  if (!made) {
    report(made.error().message + "; nothing is computed");
    return nullptr;
  }
  const std::lock_guard lock(mutex_);
  if (prepared_.size() < most_prepared) return prepared_.emplace(shape, std::move(*made)).first->second.get();
  owned = std::move(*made);
  return owned.get();
}

const Prepared* Library::find(const Shape& shape, std::shared_ptr<const Prepared>& owned) {
  Recent& entry = recent[place_of(shape)];
  if (entry.library == this && entry.shape == shape) return entry.prepared;
  const Prepared* prepared = find_shared(shape, owned);
  if (prepared != nullptr && !owned) entry = {this, shape, prepared};
  return prepared;
}

void Library::call(const Shape& shape, const Places& places) {
  if (shape.is_empty() || !is_sound(shape, places)) return;
  std::shared_ptr<const Prepared> owned;
  const Prepared* prepared = find(shape, owned);
  if (prepared == nullptr) return;
  const std::size_t count = prepared->operands.inputs.size();
  std::array<TensorView, 2> views;
  for (std::size_t i = 0; i < count; ++i) views[i] = view_of(prepared->operands.inputs[i], places.inputs[i]);
  const TensorView output = view_of(prepared->operands.output, places.output);
  const std::span inputs = std::span(views).first(count);
  std::vector<std::byte> copy;
  keep_apart(shape.operation, inputs, output, copy);
  if (session_) {
    const Status done = session_->scheduler().call(application_, prepared->what, inputs, {&output, 1});
    if (done) return;
    report(done.error().message + "; computed on the CPU instead");
  }
  run_here(*prepared, inputs, output);
}

void Library::submit(const Shape& shape, const Places& places, const cedr_barrier_t* barrier) {
  std::shared_ptr<const Prepared> owned;
  const bool nothing = shape.is_empty() || !is_sound(shape, places);
  const Prepared* prepared = nothing ? nullptr : find(shape, owned);
  if (!session_) {
    if (prepared != nullptr) call(shape, places);
    // As CEDR without its daemon: the caller may hold the mutex, or nobody needs it.
    if (barrier != nullptr) ++*barrier->completion_ctr;
    return;
  }
  PendingCall& call = completions().allocate();
  if (barrier != nullptr) call.barrier = *barrier;
  if (prepared == nullptr) return call.completions->end(call);
  const std::size_t count = prepared->operands.inputs.size();
  for (std::size_t i = 0; i < count; ++i) call.inputs[i] = view_of(prepared->operands.inputs[i], places.inputs[i]);
  call.output = view_of(prepared->operands.output, places.output);
  const std::span inputs = std::span(call.inputs).first(count);
  keep_apart(shape.operation, inputs, call.output, call.copy);
  call.prepared = prepared;
  call.owned = std::move(owned);
  Completions& completions = *call.completions;
  completions.expect(call);
  session_->scheduler().begin(call.group);
  session_->scheduler().submit(call.group, prepared->what, inputs, {&call.output, 1}, {}, &call);
  completions.submitted();
}

Completions& Library::completions() {
  if (Completions* made = completions_.load(std::memory_order_acquire)) return *made;
  const std::lock_guard lock(mutex_);
  if (Completions* made = completions_.load()) return *made;
  auto made = std::make_unique<Completions>(session_->scheduler(), application_, simulated_);
  completions_.store(made.get(), std::memory_order_release);
  return *made.release();  // for good, like its thread
}

}  // namespace cosoc::cedr

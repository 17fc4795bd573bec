/// Mode `rtl`: loads the Verilated SoC of a build through its C interface.
#include <dlfcn.h>

#include <bit>
#include <vector>

#include "device/host_memory.hpp"
#include "device/platform.hpp"
#include "device/soc_model.h"

namespace cosoc {

namespace {

/// The functions of a SoC library.
struct SocInterface {
  decltype(&cosoc_soc_model_version) version;
  decltype(&cosoc_soc_model_create) create;
  decltype(&cosoc_soc_model_destroy) destroy;
  decltype(&cosoc_soc_model_accelerator) accelerator;
  decltype(&cosoc_soc_model_read32) read32;
  decltype(&cosoc_soc_model_write32) write32;
  decltype(&cosoc_soc_model_run) run;
  decltype(&cosoc_soc_model_cycles) cycles;
};

struct LibraryCloser {
  void operator()(void* library) const { dlclose(library); }
};
using Library = std::unique_ptr<void, LibraryCloser>;

template <class Function>
bool resolve(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

Result<SocInterface> resolve_all(void* library, const std::filesystem::path& path) {
  SocInterface functions{};
  const bool complete = resolve(library, "cosoc_soc_model_version", functions.version) &&
                        resolve(library, "cosoc_soc_model_create", functions.create) &&
                        resolve(library, "cosoc_soc_model_destroy", functions.destroy) &&
                        resolve(library, "cosoc_soc_model_accelerator", functions.accelerator) &&
                        resolve(library, "cosoc_soc_model_read32", functions.read32) &&
                        resolve(library, "cosoc_soc_model_write32", functions.write32) &&
                        resolve(library, "cosoc_soc_model_run", functions.run) &&
                        resolve(library, "cosoc_soc_model_cycles", functions.cycles);
  if (!complete) return failure(path.string() + " is not a SoC model of cosoc; build it again with scons board=sim");
  if (functions.version() != COSOC_SOC_MODEL_VERSION) {
    return failure(path.string() + " has version " + std::to_string(functions.version()) +
                   " of the model's interface, expected " + std::to_string(COSOC_SOC_MODEL_VERSION) +
                   "; build it again with scons board=sim");
  }
  return functions;
}

/// A model and the memory that it works on.
class RtlModel {
 public:
  RtlModel(Library library, const SocInterface& functions, HostMemory host, const SoCDescription& soc)
      : library_(std::move(library)),
        functions_(functions),
        host_(std::move(host)),
        memory_(host_.region(), soc.memory_base),
        model_(functions.create(reinterpret_cast<std::uint8_t*>(host_.region().data()), soc.memory_base,
                                soc.memory_bytes, static_cast<std::uint32_t>(soc.memory_latency_cycles())),
               functions.destroy) {}

  const SocInterface& functions() const { return functions_; }
  cosoc_soc_model* get() const { return model_.get(); }
  DeviceMemory& memory() { return memory_; }

 private:
  Library library_;  // outlives the model that its code runs
  SocInterface functions_;
  HostMemory host_;
  DeviceMemory memory_;
  std::unique_ptr<cosoc_soc_model, decltype(&cosoc_soc_model_destroy)> model_;
};

class RtlDevice final : public Device {
 public:
  RtlDevice(const RtlModel& model, std::uint32_t index) : model_(model), index_(index) {}

  /// A bus error reads as all ones, as on the processor's bus, so that a driver sees a wrong ID or a status that never
  /// clears.
  std::uint32_t read32(std::uint32_t offset) override {
    std::uint32_t value = 0;
    return model_.functions().read32(model_.get(), index_, offset, &value) == 0 ? value : ~0U;
  }

  void write32(std::uint32_t offset, std::uint32_t value) override {
    model_.functions().write32(model_.get(), index_, offset, value);
  }

 private:
  const RtlModel& model_;
  std::uint32_t index_;
};

class RtlPlatform final : public SimulatedPlatform {
 public:
  RtlPlatform(std::unique_ptr<RtlModel> model, SoCDescription soc) : model_(std::move(model)), soc_(std::move(soc)) {
    for (std::uint32_t index = 0; index < soc_.accelerators.size(); ++index) {
      devices_.push_back(std::make_unique<RtlDevice>(*model_, index));
    }
  }

  DeviceMemory& memory() override { return model_->memory(); }
  std::size_t accelerator_count() const override { return devices_.size(); }
  Device& accelerator(std::size_t index) override { return *devices_.at(index); }

  Time now() const override { return soc_.cycles_to_time(model_->functions().cycles(model_->get())); }

  Result<std::optional<std::size_t>> advance(Time limit) override {
    const std::uint64_t now = model_->functions().cycles(model_->get());
    const std::uint64_t end = cycles_until(limit);
    const std::uint64_t interrupts = model_->functions().run(model_->get(), end > now ? end - now : 0);
    if (interrupts == 0) return std::optional<std::size_t>{};
    return std::optional<std::size_t>{static_cast<std::size_t>(std::countr_zero(interrupts))};
  }

 private:
  /// The first cycle whose time is not before `limit`.
  std::uint64_t cycles_until(Time limit) const {
    const auto nanoseconds = static_cast<unsigned __int128>(limit.count() < 0 ? 0 : limit.count());
    auto cycles = static_cast<std::uint64_t>(nanoseconds * soc_.clock_hz / 1'000'000'000);
    while (soc_.cycles_to_time(cycles) < limit) ++cycles;
    return cycles;
  }

  std::unique_ptr<RtlModel> model_;
  SoCDescription soc_;
  std::vector<std::unique_ptr<RtlDevice>> devices_;
};

/// The model must hold the accelerators that soc.json names, in its order.
Status check_accelerators(const RtlModel& model, const SoCDescription& soc) {
  for (std::uint32_t index = 0; index <= soc.accelerators.size(); ++index) {
    const char* found = model.functions().accelerator(model.get(), index);
    const std::string expected = index < soc.accelerators.size() ? soc.accelerators[index].name : "";
    if (expected != (found ? found : "")) {
      return failure("accelerator " + std::to_string(index) + " of " + soc.rtl_library.string() + " is '" +
                     (found ? found : "") + "', soc.json says '" + expected +
                     "'; build both again with scons board=sim");
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<SimulatedPlatform>> make_rtl_platform(const SoCDescription& soc) {
  if (soc.rtl_library.empty()) {
    return failure("mode rtl needs the Verilated SoC, and this build of board " + soc.board +
                   " has none; build one with scons board=sim");
  }
  Library library{dlopen(soc.rtl_library.c_str(), RTLD_NOW | RTLD_LOCAL)};
  if (!library) return failure("cannot load the Verilated SoC: " + std::string(dlerror()));
  const auto functions = resolve_all(library.get(), soc.rtl_library);
  if (!functions) return tl::make_unexpected(functions.error());
  auto host = HostMemory::make(soc.memory_bytes);
  if (!host) return tl::make_unexpected(host.error());
  auto model = std::make_unique<RtlModel>(std::move(library), *functions, std::move(*host), soc);
  if (model->get() == nullptr) return failure("not enough memory for the Verilated SoC");
  if (const Status same = check_accelerators(*model, soc); !same) return tl::make_unexpected(same.error());
  return std::make_unique<RtlPlatform>(std::move(model), soc);
}

}  // namespace cosoc

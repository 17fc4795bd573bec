#include "drivers/conv2d/residents.hpp"

#include "drivers/conv2d/transfer.hpp"

namespace cosoc::conv2d {

const Resident* Residents::find(const Place& place, const TensorShape& shape) const {
  for (const Resident& resident : residents_) {
    if (resident.place == place && resident.shape == shape) return &resident;
  }
  return nullptr;
}

double Residents::cycles_to_store(const LayerCall& call, const Residency& residency) const {
  double cycles = 0;
  for (const Resident& resident : residents_) {
    const bool read = (resident.place == call.in && !residency.in) ||
                      (call.layer.residual && resident.place == call.residual && !residency.residual);
    if (!read || resident.stored) continue;
    cycles += static_cast<double>(resident.tensor.region.words) * word_cycles(config_) / config_.memory_ports;
  }
  return cycles;
}

void Residents::store_what_is_read(const LayerCall& call, const Residency& residency, Engine& engine) {
  for (Resident& resident : residents_) {
    if (resident.place == call.in && !residency.in) store(resident, engine);
    if (call.layer.residual && resident.place == call.residual && !residency.residual) store(resident, engine);
  }
}

void Residents::store(Resident& resident, Engine& engine) const {
  if (!resident.stored) store_tensor(config_, resident.shape, resident.tensor, resident.place, engine);
  resident.stored = true;
}

void Residents::drop(std::size_t finished_call, Engine& engine) {
  std::erase_if(residents_, [&](const Resident& resident) {
    const bool gone = resident.last_use <= finished_call;
    if (gone) engine.features.release(resident.tensor.region);
    return gone;
  });
}

void Residents::drop_oldest(Engine& engine) {
  store(residents_.front(), engine);
  engine.features.release(residents_.front().tensor.region);
  residents_.erase(residents_.begin());
}

}  // namespace cosoc::conv2d

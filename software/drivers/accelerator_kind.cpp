#include "drivers/accelerator_kind.hpp"

#include <string>

#include "cosoc/generated/accelerators.hpp"

namespace cosoc {

Result<const AcceleratorKind*> find_accelerator_kind(std::string_view name) {
  std::string known;
  for (const AcceleratorKind& kind : accelerator_kind_table) {
    if (kind.name == name) return &kind;
    known += (known.empty() ? "" : ", ") + std::string(kind.name);
  }
  return failure("accelerator of unknown kind '" + std::string(name) + "'; there are " + known);
}

}  // namespace cosoc

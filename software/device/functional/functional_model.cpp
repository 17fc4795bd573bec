#include "device/functional/functional_model.hpp"

#include "drivers/accelerator_kind.hpp"

namespace cosoc {

Result<IdentifiedModel> make_functional_model(const AcceleratorDescription& description) {
  const auto found = find_accelerator_kind(description.kind);
  if (!found) return tl::unexpected(found.error());
  const AcceleratorKind& kind = **found;
  std::vector<std::uint32_t> values;
  for (const std::string_view parameter : kind.parameters) {
    const auto value = description.config.find(std::string(parameter));
    if (value == description.config.end()) {
      return failure("accelerator '" + description.name + "' has no parameter '" + std::string(parameter) + "'");
    }
    values.push_back(value->second);
  }
  IdentifiedModel result{.identity = {.kind = kind.id,
                                      .layout_hash = kind.layout_hash,
                                      .config_hash = description.config_hash,
                                      .capabilities = values},
                         .model = kind.make_model(values)};
  return result;
}

}  // namespace cosoc

#include "device/functional/functional_model.hpp"

#include <algorithm>

#include "drivers/conv2d/model.hpp"
#include "drivers/fft/model.hpp"
#include "drivers/zip/model.hpp"

namespace cosoc {
namespace {

/// `Config` is that of a generated header, `Model` is made from it.
template <class Config, class Model>
Result<IdentifiedModel> make_model(const AcceleratorDescription& description, std::uint32_t kind,
                                   std::uint32_t layout_hash) {
  std::array<std::uint32_t, Config::names.size()> values{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto found = description.config.find(std::string(Config::names[i]));
    if (found == description.config.end()) {
      return failure("accelerator '" + description.name + "' has no parameter '" + std::string(Config::names[i]) + "'");
    }
    values[i] = found->second;
  }
  IdentifiedModel result{.identity = {.kind = kind,
                                      .layout_hash = layout_hash,
                                      .config_hash = description.config_hash,
                                      .capabilities = {}},
                         .model = std::make_unique<Model>(Config::from(values))};
  std::copy(values.begin(), values.end(), result.identity.capabilities.begin());
  return result;
}

}  // namespace

Result<IdentifiedModel> make_functional_model(const AcceleratorDescription& description) {
  if (description.kind == conv2d::name) {
    return make_model<conv2d::Config, conv2d::Conv2DModel>(description, conv2d::kind, conv2d::layout_hash);
  }
  if (description.kind == fft::name)
    return make_model<fft::Config, fft::FFTModel>(description, fft::kind, fft::layout_hash);
  if (description.kind == zip::name)
    return make_model<zip::Config, zip::ZIPModel>(description, zip::kind, zip::layout_hash);
  return failure("no functional model of accelerator '" + description.name + "' of kind '" + description.kind + "'");
}

}  // namespace cosoc

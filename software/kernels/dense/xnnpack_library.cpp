#include "kernels/dense/xnnpack_library.hpp"

#ifdef COSOC_XNNPACK

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <optional>

namespace cosoc::dense::xnnpack {
namespace {

/// The library's own functions, and those that it needs, must not be other libraries' of the process. Sanitizers, which
/// a program may have that this was not compiled with, end it when their functions are passed over so.
int binding() {
  constexpr std::array sanitizers = {"__asan_init", "__tsan_init", "__msan_init"};
  const auto is_there = [](const char* name) { return ::dlsym(RTLD_DEFAULT, name) != nullptr; };
  return std::ranges::any_of(sanitizers, is_there) ? 0 : RTLD_DEEPBIND;
}

std::optional<Functions> load() {
  // It stays loaded: other threads may compute until the process ends.
  void* const library = ::dlopen("libXNNPACK.so.0", RTLD_NOW | RTLD_LOCAL | binding());
  if (library == nullptr) return std::nullopt;
  // Later versions split set-up in two, and have the number of channels there.
  if (::dlsym(library, "xnn_reshape_sigmoid_nc_f32") != nullptr) return std::nullopt;
  Functions found;
#define COSOC_XNNPACK_FIND(name)                                                       \
  found.name = reinterpret_cast<decltype(found.name)>(::dlsym(library, "xnn_" #name)); \
  if (found.name == nullptr) return std::nullopt
  COSOC_XNNPACK_FUNCTIONS(COSOC_XNNPACK_FIND);
#undef COSOC_XNNPACK_FIND
  if (found.initialize(nullptr) != xnn_status_success) return std::nullopt;
  return found;
}

}  // namespace

const Functions* functions() {
  static const std::optional<Functions> found = load();
  return found ? &*found : nullptr;
}

}  // namespace cosoc::dense::xnnpack

#endif

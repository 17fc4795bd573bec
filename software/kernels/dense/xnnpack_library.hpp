/// The functions of XNNPACK's shared library that are called, and operators that are deleted when they go out of scope.
///
/// The library is loaded at run time and its functions are looked up in it alone: PyTorch has another version of it and
/// of what it needs, which may be in the same process, and later versions have other functions under the same file
/// name. Where the build found no header, there are no such functions (site_scons/checks.py).
#pragma once

#ifdef COSOC_XNNPACK

#include <xnnpack.h>

#include <memory>

namespace cosoc::dense::xnnpack {

/// Calls `each(name)` for `xnn_<name>`.
#define COSOC_XNNPACK_FUNCTIONS(each)          \
  each(initialize);                            \
  each(run_operator);                          \
  each(delete_operator);                       \
  each(create_sigmoid_nc_f32);                 \
  each(setup_sigmoid_nc_f32);                  \
  each(create_elu_nc_f32);                     \
  each(setup_elu_nc_f32);                      \
  each(create_convolution2d_nchw_f32);         \
  each(setup_convolution2d_nchw_f32);          \
  each(create_global_average_pooling_ncw_f32); \
  each(setup_global_average_pooling_ncw_f32);  \
  each(create_resize_bilinear2d_nchw_f32);     \
  each(setup_resize_bilinear2d_nchw_f32)

struct Functions {
// NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member.
#define COSOC_XNNPACK_MEMBER(name) decltype(&xnn_##name) name = nullptr
  COSOC_XNNPACK_FUNCTIONS(COSOC_XNNPACK_MEMBER);
#undef COSOC_XNNPACK_MEMBER
};

/// All of them, or null where the library is not installed, is of a version whose functions take other arguments, or
/// has no kernels for this processor.
const Functions* functions();

struct Deleter {
  void operator()(xnn_operator_t made) const { functions()->delete_operator(made); }
};
using Operator = std::unique_ptr<xnn_operator, Deleter>;

/// Makes an operator, sets it up and runs it on the calling thread: `create(out)` and `setup(operator)` are statuses.
template <class Create, class Setup>
bool run(const Create& create, const Setup& setup) {
  xnn_operator_t made = nullptr;
  if (create(&made) != xnn_status_success) return false;
  const Operator owned(made);
  return setup(made) == xnn_status_success && functions()->run_operator(made, nullptr) == xnn_status_success;
}

}  // namespace cosoc::dense::xnnpack

#endif

/// What the calls of a program that read a result of an earlier one want of it.
#pragma once

#include <span>

#include "drivers/conv2d/compiler.hpp"

namespace cosoc::conv2d {

/// The last call that reads the result of this one as its input or residual; none when it is overwritten before.
std::size_t last_use(std::span<const LayerCall> calls, std::size_t call);

/// The least row pitch of those that suit the readers of a result best.
std::int64_t row_pitch_of_result(const Config& config, std::span<const LayerCall> calls, std::size_t call,
                                 const TensorShape& shape);

}  // namespace cosoc::conv2d

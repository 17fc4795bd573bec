/// Errors are values: what was expected, what was found, what to do.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace cosoc {

/// A message for the user of the library or of the command line.
struct Error {
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> failure(std::string message) { return tl::make_unexpected(Error{std::move(message)}); }

}  // namespace cosoc

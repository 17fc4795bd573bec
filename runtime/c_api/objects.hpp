/// What stands behind the handles of the C interface, and how its functions fail.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "cosoc/cosoc.h"
#include "cosoc/cosoc.hpp"

struct cosoc_session {
  cosoc::Session session;
  std::string costs = {};
};

struct cosoc_model {
  cosoc::Model model;
  std::string description;
  std::string report;
};

struct cosoc_client {
  cosoc::Client client;
};

struct cosoc_memory {
  cosoc::Buffer buffer;
};

struct cosoc_call {
  cosoc::Call call;
};

struct cosoc_graph {
  cosoc::TaskGraph graph;
  std::vector<cosoc::TaskGraph::Node> nodes = {};
  std::string dot = {};
};

struct cosoc_future {
  cosoc::Future future;
};

namespace cosoc::c_api {

std::vector<Buffer> buffers_of(cosoc_memory* const* memories, std::size_t count);
std::vector<Future> futures_of(cosoc_future* const* futures, std::size_t count);

/// Of the calling thread.
std::string& last_error();

inline int fail(const std::string& message) {
  last_error() = message;
  return 1;
}

/// Runs a body that returns a Status. Exceptions end here: a foreign caller cannot catch them. What can still be thrown
/// is the standard library's, when memory is short.
template <class Body>
int guard(const Body& body) {
  try {
    const Status status = body();
    return status ? 0 : fail(status.error().message);
  } catch (const std::exception& error) {
    return fail(std::string("unexpected: ") + error.what());
  }
}

/// Gives a value to the caller as an object of its own.
template <class Object, class Value>
Status give(Result<Value> value, Object** object) {
  if (!value) return tl::make_unexpected(value.error());
  *object = std::make_unique<Object>(Object{std::move(*value)}).release();
  return {};
}

}  // namespace cosoc::c_api

/// The public interface of cosoc: build a graph or load a bundle, open a session, run.
#pragma once

#include "cosoc/bundle.hpp"
#include "cosoc/graph.hpp"
#include "cosoc/operations.hpp"
#include "cosoc/session.hpp"

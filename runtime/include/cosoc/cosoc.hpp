/// The public interface of cosoc: open a session; build a graph or load a bundle and run it, or call kernels one by
/// one.
#pragma once

#include "cosoc/bundle.hpp"
#include "cosoc/calibration.hpp"
#include "cosoc/client.hpp"
#include "cosoc/graph.hpp"
#include "cosoc/kernels.hpp"
#include "cosoc/operations.hpp"
#include "cosoc/session.hpp"
#include "cosoc/task_graph.hpp"

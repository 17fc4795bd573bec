// What most C++ tests include, and takes long to read.
#include <catch2/catch.hpp>
#include <random>

#include "precompiled.hpp"

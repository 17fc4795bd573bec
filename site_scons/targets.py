"""Help on the targets, and the compiler flags of the modes."""

HELP = """\
usage: scons [target ...] [option=value ...]

Builds a SoC for a board, the runtime for it and the bundle of a model, in a folder named after the board and its accelerators,
such as build/sim-c2d1-fft1-zip1. Other parameters than the defaults add a hash, so every configuration has its own.

Targets:
  (none)                  everything of the configuration: Verilog, headers, soc.json, runtime, applications, bundle; for
                          board=sim the RTL model of the SoC and the C++ tests; for board=zcu102 the Vivado scripts, the device
                          tree and the archive deploy.tar.gz
  test                    builds for board=sim, then runs the C++ and the Python tests
  test-full               the same with the slow sweeps, sanitizers and clang-tidy
  test-cpp                the C++ tests alone; with mode=asan or mode=tsan under a sanitizer
  test-sanitizers         the same under each of the sanitizers, built in build/sanitizers
  soak                    applications, failing accelerators and leaving devices at the same time, for three minutes
  fuzz                    libFuzzer on messages of the daemon, bundles and descriptions of SoCs: COSOC_FUZZ_SECONDS each (10)
  lint                    formats, linters and types of Python and C++
  tidy                    clang-tidy on all C++
  train                   trains the networks of the applications; their weights are part of the source tree
  bench                   benchmarks: a table, and JSON in build/bench/
  -c                      removes what the configuration built

Useful options of SCons: -j N (parallel jobs; default: all cores), -n (only show), --debug=explain (why something is built).
"""

_SANITIZE = "-fsanitize="
_FRAMES = ["-g", "-O1", "-fno-omit-frame-pointer"]

MODE_FLAGS = {
    "release": ["-O2", "-DNDEBUG"],
    "debug": ["-O0", "-g", "-D_GLIBCXX_ASSERTIONS"],
    "asan": [*_FRAMES, _SANITIZE + "address,undefined", "-fno-sanitize-recover=all"],
    "tsan": [*_FRAMES, _SANITIZE + "thread"],
}

MODE_LINK_FLAGS = {
    "release": [],
    "debug": [],
    "asan": [_SANITIZE + "address,undefined"],
    "tsan": [_SANITIZE + "thread"],
}

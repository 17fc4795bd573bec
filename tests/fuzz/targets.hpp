/// What is fed with bytes from anybody: by libFuzzer (`scons fuzz`), and with seeded mutations of the corpus in the
/// tests.
#pragma once

#include <cstdint>
#include <span>

namespace fuzz {

/// Each line is a message to a running daemon, over its socket; after a line that begins with `!`, what follows it goes
/// into the shared page of the client. The daemon must answer another client afterwards.
void message(std::span<const std::uint8_t> bytes);
/// A bundle: `graph.json`, a zero byte, `weights.safetensors`. A good one is planned, too.
void bundle(std::span<const std::uint8_t> bytes);
/// A `soc.json`, and with it a session in mode model.
void soc(std::span<const std::uint8_t> bytes);

}  // namespace fuzz

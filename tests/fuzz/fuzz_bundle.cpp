/// Entry of libFuzzer.
#include "fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::bundle({data, size});
  return 0;
}

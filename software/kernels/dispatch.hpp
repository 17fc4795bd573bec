/// One function compiled for several instruction sets, of which the best is chosen at run time.
///
/// How loops become vectors is said to the compiler by the flags of the folder (software/SConscript): a function with
/// an attribute `optimize` does not inline those of the standard library.
#pragma once

/// Defines `name(argument)`, which calls the function `body`, always_inline, as compiled for this machine.
#define COSOC_DISPATCH(name, body, Argument) COSOC_DISPATCH_AS(name, body, Argument, "avx2,fma")

/// The same without instructions that fuse a product and a sum: float results are the same on all machines.
#define COSOC_DISPATCH_EXACT(name, body, Argument) COSOC_DISPATCH_AS(name, body, Argument, "avx2")

/// COSOC_DISPATCH_WIDE(name, body, wide, Argument) is COSOC_DISPATCH with another body, `wide`, for processors with
/// AVX-512: 32 registers of 16 floats.
#if defined(__x86_64__)
#define COSOC_DISPATCH_WIDE(name, body, wide, Argument)                                                        \
  COSOC_DISPATCH(name##_narrow, body, Argument)                                                                \
  [[gnu::target("avx2,fma,avx512f,avx512vl,prefer-vector-width=512")]] void name##_avx512(Argument argument) { \
    wide(argument);                                                                                            \
  }                                                                                                            \
  void name(Argument argument) {                                                                               \
    static const bool avx512 = __builtin_cpu_supports("avx512vl") != 0;                                        \
    avx512 ? name##_avx512(argument) : name##_narrow(argument);                                                \
  }
#define COSOC_DISPATCH_AS(name, body, Argument, set)                                                    \
  void name##_baseline(Argument argument) { body(argument); }                                           \
  [[gnu::target(set)]] void name##_avx2(Argument argument) { body(argument); }                          \
  void name(Argument argument) {                                                                        \
    static const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0; \
    avx2 ? name##_avx2(argument) : name##_baseline(argument);                                           \
  }
#else
#define COSOC_DISPATCH_WIDE(name, body, wide, Argument) COSOC_DISPATCH(name, body, Argument)
#define COSOC_DISPATCH_AS(name, body, Argument, set) \
  void name(Argument argument) { body(argument); }
#endif

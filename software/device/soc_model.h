/* C interface of a Verilated SoC: what the runtime loads in mode `rtl`, and what any other simulator can load.

   The model holds the accelerators of one build and a DDR model calibrated to the board. One clock drives all of it. */
#ifndef COSOC_SOC_MODEL_H
#define COSOC_SOC_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosoc_soc_model cosoc_soc_model;

/* Version of this interface; a loader refuses another. */
#define COSOC_SOC_MODEL_VERSION 2
uint32_t cosoc_soc_model_version(void);

/* Makes a SoC in reset state. `memory` is the DDR content, `memory_bytes` long, at bus address `memory_base`; it stays
   the caller's. Accesses outside answer with a bus error. `memory_latency` clock cycles pass from a read address to its
   first word, and from the last written word to the response. Null when memory is short. */
cosoc_soc_model* cosoc_soc_model_create(uint8_t* memory, uint64_t memory_base, uint64_t memory_bytes,
                                        uint32_t memory_latency);
void cosoc_soc_model_destroy(cosoc_soc_model* model);

/* Names of the accelerators in order, for a check against soc.json; null above the last. */
const char* cosoc_soc_model_accelerator(const cosoc_soc_model* model, uint32_t index);

/* Register accesses through AXI4-Lite; each takes the clock cycles that it takes on the bus. 0 on success, 1 on a bus
   error or when no answer comes within 10,000 cycles. */
int cosoc_soc_model_read32(cosoc_soc_model* model, uint32_t index, uint32_t offset, uint32_t* value);
int cosoc_soc_model_write32(cosoc_soc_model* model, uint32_t index, uint32_t offset, uint32_t value);

/* Runs until an interrupt line is high or `cycles` clock cycles have passed; at once when a line is high already.
   Returns a mask of the interrupt lines. */
uint64_t cosoc_soc_model_run(cosoc_soc_model* model, uint64_t cycles);

/* Clock cycles since creation. */
uint64_t cosoc_soc_model_cycles(const cosoc_soc_model* model);

#ifdef __cplusplus
}
#endif
#endif

/*
 * The C interface of cosoc, for other languages.
 *
 * Every function that returns int gives 0 for success; otherwise cosoc_error() has the message. Strings are UTF-8.
 * Sessions and models are used by one thread at a time.
 */
#ifndef COSOC_COSOC_H
#define COSOC_COSOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosoc_session cosoc_session;
typedef struct cosoc_model cosoc_model;

/* Fields as in cosoc::SessionOptions; NULL or 0 is the default, also where it says otherwise. */
typedef struct {
  const char* mode;   /* "cpu", "rtl", "functional", "model" or "board" */
  const char* soc;    /* soc.json or its directory */
  const char* policy; /* "EFT" when NULL */
  const char* trace;  /* no trace when NULL */
  uint64_t memory_bytes;
  int32_t cpu_cores; /* negative: default */
  int32_t keep_tensors;
} cosoc_options;

/* Host memory, dense and row-major. */
typedef struct {
  void* data;
  size_t bytes;
} cosoc_buffer;

/* The message of the calling thread's last failure. */
const char* cosoc_error(void);

int cosoc_session_open(const cosoc_options* options, cosoc_session** session);
/* A model keeps its session alive, so the order of closing does not matter. NULL is allowed. */
void cosoc_session_close(cosoc_session* session);

int cosoc_model_load(cosoc_session* session, const char* bundle, cosoc_model** model);
void cosoc_model_close(cosoc_model* model);

/* JSON: {"name", "inputs": [names], "outputs": [names], "tensors": {name: {"dtype", "shape", "scale", "zero_point",
 * "constant"}}}. Valid until the model closes. */
const char* cosoc_model_description(const cosoc_model* model);
int cosoc_model_run(cosoc_model* model, const cosoc_buffer* inputs, size_t input_count, const cosoc_buffer* outputs,
                    size_t output_count);
/* JSON of the last run: {"tasks": [{"name", "op", "device", "start_ns", "end_ns", "cycles", "commands", "reason"}],
 * "start_ns", "end_ns", "peak_memory_bytes", "quarantined": [text]}. Valid until the next call of this function. */
const char* cosoc_model_report(cosoc_model* model);
/* Copies a tensor of the last run; intermediates need keep_tensors. */
int cosoc_model_tensor(const cosoc_model* model, const char* name, cosoc_buffer buffer);

#ifdef __cplusplus
}
#endif
#endif

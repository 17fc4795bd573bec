/*
 * The C interface of cosoc, for other languages: sessions, models, and calls of clients.
 *
 * Every function that returns int gives 0 for success; otherwise cosoc_error() has the message. Strings are UTF-8.
 * Sessions and models are used by one thread at a time; everything of clients by any number of them. Objects keep what
 * they need, so the order of closing does not matter. Closing NULL is allowed.
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
  const char* costs; /* file of measured costs; NULL: none */
  uint64_t seed;
  int64_t deadline_ns; /* of models and clients without their own */
} cosoc_options;

/* Host memory, dense and row-major. */
typedef struct {
  void* data;
  size_t bytes;
} cosoc_buffer;

/* The message of the calling thread's last failure. */
const char* cosoc_error(void);

int cosoc_session_open(const cosoc_options* options, cosoc_session** session);
void cosoc_session_close(cosoc_session* session);

/* Take a device out while work goes on, and give it work again after that or after a quarantine; see
 * cosoc::Session::remove_device and add_device. */
int cosoc_device_remove(cosoc_session* session, const char* name);
int cosoc_device_add(cosoc_session* session, const char* name);

/* Measures kernels on the wall clock, see cosoc/calibration.hpp. */
int cosoc_session_calibrate(cosoc_session* session);
/* JSON: [{"device", "call", "estimate_ns", "measured_ns", "samples"}]. Valid until the next call of this function. */
const char* cosoc_session_costs(cosoc_session* session);
/* Writes the measured costs to the file of the options now. */
int cosoc_session_save_costs(cosoc_session* session);

/* Fields as in cosoc::ModelOptions; NULL or 0 is the default. */
typedef struct {
  int32_t priority;
  double weight;
  int64_t deadline_ns; /* of a run, from its submission */
} cosoc_model_options;

int cosoc_model_load(cosoc_session* session, const char* bundle, const cosoc_model_options* options,
                     cosoc_model** model);
void cosoc_model_close(cosoc_model* model);

/* JSON: {"name", "inputs": [names], "outputs": [names], "any_batch", "tensors": {name: {"dtype", "shape", "scale",
 * "zero_point", "constant"}}}. Valid until the model closes. */
const char* cosoc_model_description(const cosoc_model* model);
/* Runs on any number of samples where "any_batch" is true: the first axis of the shapes, of all inputs and outputs. */
int cosoc_model_run(cosoc_model* model, const cosoc_buffer* inputs, size_t input_count, const cosoc_buffer* outputs,
                    size_t output_count);
/* JSON of the last run: {"tasks": [{"name", "op", "device", "start_ns", "end_ns", "cycles", "commands", "reason"}],
 * "start_ns", "end_ns", "peak_memory_bytes", "quarantined": [text]}. Valid until the next call of this function. */
const char* cosoc_model_report(cosoc_model* model);
/* Copies a tensor of the last run; intermediates need keep_tensors. */
int cosoc_model_tensor(const cosoc_model* model, const char* name, cosoc_buffer buffer);

/* Calls one by one, as cosoc/client.hpp has them. */
typedef struct cosoc_client cosoc_client;
typedef struct cosoc_memory cosoc_memory;
typedef struct cosoc_call cosoc_call;
typedef struct cosoc_future cosoc_future;

/* Scale and zero point count for int8 and int16 only. */
typedef struct {
  const char* dtype; /* "float32", "int8", "int16", "int32" or "complex64" */
  const int64_t* shape;
  size_t rank;
  float scale;
  int32_t zero_point;
} cosoc_type;

typedef struct {
  const char* name; /* NULL: "client" */
  int32_t priority;
  double weight;       /* 0: 1.0 */
  int64_t deadline_ns; /* of each call and run of a graph, from its submission; 0: the session's */
} cosoc_client_options;

int cosoc_session_client(cosoc_session* session, const cosoc_client_options* options, cosoc_client** client);
/* Blocks until its calls have ended. */
void cosoc_client_close(cosoc_client* client);
/* Blocks until all calls so far have ended; the error of the first one that failed. */
int cosoc_client_wait(cosoc_client* client);
/* Of the session's clock. */
int64_t cosoc_client_now_ns(const cosoc_client* client);

/* Zeroed device memory. */
int cosoc_memory_allocate(cosoc_client* client, const cosoc_type* type, cosoc_memory** memory);
/* The caller's memory, which stays until its calls have ended; accelerators work on a copy. */
int cosoc_memory_wrap(cosoc_client* client, const cosoc_type* type, void* data, size_t bytes, cosoc_memory** memory);
/* Where it lies, with the padding of feature maps: every pixel takes a multiple of 16 bytes. */
cosoc_buffer cosoc_memory_storage(const cosoc_memory* memory);
/* Calls that were submitted keep it. */
void cosoc_memory_close(cosoc_memory* memory);

/* What a call is made for. */
typedef struct {
  const cosoc_type* inputs;
  size_t input_count;
  const cosoc_type* outputs;
  size_t output_count;
  const char* name;           /* NULL: that of the kernel */
  const char* const* devices; /* kinds, such as "cpu" and "fft"; NULL: all */
  size_t device_count;
  int32_t wrapped; /* whether operands will be wrapped memory; for the expected times only */
} cosoc_signature;

/* A function for CPU cores. It runs on threads of the library, perhaps on several at once. Buffers are those of
 * cosoc_memory_storage. 0 for success; otherwise it may write a message of up to `message_bytes` - 1 bytes. */
typedef int (*cosoc_function)(void* context, const cosoc_buffer* inputs, const cosoc_buffer* outputs, char* message,
                              size_t message_bytes);

/* A kernel of the library; `attributes` is JSON, such as {"direction": "forward"}, or NULL. */
int cosoc_call_prepare(cosoc_client* client, const char* operation, const char* attributes,
                       const cosoc_signature* signature, cosoc_call** call);
/* What accelerators of a kind run in place of a program's function: a kernel of the library on the same operands. */
typedef struct {
  const char* device; /* "zip" */
  const char* operation;
  const char* attributes; /* JSON, or NULL */
} cosoc_implementation;

/* A kernel of the program. `function` and `context` stay until all of its calls have ended. */
typedef struct {
  const char* name;
  cosoc_function function;
  void* context;
  uint64_t operations;                      /* that a call computes, for its expected time */
  const cosoc_implementation* accelerators; /* NULL: CPU cores only */
  size_t accelerator_count;
} cosoc_kernel;

int cosoc_call_prepare_function(cosoc_client* client, const cosoc_kernel* kernel, const cosoc_signature* signature,
                                cosoc_call** call);
/* Why no accelerator can run it; empty when one can. Valid until the call closes. */
const char* cosoc_call_reason(const cosoc_call* call);
void cosoc_call_close(cosoc_call* call);

/* From start to end. */
int cosoc_call_run(cosoc_client* client, const cosoc_call* call, cosoc_memory* const* inputs, size_t input_count,
                   cosoc_memory* const* outputs, size_t output_count);
/* Starts when all of `after` have ended well. A call that fails makes the future fail, not this function. */
int cosoc_call_submit(cosoc_client* client, const cosoc_call* call, cosoc_memory* const* inputs, size_t input_count,
                      cosoc_memory* const* outputs, size_t output_count, cosoc_future* const* after, size_t after_count,
                      cosoc_future** future);
/* A run of a model, that calls may follow. */
int cosoc_model_submit(cosoc_model* model, cosoc_memory* const* inputs, size_t input_count,
                       cosoc_memory* const* outputs, size_t output_count, cosoc_future* const* after,
                       size_t after_count, cosoc_future** future);

/* Blocks until the call has ended; its error. */
int cosoc_future_wait(const cosoc_future* future);
/* 1 when it has ended, well or not. */
int cosoc_future_ended(const cosoc_future* future);
/* The call goes on. */
void cosoc_future_close(cosoc_future* future);

/* Graphs of named tasks, as cosoc/task_graph.hpp has them: built by one thread, run again and again. */
typedef struct cosoc_graph cosoc_graph;

int cosoc_graph_make(cosoc_client* client, const char* name, cosoc_graph** graph);
/* Blocks until its runs have ended. */
void cosoc_graph_close(cosoc_graph* graph);
/* Adds a call on this memory, which the graph keeps; `task` is its number. After a mistake the graph cannot run. */
int cosoc_graph_add(cosoc_graph* graph, const char* name, const cosoc_call* call, cosoc_memory* const* inputs,
                    size_t input_count, cosoc_memory* const* outputs, size_t output_count, size_t* task);
/* The second task starts when the first one has ended. */
int cosoc_graph_precede(cosoc_graph* graph, size_t first, size_t second);
/* A run that starts when all of `after` and the runs before it have ended. What is wrong makes the future fail. */
int cosoc_graph_submit(cosoc_graph* graph, cosoc_future* const* after, size_t after_count, cosoc_future** future);
/* For Graphviz. Valid until the next call of this function. */
const char* cosoc_graph_dot(cosoc_graph* graph);

#ifdef __cplusplus
}
#endif
#endif

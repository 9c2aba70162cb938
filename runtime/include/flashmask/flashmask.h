/* The C interface of FlashMask JIT: plain C99, for ctypes, cffi, dlopen and every language that speaks C.
 *
 * - Every function returns an fm_status; FM_OK is 0. What went wrong is told by fm_last_error() and fm_last_hint(),
 *   per thread, until the next failing call of that thread.
 * - Every struct begins with struct_size, which the caller sets to sizeof(the struct), so that it can grow: a library
 *   that is newer than its caller takes the fields that are missing as fm_init_*() would set them, one that is older
 *   refuses what it does not know. fm_init_*() fill a struct with its size, which they are told, and defaults.
 * - Handles are counted by the library: a runtime keeps its device, a kernel keeps what it was loaded on, a prepared
 *   launch its kernel. Any order of release is fine. A handle may be used from many threads; it must not be released
 *   while it is in use.
 * - Choices that a caller makes are ints that hold an enumerator, so that any other value is an error and not
 *   undefined.
 * - No exception and no C++ type crosses this border. */
#ifndef FLASHMASK_FLASHMASK_H
#define FLASHMASK_FLASHMASK_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define FM_API __attribute__((visibility("default")))
#else
#define FM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fm_status {
  FM_OK = 0,
  FM_INVALID_ARGUMENT = 1, /* a value breaks a rule of its own */
  FM_UNSUPPORTED = 2,      /* legal, but no kernel of this library serves it */
  FM_NOT_FOUND = 3,        /* a file, library, device or symbol is not there */
  FM_COMPILE = 4,          /* NVRTC refused the text; the log is in the message */
  FM_DEVICE = 5,           /* the driver or the emulator reported an error */
  FM_STORAGE = 6,          /* a file could not be read or written */
  FM_NOT_CACHED = 7,       /* a kernel would have to be compiled, and the policy forbids it */
  FM_INTERNAL = 8,         /* a bug of this library */
  FM_OUT_OF_MEMORY = 9,    /* of the host */
  FM_CAPTURING = 10        /* something would have to be compiled, loaded or allocated during a capture */
} fm_status;

typedef enum fm_pass {
  FM_PASS_FORWARD = 0,
  FM_PASS_MASK_PLAN = 1,  /* for fm_runtime_compile() alone: head dims 0, dtype bf16; see fm_plan_build() */
  FM_PASS_MASK_BUILD = 2, /* the same, see fm_mask_documents() */
  FM_PASS_BACKWARD = 3
} fm_pass;
typedef enum fm_dtype { FM_FLOAT16 = 0, FM_BFLOAT16 = 1 } fm_dtype;
typedef enum fm_mask_form {
  FM_MASK_NONE = 0,
  FM_MASK_CAUSAL = 1,
  FM_MASK_WINDOW = 2,
  FM_MASK_C1 = 3, /* causal, LTS */
  FM_MASK_C2 = 4, /* causal, LTS LTE */
  FM_MASK_F2 = 5, /* LTS UTE */
  FM_MASK_F4 = 6  /* LTS LTE UTS UTE */
} fm_mask_form;
typedef enum fm_causal_alignment { FM_BOTTOM_RIGHT = 0, FM_TOP_LEFT = 1 } fm_causal_alignment;
typedef enum fm_origin { FM_FROM_MEMORY = 0, FM_FROM_DISK = 1, FM_COMPILED = 2, FM_FROM_PACK = 3 } fm_origin;
typedef enum fm_log_level {
  FM_LOG_DEBUG = 0,
  FM_LOG_INFO = 1,
  FM_LOG_WARNING = 2,
  FM_LOG_ERROR = 3,
  FM_LOG_OFF = 4
} fm_log_level;

typedef struct fm_device fm_device;
typedef struct fm_runtime fm_runtime;
typedef struct fm_kernel fm_kernel;
typedef struct fm_prepared fm_prepared;

/* "0.1.0" */
FM_API const char* fm_version(void);
/* What the last failing call of this thread said; "" if none failed. Valid until that thread fails again. */
FM_API const char* fm_last_error(void);
/* What can be done about it; may be "". */
FM_API const char* fm_last_hint(void);
/* "invalid argument", "not found", …; never null. */
FM_API const char* fm_status_name(int status);

/* ---- Devices ------------------------------------------------------------------------------------------------------
 */

typedef struct fm_device_info {
  size_t struct_size;
  int is_emulator;
  char name[256];
  char target[16]; /* "sm_90": what kernels are generated for on this device */
  int multiprocessors;
  size_t shared_bytes_per_block;
  size_t memory_bytes;
} fm_device_info;

/* The GPU with this ordinal, in its primary context. */
FM_API fm_status fm_device_open_cuda(int ordinal, fm_device** device);
/* A device that executes PTX on the CPU. `target`: "sm_80", …; null: sm_80. */
FM_API fm_status fm_device_open_emulator(const char* target, uint64_t seed, fm_device** device);
FM_API void fm_device_release(fm_device* device);
FM_API fm_status fm_device_get_info(const fm_device* device, fm_device_info* info);

/* Device memory, 256-byte aligned, not initialised. Addresses are CUdeviceptr on a GPU; memory from elsewhere (PyTorch,
 * the CUDA runtime) is as good. */
FM_API fm_status fm_device_alloc(fm_device* device, size_t bytes, uint64_t* address);
FM_API fm_status fm_device_free(fm_device* device, uint64_t address);
/* Stream-ordered, complete on return. `stream` is a CUstream, null for the default stream. */
FM_API fm_status fm_device_copy_in(fm_device* device, uint64_t destination, const void* source, size_t bytes,
                                   void* stream);
FM_API fm_status fm_device_copy_out(fm_device* device, void* destination, uint64_t source, size_t bytes, void* stream);
FM_API fm_status fm_device_fill(fm_device* device, uint64_t destination, int value, size_t bytes, void* stream);
FM_API fm_status fm_device_synchronize(fm_device* device, void* stream);

/* ---- Runtimes -----------------------------------------------------------------------------------------------------
 */

typedef void (*fm_log_function)(fm_log_level level, const char* message, void* user);

/* Memory of the caller's. */
typedef struct fm_bytes {
  const void* data;
  size_t size;
} fm_bytes;

typedef struct fm_policy {
  size_t struct_size;
  const char* cache_directory; /* absolute; null or "": no cache on disk */
  const char* nvrtc_path;      /* null or "": looked for in the usual places */
  const char* toolchain;       /* null or "": any; "13"; "13.0.88" */
  int no_jit;                  /* not 0: never compile */
  int log_level;               /* an fm_log_level */
  fm_log_function log;         /* null: standard error; called from any thread, one call at a time */
  void* log_user;
  const char* record_path; /* absolute: a manifest to which requests are appended; null or "": none */
  uint64_t cache_bytes;    /* how large the cache may grow; 0: 2 GiB; UINT64_MAX: unlimited */
  /* Looked through before cache_directory, in this order; docs/cache.md. */
  const char* packs;                 /* absolute paths with ':' between; null or "": none */
  const fm_bytes* embedded_packs;    /* packs in memory, which the caller keeps alive and unchanged as long as the */
  size_t num_embedded_packs;         /* runtime; the array itself is copied */
  const char* read_only_directories; /* absolute paths with ':' between; null or "": none */
  /* How long to wait for another process that compiles the same kernel, in milliseconds, an hour at most; 0: a minute;
   * -1: not at all. */
  int64_t compile_wait_ms;
  const char* tuning_path; /* absolute: a database of flashmask tune or its export; null or "": none */
  int tuning_is_optional;  /* not 0: nothing is said where that file is not there */
  int no_shipped_tuning;   /* not 0: the answers that come with the library are not looked up */
} fm_policy;

typedef struct fm_counters {
  size_t struct_size;
  uint64_t requests;
  uint64_t memory_hits;
  uint64_t disk_hits;
  uint64_t compiles;
  uint64_t stores;
  uint64_t failed_stores;
  double generate_seconds;
  double lookup_seconds;
  double compile_seconds;
  double load_seconds;
  uint64_t pack_hits;
} fm_counters;

/* Turns descriptors into kernels. `device` may be null: then only fm_runtime_compile() works. `policy` null: from the
 * environment. */
FM_API fm_status fm_runtime_create(fm_device* device, const fm_policy* policy, fm_runtime** runtime);
FM_API void fm_runtime_release(fm_runtime* runtime);
FM_API fm_status fm_runtime_get_counters(const fm_runtime* runtime, fm_counters* counters);

/* ---- Kernels ------------------------------------------------------------------------------------------------------
 */

/* Everything that changes the code of a kernel. */
typedef struct fm_descriptor {
  size_t struct_size;
  int pass;        /* an fm_pass */
  int dtype;       /* an fm_dtype */
  int head_dim_qk; /* a multiple of 8, 8 to 256 */
  int head_dim_v;
  int mask_form;        /* an fm_mask_form */
  int causal_alignment; /* an fm_causal_alignment */
  const char* target;   /* "sm_90"; null: the target of the runtime's device */
  int deterministic;    /* FM_PASS_BACKWARD only; not 0: the same launch gives the same bits every time */
} fm_descriptor;

/* How a kernel cuts its work. Fields that an older caller's struct does not have count as 0. */
typedef struct fm_tile_config {
  size_t struct_size;
  int tile_q;
  int tile_k;
  int warps;
  int stages;
  int query_in_registers;
  int column_warps; /* of a backward: warps that share their keys; 0: 1 */
  /* Of forwards for sm_90a: */
  int overlap;     /* not 0: scores become probabilities while the product of the tile before with V runs */
  int turns;       /* not 0: the warpgroups take turns */
  int query_slots; /* query tiles in shared memory; 0: 1 */
} fm_tile_config;

/* What is known of the problems to come; it only helps to choose a configuration. 0: unknown. */
typedef struct fm_problem_hint {
  size_t struct_size;
  int seqlen_q;
  int seqlen_k;
  int heads;      /* batch * num_heads_q */
  double density; /* share of the scores that the mask leaves, 0 to 1 */
} fm_problem_hint;

typedef struct fm_kernel_info {
  size_t struct_size;
  char digest[65];  /* the name of the cache entry */
  fm_origin origin; /* where it came from when it was first requested */
  int tile_q;
  int tile_k;
  int warps;
  int stages;
  int registers;
  int spill_bytes;  /* stored and loaded */
  int shared_bytes; /* static and dynamic */
  char config[64];  /* all of the tile configuration, as fm_tile_config_parse() reads it: "128x64,w4,s2" */
} fm_kernel_info;

/* A [batch, seqlen, heads, head_dim] tensor on the device. Strides count elements; head_dim elements are contiguous;
 * the address and every stride whose extent is over 1 are multiples of 16 bytes. */
typedef struct fm_tensor {
  uint64_t data;
  int64_t stride_batch;
  int64_t stride_seqlen;
  int64_t stride_head;
} fm_tensor;

typedef struct fm_forward_args {
  size_t struct_size;
  int batch;
  int seqlen_q;
  int seqlen_k;
  int num_heads_q; /* a multiple of num_heads_kv */
  int num_heads_kv;
  int num_heads_mask; /* 1, num_heads_kv or num_heads_q; only for forms with vectors */
  fm_tensor query;
  fm_tensor key;
  fm_tensor value;
  fm_tensor output;
  uint64_t lse;                  /* float32 [batch, num_heads_q, seqlen_q]; 0: not wanted */
  uint64_t startend_row_indices; /* int32 [batch, num_heads_mask, seqlen_k, vectors], contiguous */
  float softmax_scale;           /* finite and over 0 */
  int window_left;               /* -1: all; FM_MASK_WINDOW only */
  int window_right;
  uint64_t plan; /* of this mask and of the kernel's tiles, see fm_plan_build(); 0: none, and all tiles are visited */
  size_t plan_bytes;
  int plan_tile_q;
  int plan_tile_k;
} fm_forward_args;

typedef struct fm_backward_args {
  size_t struct_size;
  /* What the forward took and gave: its output is read here and its lse needed; the plan, if any, is of the backward
   * kernel's tiles. Read during the call alone. */
  const fm_forward_args* forward;
  fm_tensor output_gradient; /* dO [batch, seqlen_q, num_heads_q, head_dim_v] */
  uint64_t lse_gradient;     /* dLSE, float32 [batch, num_heads_q, seqlen_q]; 0: none */
  /* Written, all of them; each must overlap nothing else that the launch uses. */
  fm_tensor query_gradient; /* [batch, seqlen_q, num_heads_q, head_dim_qk] */
  fm_tensor key_gradient;   /* [batch, seqlen_k, num_heads_kv, head_dim_qk] */
  fm_tensor value_gradient; /* [batch, seqlen_k, num_heads_kv, head_dim_v] */
} fm_backward_args;

/* `struct_size` is sizeof(fm_policy), here and below of the struct that is filled: the log level is warning, everything
 * else null or 0. */
FM_API fm_status fm_init_policy(fm_policy* policy, size_t struct_size);
/* What fm_runtime_create(…, null, …) uses. The strings belong to the calling thread until its next call of this. */
FM_API fm_status fm_policy_from_environment(fm_policy* policy);
/* Forward, bf16, head dims 128, no mask, the device's target. */
FM_API fm_status fm_init_descriptor(fm_descriptor* descriptor, size_t struct_size);
/* num_heads_mask 1, windows -1, everything else 0. */
FM_API fm_status fm_init_forward_args(fm_forward_args* args, size_t struct_size);
/* Everything unknown. */
FM_API fm_status fm_init_problem_hint(fm_problem_hint* hint, size_t struct_size);
/* Everything 0, `forward` null. */
FM_API fm_status fm_init_backward_args(fm_backward_args* args, size_t struct_size);

/* The configuration that a text names, as `flashmask explain` and fm_kernel_info.config write it. */
FM_API fm_status fm_tile_config_parse(const char* text, fm_tile_config* config);

/* A kernel for the descriptor; `config` null: what tuning has answered for it, else the default configuration. A second
 * request for the same is one lookup. */
FM_API fm_status fm_runtime_request(fm_runtime* runtime, const fm_descriptor* descriptor, const fm_tile_config* config,
                                    fm_kernel** kernel);
/* The same for a kernel that will be launched on this stream: while the stream is captured, one that would have to be
 * compiled or loaded is FM_CAPTURING, and the capture goes on. */
FM_API fm_status fm_runtime_request_on_stream(fm_runtime* runtime, const fm_descriptor* descriptor,
                                              const fm_tile_config* config, void* stream, fm_kernel** kernel);
/* The same with what is known of the problems to come (null: nothing), for which tuning may have an answer:
 * docs/tuning.md.
 */
FM_API fm_status fm_runtime_request_for(fm_runtime* runtime, const fm_descriptor* descriptor,
                                        const fm_problem_hint* hint, fm_kernel** kernel);
/* Compiles the kernel into the cache unless it is there; needs no device if the descriptor names a target. `origin` may
 * be null. */
FM_API fm_status fm_runtime_compile(fm_runtime* runtime, const fm_descriptor* descriptor, const fm_tile_config* config,
                                    fm_origin* origin);
FM_API void fm_kernel_release(fm_kernel* kernel);
FM_API fm_status fm_kernel_get_info(const fm_kernel* kernel, fm_kernel_info* info);
/* Bytes of device memory that a launch needs beside its arguments: 0 for most kernels, but not for forwards of sm_90a;
 * always ask. What follows from the shapes alone: the arguments may have no addresses yet. */
FM_API fm_status fm_kernel_workspace_size(const fm_kernel* kernel, const fm_forward_args* args, size_t* bytes);
/* Enqueues the kernel. `workspace`: device memory of at least as many bytes as the query above says, at a multiple of
 * 16, or 0 where it says 0; it needs not be cleared, and is in use until the kernel is done. Allocates nothing,
 * compiles nothing, takes no lock. */
FM_API fm_status fm_kernel_launch_forward(const fm_kernel* kernel, const fm_forward_args* args, uint64_t workspace,
                                          void* stream);
/* The same of a kernel of FM_PASS_BACKWARD; the arguments may have no addresses yet. */
FM_API fm_status fm_kernel_backward_workspace_size(const fm_kernel* kernel, const fm_backward_args* args,
                                                   size_t* bytes);
/* Enqueues the kernels of a backward. `workspace`: device memory of `workspace_bytes` bytes, at least what the query
 * above says, at a multiple of 16; it needs not be cleared, and is in use until the kernels are done. */
FM_API fm_status fm_kernel_launch_backward(const fm_kernel* kernel, const fm_backward_args* args, uint64_t workspace,
                                           size_t workspace_bytes, void* stream);

/* ---- Tensors as DLPack describes them -----------------------------------------------------------------------------
 * Each `const void*` is a const DLTensor* of dlpack/dlpack.h, what frameworks hand out in a "dltensor" capsule. It is
 * read during the call alone; its memory stays the caller's and must live as long as launches use it. Tensors must lie
 * on the kernel's device: kDLCUDA or kDLCUDAManaged with its ordinal; kDLExtDev, 0 where that is the emulator. All
 * rules that are broken are told at once. The order of streams is the caller's matter. */

/* Fills lengths, heads and tensors of initialised arguments: query [batch, seqlen_q, num_heads_q, head_dim_qk], key
 * [batch, seqlen_k, num_heads_kv, head_dim_qk], value […, head_dim_v] and output of the kernel's dtype; lse float32
 * [batch, num_heads_q, seqlen_q] or null; startend_row_indices int32 [batch, num_heads_mask, seqlen_k, vectors] for
 * forms with vectors, else null. The scale, windows and plan stay as they are. */
FM_API fm_status fm_forward_args_from_dlpack(const fm_kernel* kernel, const void* query, const void* key,
                                             const void* value, const void* output, const void* lse,
                                             const void* startend_row_indices, fm_forward_args* args);
/* The same of the gradients, once args->forward is filled; lse_gradient float32 [batch, num_heads_q, seqlen_q] or
 * null. */
FM_API fm_status fm_backward_args_from_dlpack(const fm_kernel* kernel, const void* output_gradient,
                                              const void* lse_gradient, const void* query_gradient,
                                              const void* key_gradient, const void* value_gradient,
                                              fm_backward_args* args);

/* ---- Prepared launches --------------------------------------------------------------------------------------------
 * A launch that is checked, and encoded for the device, once, and then enqueued many times. It reads the caller's
 * structs no more; the device memory that they and the workspace name, a plan's too, must stay. */

/* Fails as fm_kernel_launch_forward() would, and enqueues nothing. `workspace`: device memory of `workspace_bytes`
 * bytes, at least what fm_kernel_workspace_size() says, at a multiple of 16; 0 where none is needed. */
FM_API fm_status fm_kernel_prepare_forward(const fm_kernel* kernel, const fm_forward_args* args, uint64_t workspace,
                                           size_t workspace_bytes, fm_prepared** prepared);
/* The same of fm_kernel_launch_backward() and its workspace. */
FM_API fm_status fm_kernel_prepare_backward(const fm_kernel* kernel, const fm_backward_args* args, uint64_t workspace,
                                            size_t workspace_bytes, fm_prepared** prepared);
/* Enqueues what the launch of these arguments would. Allocates nothing, takes no lock; may be captured. Two that may
 * run at the same time would write the same memory. */
FM_API fm_status fm_prepared_launch(const fm_prepared* prepared, void* stream);
FM_API void fm_prepared_release(fm_prepared* prepared);

/* ---- Mask plans ---------------------------------------------------------------------------------------------------
 * Which tiles of a mask are empty, partial or full: built once on the device, used by every layer whose kernels have
 * these tiles. Forms c1, c2, f2 and f4 have plans. */

typedef struct fm_mask_shape {
  size_t struct_size;
  int form;             /* an fm_mask_form */
  int causal_alignment; /* an fm_causal_alignment */
  int batch;
  int num_heads; /* of the mask */
  int seqlen_q;
  int seqlen_k;
  int window_left; /* -1 */
  int window_right;
} fm_mask_shape;

typedef struct fm_plan_summary {
  size_t struct_size;
  uint64_t full_tiles; /* over all batch entries and mask heads */
  uint64_t partial_tiles;
  uint64_t empty_tiles;
} fm_plan_summary;

/* batch 1, num_heads 1, windows -1, everything else 0. */
FM_API fm_status fm_init_mask_shape(fm_mask_shape* mask, size_t struct_size);
/* Bytes of device memory that a plan takes; tile_q and tile_k are those of fm_kernel_get_info(). */
FM_API fm_status fm_plan_size(const fm_mask_shape* mask, int tile_q, int tile_k, size_t* bytes);
/* Enqueues the building of a plan into the caller's memory, at a multiple of 16 bytes. The first call for a form loads
 * its kernels, and compiles them if the cache has none; later ones allocate nothing and may be captured. */
FM_API fm_status fm_plan_build(fm_runtime* runtime, const fm_mask_shape* mask, int tile_q, int tile_k,
                               uint64_t startend_row_indices, uint64_t plan, size_t bytes, void* stream);
/* Waits for the stream and counts the tiles of a plan. */
FM_API fm_status fm_plan_analyse(fm_runtime* runtime, const fm_mask_shape* mask, int tile_q, int tile_k, uint64_t plan,
                                 size_t bytes, void* stream, fm_plan_summary* summary);

/* ---- Masks written on the device ----------------------------------------------------------------------------------
 * From lengths or ids that lie there; device_masks.h says what each mask is. `mask` is the shape of the result, for
 * fm_plan_build() too: form c1 or f2, bottom right, num_heads 1, no windows. Its int32 [batch, 1, seqlen_k, vectors] go
 * to `startend_row_indices`, the caller's memory of `bytes` bytes. All of these enqueue and return; the first call for
 * a form loads its kernels, and compiles them if the cache has none, later ones allocate nothing and may be captured.
 */

/* Bytes of startend_row_indices. */
FM_API fm_status fm_mask_bytes(const fm_mask_shape* mask, size_t* bytes);
/* Packed documents from their cumulative lengths, int32 [batch, documents + 1] in device memory: sums in
 * 1 .. seqlen_k - 1 are boundaries, in any order, other values are none. Form c1: rows see keys up to themselves; f2:
 * in both directions. */
FM_API fm_status fm_mask_documents(fm_runtime* runtime, const fm_mask_shape* mask, uint64_t cumulative_lengths,
                                   int documents, uint64_t startend_row_indices, size_t bytes, void* stream);
/* The same from document ids, int32 [batch, seqlen_k] in device memory: a document is a longest run of equal ones. */
FM_API fm_status fm_mask_documents_by_ids(fm_runtime* runtime, const fm_mask_shape* mask, uint64_t document_ids,
                                          uint64_t startend_row_indices, size_t bytes, void* stream);
/* Form c1: a row sees the last `window` keys up to itself. */
FM_API fm_status fm_mask_sliding_window(fm_runtime* runtime, const fm_mask_shape* mask, int window,
                                        uint64_t startend_row_indices, size_t bytes, void* stream);
/* Form f2: a row sees `left` keys before and `right` keys behind its own, -1: all; `causal_alignment` (an
 * fm_causal_alignment) says which is its own where the lengths differ. */
FM_API fm_status fm_mask_window_as_intervals(fm_runtime* runtime, const fm_mask_shape* mask, int left, int right,
                                             int causal_alignment, uint64_t startend_row_indices, size_t bytes,
                                             void* stream);

#ifdef __cplusplus
}
#endif

#endif

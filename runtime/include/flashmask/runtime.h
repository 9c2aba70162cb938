#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/device.h"
#include "flashmask/error.h"
#include "flashmask/explanation.h"
#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"
#include "flashmask/kernel_record.h"
#include "flashmask/mask_plan.h"
#include "flashmask/problem_hint.h"
#include "flashmask/tile_config.h"

namespace flashmask {

/// A [batch, seqlen, heads, head_dim] tensor on the device. Strides count elements; the head_dim elements of a row are
/// contiguous, and every row starts at a multiple of 16 bytes (the pointer and each stride whose extent is > 1).
struct TensorView {
  DevicePointer data = 0;
  std::int64_t stride_batch = 0;
  std::int64_t stride_seqlen = 0;
  std::int64_t stride_head = 0;

  /// The strides of a packed tensor.
  static TensorView contiguous(DevicePointer data, std::int64_t seqlen, std::int64_t heads, std::int64_t head_dim) {
    return {data, seqlen * heads * head_dim, heads * head_dim, head_dim};
  }
};

/// Arguments of one forward launch. Nothing here changes the code. Kernels for sm_90a take no strides below 0.
struct ForwardLaunch {
  int batch = 0;
  int seqlen_q = 0;
  int seqlen_k = 0;
  int num_heads_q = 0;  ///< a multiple of num_heads_kv
  int num_heads_kv = 0;
  int num_heads_mask = 1;  ///< 1, num_heads_kv or num_heads_q; only for forms with vectors
  TensorView query{};      ///< [batch, seqlen_q, num_heads_q, head_dim_qk]
  TensorView key{};        ///< [batch, seqlen_k, num_heads_kv, head_dim_qk]
  TensorView value{};      ///< [batch, seqlen_k, num_heads_kv, head_dim_v]
  TensorView output{};     ///< [batch, seqlen_q, num_heads_q, head_dim_v]; rows that see no key become 0
  DevicePointer lse = 0;   ///< float32 [batch, num_heads_q, seqlen_q], natural log, scale included; -inf for rows that
                           ///< see no key; 0: not wanted
  DevicePointer startend_row_indices = 0;  ///< int32 [batch, num_heads_mask, seqlen_k, vectors_per_column], contiguous
  float softmax_scale = 0;                 ///< finite and > 0
  int window_left = -1;                    ///< keys to the left that a query sees; -1: all (kWindow only)
  int window_right = -1;
  /// The plan of this mask for this kernel's tiles (MaskPlan::prepare(), Kernel::tile()); without one, forms with
  /// vectors visit every tile that the diagonal leaves. The result is the same, bit for bit.
  PlanView plan{};
};

/// Arguments of one backward launch. With scores S = scale * Q K^T and P = exp(S - LSE), 0 where masked:
/// dV = P^T dO, dS = P o (dO V^T - D), dQ = scale * dS K, dK = scale * dS^T Q, D = rowsum(dO o O) - dLSE. Rows that see
/// no key get dQ = 0 and add nothing to dK and dV; keys that no row sees get dK = dV = 0. All of dQ, dK and dV is
/// written. Q, K, V, O and dO must be finite, also where they are masked: 0 times what is not is no number.
struct BackwardLaunch {
  /// What the forward took and gave: its lengths, heads, mask, scale, inputs, output and LSE, which must be there. The
  /// plan, if any, is the one for the backward kernel's tiles.
  ForwardLaunch forward{};
  TensorView output_gradient{};    ///< dO [batch, seqlen_q, num_heads_q, head_dim_v]
  DevicePointer lse_gradient = 0;  ///< dLSE, float32 [batch, num_heads_q, seqlen_q]; 0: none. Ignored in rows that see
                                   ///< no key, where it may be anything
  // Written; each must overlap neither another tensor of the launch nor LSE, dLSE, the vectors, the plan or the
  // workspace.
  TensorView query_gradient{};  ///< [batch, seqlen_q, num_heads_q, head_dim_qk]
  TensorView key_gradient{};    ///< [batch, seqlen_k, num_heads_kv, head_dim_qk]
  TensorView value_gradient{};  ///< [batch, seqlen_k, num_heads_kv, head_dim_v]
};

/// Device memory of the caller that a launch needs beside its arguments: 16-byte aligned, in use from the launch until
/// its kernels are done, with nothing in it before or after. Launches that follow each other on a stream may share one.
struct Workspace {
  DevicePointer data = 0;
  std::size_t bytes = 0;
};

/// Every rule that the launch breaks for this descriptor. Empty if legal.
FLASHMASK_API std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const ForwardLaunch& launch);
/// The same, and whether the plan has the tiles of this configuration.
FLASHMASK_API std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const ForwardLaunch& launch,
                                                    const TileConfig& config);
/// The same of a backward launch; of its workspace, Kernel::launch() judges.
FLASHMASK_API std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const BackwardLaunch& launch);
FLASHMASK_API std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const BackwardLaunch& launch,
                                                    const TileConfig& config);

struct RequestOptions {
  ProblemHint hint;
  std::optional<TileConfig> config;  ///< instead of the default; an illegal one is refused
  /// Where the kernel will be launched. While that stream is captured, a kernel that would have to be compiled or
  /// loaded is Error{kCapturing} and the capture goes on; without a stream, a request during a capture may break it.
  std::optional<Stream> stream{};
};

/// A launch whose rules were checked, and whose arguments the device's kernels take as they are: immutable,
/// thread-safe. It keeps its kernel, with what that has loaded, and the device. The caller keeps the memory that the
/// arguments and the workspace name, a plan's too; what lies there may change from one launch to the next.
class FLASHMASK_API PreparedLaunch {
 public:
  virtual ~PreparedLaunch();
  /// Enqueues what Kernel::launch() enqueues for the same arguments and workspace. Checks no rule, encodes nothing,
  /// allocates nothing, takes no lock; capturable in a CUDA graph. Launches that may run at the same time would write
  /// the same memory: order them by a stream. Throws Error{kDevice}.
  virtual void launch(Stream stream = nullptr) const = 0;
};

/// A kernel ready to be launched: immutable, shared, thread-safe.
class FLASHMASK_API Kernel {
 public:
  virtual ~Kernel();
  virtual const KernelDescriptor& descriptor() const = 0;
  virtual const TileConfig& config() const = 0;
  /// The tiles that a plan for this kernel must have.
  TileShape tile() const { return {config().tile_q, config().tile_k}; }
  virtual const KernelResources& resources() const = 0;
  /// Where this kernel came from when it was first requested in this process.
  virtual KernelOrigin origin() const = 0;
  /// Name of the cache entry: the hex digest.
  virtual const std::string& digest() const = 0;
  /// Bytes of device memory that a launch needs beside its arguments; it may be larger. Always ask: a forward needs 0
  /// bytes for most targets, but not for all. What follows from the shapes alone: arguments may have no addresses yet.
  /// Throws what launch() throws of the shapes.
  virtual std::size_t workspace_size(const ForwardLaunch& arguments) const;
  virtual std::size_t workspace_size(const BackwardLaunch& arguments) const;
  /// Enqueues the kernel (a backward: its kernels, one behind the other). Allocates nothing, compiles nothing, takes no
  /// lock; capturable in a CUDA graph. The workspace, of workspace_size() bytes, needs not be cleared; none is right
  /// only where that is 0. Throws Error{kInvalidArgument}, listing every broken rule; arguments of another pass than
  /// the kernel's are one.
  virtual void launch(const ForwardLaunch& arguments, Stream stream = nullptr, Workspace workspace = {}) const;
  virtual void launch(const BackwardLaunch& arguments, Stream stream = nullptr, Workspace workspace = {}) const;
  /// Does once what launch() does before it enqueues, for arguments that are launched many times; enqueues nothing.
  /// Throws what launch() throws.
  virtual std::unique_ptr<const PreparedLaunch> prepare(const ForwardLaunch& arguments, Workspace workspace = {}) const;
  virtual std::unique_ptr<const PreparedLaunch> prepare(const BackwardLaunch& arguments,
                                                        Workspace workspace = {}) const;
};

/// A kernel as files: what `inspect` and `compile` show. No device is needed.
struct CompiledKernel {
  KernelDescriptor descriptor;
  TileConfig config;
  std::string digest;
  std::string entry;
  std::string source;
  std::string ptx;  ///< empty: it came from a pack that was exported without
  std::vector<std::byte> cubin;
  std::string log;        ///< of ptxas
  std::string toolchain;  ///< e.g. "nvrtc 13.0.88"
  KernelResources resources;
  KernelOrigin origin = KernelOrigin::kCompiled;
  double compile_seconds = 0;  ///< what compiling took; 0: this call found it
};

/// Counters since the runtime was made. Times are in seconds, summed over threads.
struct RuntimeCounters {
  std::uint64_t requests = 0;
  std::uint64_t memory_hits = 0;
  std::uint64_t disk_hits = 0;
  std::uint64_t pack_hits = 0;
  std::uint64_t compiles = 0;
  std::uint64_t stores = 0;
  std::uint64_t failed_stores = 0;
  double generate_seconds = 0;
  double lookup_seconds = 0;
  double compile_seconds = 0;
  double load_seconds = 0;
};

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// The cache's size unless a policy says otherwise: 2 GiB, about ten thousand kernels.
inline constexpr std::uint64_t kDefaultCacheBytes = std::uint64_t{2} << 30;
inline constexpr std::uint64_t kUnlimitedCacheBytes = ~std::uint64_t{0};
/// A size with its binary unit, such as 512MiB or 2GiB (KiB, MiB, GiB, TiB), as FLASHMASK_CACHE_SIZE has it. Nothing
/// for another text, also for a number alone, which means bytes to some and gigabytes to others; and for 0.
FLASHMASK_API std::optional<std::uint64_t> parse_cache_bytes(std::string_view text);

/// How long a process waits for another one that compiles the same kernel, unless a policy says otherwise.
inline constexpr std::chrono::milliseconds kDefaultCompileWait{60'000};
inline constexpr std::chrono::milliseconds kMostCompileWait{3'600'000};

/// How a runtime behaves. The environment is read in one place, Policy::from_environment(); see docs/environment.md.
struct FLASHMASK_API Policy {
  /// Directory of the cache, absolute; empty: no disk cache. from_environment(): FLASHMASK_CACHE_DIR ("off": none),
  /// else $XDG_CACHE_HOME/flashmask, else $HOME/.cache/flashmask.
  std::string cache_directory;
  /// Why there is no cache directory although one was wanted (no HOME, …): worth one warning. Empty otherwise.
  std::string cache_refusal;
  /// Files of packed kernels, absolute, looked through in this order and before any directory (FLASHMASK_PACKS). One
  /// that cannot be used is one warning.
  std::vector<std::string> packs;
  /// Packs in memory, such as in the binary of an engine, looked through behind those of files. The caller keeps the
  /// bytes alive and unchanged as long as the runtime and what came from it. Best 64-byte aligned.
  std::vector<std::span<const std::byte>> embedded_packs;
  /// Cache directories that are read and never written, absolute, looked through behind the packs
  /// (FLASHMASK_CACHE_READONLY).
  std::vector<std::string> read_only_directories;
  /// How large the cache may grow, in bytes (FLASHMASK_CACHE_SIZE, such as 512MiB or unlimited): a kernel that is
  /// stored displaces those that were not used for longest. A kernel larger than all of it is not stored.
  std::uint64_t cache_bytes = kDefaultCacheBytes;
  /// How long to wait for another process that compiles the same kernel into the user's directory, before compiling it
  /// too (FLASHMASK_COMPILE_WAIT, in seconds): 0 for not at all, an hour at most.
  std::chrono::milliseconds compile_wait = kDefaultCompileWait;
  /// Full path of the NVRTC library; empty: looked for in the usual places (FLASHMASK_NVRTC).
  std::string nvrtc_path;
  /// Folders of CUDA toolkits whose lib64 and lib are searched for NVRTC (CUDA_HOME, CUDA_PATH).
  std::vector<std::string> cuda_toolkits;
  /// Whose code is wanted from the cache, and from the compiler: empty for any NVRTC, "13" for a major version,
  /// "13.0.88" for exactly one build (FLASHMASK_TOOLCHAIN).
  std::string toolchain;
  /// Refuse to compile: a miss is Error{kNotCached} (FLASHMASK_NO_JIT=1), but for a tuned kernel: the default may
  /// serve.
  bool no_jit = false;
  /// A manifest (manifest.h), absolute, to which every distinct request is appended when it is first made, and so are
  /// the kernels of masks; empty: none (FLASHMASK_RECORD). Processes may share it. A failure is one warning.
  std::string record_path;
  /// Answers of tuning that requests look up: a database that `flashmask tune` wrote, or its JSON export; absolute,
  /// only ever read here; empty: none. from_environment(): FLASHMASK_TUNING ("off": none, and no shipped ones either),
  /// else $XDG_DATA_HOME/flashmask/tuning.db, else $HOME/.local/share/flashmask/tuning.db. One that cannot be used is
  /// one warning.
  std::string tuning_path;
  /// Whether nothing is said where the file is not there: so with the path that nobody named.
  bool tuning_is_optional = false;
  /// Whether the answers that come with the library, for GPUs that were measured, are looked up behind it.
  bool shipped_tuning = true;
  /// Least level that is logged (FLASHMASK_LOG = debug, info, warning, error, off).
  std::optional<LogLevel> log_level = LogLevel::kWarning;
  /// Where messages go; empty: standard error. Called from any thread, one call at a time.
  std::function<void(LogLevel, const std::string&)> log;

  /// Reads FLASHMASK_*; throws Error{kInvalidArgument} naming the variable, its value and what is allowed.
  static Policy from_environment();
};

class BuildKernels;
class PlanKernels;

/// Turns descriptors into kernels: in memory, else from a pack or a cache directory, else compiled and stored in the
/// user's cache directory. Thread-safe; one compilation per kernel however many threads ask. Needs no compiler while
/// the cache or a pack has the kernel, and no device for compile() and explain().
class FLASHMASK_API Runtime {
 public:
  /// `device` may be null: then only compile(), explain(), tuned_configs() and source() work.
  explicit Runtime(std::shared_ptr<Device> device, Policy policy = Policy::from_environment());
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// A kernel for the descriptor, whose target must run on the device. Throws Error: kInvalidArgument or kUnsupported
  /// with every broken rule, kNotFound without NVRTC, kCompile, kDevice, kNotCached, kCapturing. Without a
  /// configuration and where the kernel that tuning chose cannot be had, the default one serves, if it can, to the
  /// runtime's end.
  std::shared_ptr<const Kernel> request(const KernelDescriptor& descriptor, const RequestOptions& options = {});
  /// Its images, from the cache or compiled and stored; never loaded. No other kernel stands in for a tuned one here.
  CompiledKernel compile(const KernelDescriptor& descriptor, const RequestOptions& options = {});
  /// Lets go of the images of this kernel (CompiledKernel::digest) that are kept for whoever asks next: the next
  /// compile() reads them from the cache. For those who compile many; kernels that were requested stay loaded.
  void forget_images(const std::string& digest);
  /// What a request would get, from where and why, without doing it: nothing is compiled, loaded, stored, removed or
  /// counted, no compiler is looked for, the device takes no part. Throws kInvalidArgument or kUnsupported with every
  /// rule.
  Explanation explain(const KernelDescriptor& descriptor, const RequestOptions& options = {}) const;
  /// The configurations that answers of tuning name for a descriptor, on whatever GPU and in whatever bucket: what a
  /// request for it may take in place of the default, so what is worth precompiling beside it. In one fixed order, with
  /// those of the cost model, which only the emulator takes; answers that are stale or illegal are left out.
  std::vector<TileConfig> tuned_configs(const KernelDescriptor& descriptor) const;
  /// The text alone: neither cache nor compiler.
  static std::string source(const KernelDescriptor& descriptor, const RequestOptions& options = {});

  const std::shared_ptr<Device>& device() const;
  const Policy& policy() const;
  RuntimeCounters counters() const;

 private:
  friend class MaskPlan;
  friend class BuildKernels;
  std::shared_ptr<const PlanKernels> plan_kernels(MaskForm form, CausalAlignment alignment,
                                                  std::optional<Stream> stream);
  std::shared_ptr<const BuildKernels> build_kernels(MaskForm form, std::optional<Stream> stream);

  struct State;
  std::unique_ptr<State> state_;
};

/// One line of what `doctor` finds.
struct Finding {
  enum class Status { kOk, kMissing, kProblem };
  std::string subject;  ///< "nvrtc", "driver", "gpu", "cache directory", …
  Status status = Status::kOk;
  std::string detail;  ///< what was found where
  std::string mend;    ///< what to do; empty when ok
};
/// Looks at this machine: library version, NVRTC, driver, GPUs, cache directory, policy. Never throws.
FLASHMASK_API std::vector<Finding> diagnose(const Policy& policy);

/// "0.1.0".
FLASHMASK_API const char* version();

}  // namespace flashmask

#include "flashmask/runtime.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "allocation_counter.h"
#include "cache/store.h"
#include "flashmask/device_masks.h"
#include "recording_device.h"
#include "templates/forward_arguments.cuh"
#include "templates/forward_sm90_arguments.cuh"
#include "temporary_directory.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RecordingDevice;
using testing::TemporaryDirectory;

// The smallest kernel there is: what is tested here is the way to it.
KernelDescriptor small_kernel() {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = 32;
  descriptor.head_dim_v = 32;
  return descriptor;
}

KernelDescriptor hopper_kernel() {
  KernelDescriptor descriptor = small_kernel();
  descriptor.target = {90, true};
  return descriptor;
}

ForwardLaunch small_launch() {
  ForwardLaunch launch;
  launch.batch = 3;
  launch.seqlen_q = 100;
  launch.seqlen_k = 50;
  launch.num_heads_q = 4;
  launch.num_heads_kv = 2;
  launch.query = TensorView::contiguous(0x1000, 100, 4, 32);
  launch.key = TensorView::contiguous(0x2000, 50, 2, 32);
  launch.value = TensorView::contiguous(0x3000, 50, 2, 32);
  launch.output = TensorView::contiguous(0x4000, 100, 4, 32);
  launch.softmax_scale = 1;
  return launch;
}

template <typename Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

class RuntimeTest : public ::testing::Test {
 protected:
  /// The policy of the environment with a cache of this test's own; warnings are collected.
  Policy policy(const std::string& cache_directory) {
    Policy made = Policy::from_environment();
    made.cache_directory = cache_directory;
    made.no_jit = false;
    made.toolchain.clear();
    made.log_level = LogLevel::kWarning;
    made.log = [this](LogLevel, const std::string& message) { warnings_.push_back(message); };
    return made;
  }
  static std::vector<std::filesystem::path> entries_in(const std::string& directory) {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
      if (entry.is_regular_file() && entry.path().filename() != ".locks") found.push_back(entry.path());
    return found;
  }

  TemporaryDirectory directory_;
  std::string cache_ = directory_.file("cache");
  std::shared_ptr<RecordingDevice> device_ = std::make_shared<RecordingDevice>();
  std::vector<std::string> warnings_;
};

TEST_F(RuntimeTest, AKernelIsCompiledOnceThenComesFromDiskThenFromMemory) {
  std::string digest;
  {
    Runtime first(device_, policy(cache_));
    const auto kernel = first.request(small_kernel());
    EXPECT_EQ(kernel->origin(), KernelOrigin::kCompiled);
    EXPECT_GT(kernel->resources().registers, 0);
    EXPECT_EQ(kernel->descriptor(), small_kernel());
    digest = kernel->digest();
    const RuntimeCounters counters = first.counters();
    EXPECT_EQ(counters.requests, 1u);
    EXPECT_EQ(counters.compiles, 1u);
    EXPECT_EQ(counters.stores, 1u);
    EXPECT_EQ(counters.disk_hits + counters.memory_hits + counters.failed_stores, 0u);
    EXPECT_GT(counters.compile_seconds, 0);
  }
  // Nothing is compiled any more, so nothing needs a compiler.
  Policy without_compiler = policy(cache_);
  without_compiler.nvrtc_path = "/nonexistent/libnvrtc.so.13";
  without_compiler.no_jit = true;
  Runtime second(device_, without_compiler);
  const auto kernel = second.request(small_kernel());
  EXPECT_EQ(kernel->origin(), KernelOrigin::kDisk);
  EXPECT_EQ(kernel->digest(), digest);
  EXPECT_GT(kernel->resources().registers, 0);
  EXPECT_EQ(kernel->resources().dynamic_shared_bytes, static_cast<int>(device_->loaded_shared_bytes));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(second.request(small_kernel()), kernel);
  const RuntimeCounters counters = second.counters();
  EXPECT_EQ(counters.requests, 11u);
  EXPECT_EQ(counters.disk_hits, 1u);
  EXPECT_EQ(counters.memory_hits, 10u);
  EXPECT_EQ(counters.compiles, 0u);
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(RuntimeTest, ManyThreadsThatAskAtOnceShareOneCompilation) {
  constexpr int kThreads = 64;
  Runtime runtime(device_, policy(cache_));
  std::vector<std::shared_ptr<const Kernel>> kernels(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] { kernels[static_cast<std::size_t>(i)] = runtime.request(small_kernel()); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& kernel : kernels) EXPECT_EQ(kernel, kernels.front());
  const RuntimeCounters counters = runtime.counters();
  EXPECT_EQ(counters.requests, 64u);
  EXPECT_EQ(counters.compiles, 1u);
  EXPECT_EQ(counters.memory_hits, 63u);
  EXPECT_EQ(device_->loads, 1);
}

TEST_F(RuntimeTest, ASweepOfShapesCompilesOneKernel) {
  Runtime runtime(device_, policy(cache_));
  for (int i = 1; i <= 50; ++i) {
    RequestOptions options;
    options.hint = {37 * i, 41 * i, i};
    runtime.request(small_kernel(), options);
  }
  EXPECT_EQ(runtime.counters().compiles, 1u);
  EXPECT_EQ(runtime.counters().memory_hits, 49u);
}

TEST_F(RuntimeTest, TheDefaultConfigurationNamedExplicitlyIsTheSameKernel) {
  Runtime runtime(device_, policy(cache_));
  const auto kernel = runtime.request(small_kernel());
  RequestOptions options;
  options.config = default_tile_config(small_kernel());
  EXPECT_EQ(runtime.request(small_kernel(), options), kernel);
  EXPECT_EQ(runtime.counters().compiles, 1u);
}

TEST_F(RuntimeTest, CompileNeedsNoDeviceAndSharesTheCacheWithRequest) {
  Runtime compiler(nullptr, policy(cache_));
  const CompiledKernel compiled = compiler.compile(small_kernel());
  EXPECT_EQ(compiled.origin, KernelOrigin::kCompiled);
  EXPECT_THAT(compiled.ptx, HasSubstr(compiled.entry));
  EXPECT_EQ(compiled.source, Runtime::source(small_kernel()));
  EXPECT_THAT(compiled.toolchain, HasSubstr("nvrtc"));
  EXPECT_EQ(compiler.compile(small_kernel()).origin, KernelOrigin::kMemory);
  EXPECT_EQ(error_of([&] { compiler.request(small_kernel()); }).code(), ErrorCode::kInvalidArgument);

  Runtime runtime(device_, policy(cache_));
  const CompiledKernel found = runtime.compile(small_kernel());
  EXPECT_EQ(found.origin, KernelOrigin::kDisk);
  EXPECT_EQ(found.cubin, compiled.cubin);
  EXPECT_EQ(found.ptx, compiled.ptx);
  EXPECT_EQ(found.log, compiled.log);
  EXPECT_EQ(found.resources.registers, compiled.resources.registers);
  const auto kernel = runtime.request(small_kernel());
  EXPECT_EQ(device_->loaded_cubin, compiled.cubin);
  EXPECT_EQ(kernel->digest(), compiled.digest);
  EXPECT_EQ(runtime.counters().memory_hits, 1u);
}

TEST_F(RuntimeTest, CompilingTwiceGivesTheSameBytes) {
  const CompiledKernel first = Runtime(nullptr, policy(directory_.file("one"))).compile(small_kernel());
  const CompiledKernel second = Runtime(nullptr, policy(directory_.file("two"))).compile(small_kernel());
  EXPECT_EQ(second.origin, KernelOrigin::kCompiled);
  EXPECT_EQ(first.cubin, second.cubin);
  EXPECT_EQ(first.ptx, second.ptx);
}

TEST_F(RuntimeTest, TwoCachesHoldAKernelInEqualBytesWhoeverCompiledItAndHoweverLongThatTook) {
  std::vector<std::string> contents;
  for (const char* name : {"one", "the other"}) {
    Runtime(device_, policy(directory_.file(name))).request(small_kernel());
    const std::vector<std::filesystem::path> entries = entries_in(directory_.file(name));
    ASSERT_EQ(entries.size(), 1u);
    std::ifstream file(entries.front(), std::ios::binary);
    contents.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  EXPECT_FALSE(contents[0].empty());
  EXPECT_EQ(contents[0], contents[1]);
}

TEST_F(RuntimeTest, ACorruptEntryIsCompiledAnewAndHealed) {
  Runtime(nullptr, policy(cache_)).compile(small_kernel());
  const auto files = entries_in(cache_);
  ASSERT_EQ(files.size(), 1u);
  {
    std::fstream file(files[0], std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(files[0]) / 2);
    file.seekg(middle);
    const int byte = file.get();
    file.seekp(middle);
    file.put(static_cast<char>(byte ^ 0x10));
  }
  EXPECT_EQ(Runtime(nullptr, policy(cache_)).compile(small_kernel()).origin, KernelOrigin::kCompiled);
  EXPECT_EQ(Runtime(nullptr, policy(cache_)).compile(small_kernel()).origin, KernelOrigin::kDisk);
  EXPECT_EQ(entries_in(cache_).size(), 1u);
}

TEST_F(RuntimeTest, AnEntryOfAnotherKernelUnderThisNameIsNotServed) {
  // Only the record is forged: the images are sound, so nothing but the comparison of the record can notice.
  KernelDescriptor other = small_kernel();
  other.dtype = DataType::kFloat16;
  Runtime runtime(nullptr, policy(cache_));
  runtime.compile(small_kernel());
  const auto mine = entries_in(cache_);
  runtime.compile(other);
  for (const auto& file : entries_in(cache_))
    if (file != mine[0]) std::filesystem::copy_file(file, mine[0], std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(Runtime(nullptr, policy(cache_)).compile(small_kernel()).origin, KernelOrigin::kCompiled);
}

TEST_F(RuntimeTest, AnEntryWhoseRecordIsOfTheSchemaBeforeIsAMissAndReplaced) {
  const std::string hex = Runtime(nullptr, policy(cache_)).compile(small_kernel()).digest;
  const cache::Digest digest = cache::Digest::from_hex(hex).value();
  cache::Store store({.directory = cache_});
  const cache::LookupResult found = store.lookup(digest, cache::TagPolicy::any());
  ASSERT_TRUE(found);
  std::string metadata(found.entry->metadata());
  const std::string now = "\"schema\": 2";
  ASSERT_NE(metadata.find(now), std::string::npos) << metadata;
  metadata.replace(metadata.find(now), now.size(), "\"schema\": 1");
  ASSERT_TRUE(store.publish({digest, found.entry->toolchain_tag(), metadata, found.entry->sections()}));

  Runtime runtime(nullptr, policy(cache_));
  EXPECT_THAT(runtime.explain(small_kernel()).cache_miss, HasSubstr("schema 1 is not 2"));
  EXPECT_EQ(runtime.compile(small_kernel()).origin, KernelOrigin::kCompiled);
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_EQ(Runtime(nullptr, policy(cache_)).compile(small_kernel()).origin, KernelOrigin::kDisk);
}

TEST_F(RuntimeTest, AFileInThePlaceOfTheCacheIsOneWarningAndTheKernelsRun) {
  std::ofstream(directory_.file("file")) << "in the way";
  Runtime runtime(device_, policy(directory_.file("file")));
  KernelDescriptor other = small_kernel();
  other.dtype = DataType::kFloat16;
  EXPECT_NE(runtime.request(small_kernel()), nullptr);
  EXPECT_NE(runtime.request(other), nullptr);
  EXPECT_EQ(runtime.counters().compiles, 2u);
  EXPECT_EQ(runtime.counters().failed_stores, 2u);
  EXPECT_EQ(runtime.counters().stores, 0u);
  EXPECT_EQ(warnings_.size(), 1u) << ::testing::PrintToString(warnings_);
}

TEST_F(RuntimeTest, ADirectoryThatOthersMayWriteIsOneWarningThatNamesTheMend) {
  std::filesystem::create_directory(cache_);
  ASSERT_EQ(chmod(cache_.c_str(), 0777), 0);
  Runtime runtime(device_, policy(cache_));
  EXPECT_NE(runtime.request(small_kernel()), nullptr);
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr(cache_), HasSubstr("chmod"))));
  EXPECT_THAT(entries_in(cache_), IsEmpty());
}

TEST_F(RuntimeTest, AnotherProcessThatCompilesIsWaitedForAsLongAsThePolicySays) {
  const std::string hex = Runtime(nullptr, policy(cache_)).explain(small_kernel()).digest;
  cache::Store other({.directory = cache_});
  const cache::Claim held = other.claim(cache::Digest::from_hex(hex).value(), cache::TagPolicy::any());
  ASSERT_EQ(held.turn, cache::Turn::kHeld);
  Policy patient = policy(cache_);
  patient.compile_wait = std::chrono::milliseconds(300);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Runtime(nullptr, patient).compile(small_kernel()).origin, KernelOrigin::kCompiled);
  EXPECT_GE(std::chrono::steady_clock::now() - start, patient.compile_wait);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("claimed to be compiling it for 0.3 seconds: is one stopped?")));
}

TEST_F(RuntimeTest, WhoDoesNotWantToWaitCompilesAtOnceAndIsNotWarned) {
  const std::string hex = Runtime(nullptr, policy(cache_)).explain(small_kernel()).digest;
  cache::Store other({.directory = cache_});
  const cache::Claim held = other.claim(cache::Digest::from_hex(hex).value(), cache::TagPolicy::any());
  for (const int milliseconds : {0, -1}) {
    Policy impatient = policy(cache_);
    impatient.compile_wait = std::chrono::milliseconds(milliseconds);
    EXPECT_EQ(Runtime(nullptr, impatient).compile(small_kernel()).origin,
              milliseconds == 0 ? KernelOrigin::kCompiled : KernelOrigin::kDisk);
  }
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(RuntimeTest, WithoutACacheKernelsAreCompiledAndNothingIsSaid) {
  Runtime runtime(device_, policy(""));
  EXPECT_EQ(runtime.request(small_kernel())->origin(), KernelOrigin::kCompiled);
  EXPECT_EQ(runtime.counters().failed_stores, 0u);
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(RuntimeTest, AMissingHomeIsOneWarning) {
  Policy homeless = policy("");
  homeless.cache_refusal = "there is no home";
  Runtime runtime(device_, homeless);
  runtime.request(small_kernel());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("there is no home")));
}

TEST_F(RuntimeTest, WithoutACompilerAMissNamesTheMendAndIsTriedAnew) {
  Policy without_compiler = policy(cache_);
  without_compiler.nvrtc_path = "/nonexistent/libnvrtc.so.13";
  Runtime runtime(device_, without_compiler);
  for (int i = 0; i < 2; ++i) {
    const Error error = error_of([&] { runtime.request(small_kernel()); });
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.hint(), HasSubstr("tools/setup.sh"));
  }
  Runtime(nullptr, policy(cache_)).compile(small_kernel());
  EXPECT_EQ(runtime.request(small_kernel())->origin(), KernelOrigin::kDisk);
}

TEST_F(RuntimeTest, UnderNoJitAMissPrintsTheCommandThatPrecompilesTheKernel) {
  Policy no_jit = policy(cache_);
  no_jit.no_jit = true;
  Runtime runtime(device_, no_jit);
  const Error error = error_of([&] { runtime.request(small_kernel()); });
  EXPECT_EQ(error.code(), ErrorCode::kNotCached);
  EXPECT_THAT(error.hint(), AllOf(HasSubstr("flashmask compile --pass forward --dtype bf16 --head-dim 32 --form none "
                                            "--target sm_80"),
                                  HasSubstr(cache_)));
  EXPECT_EQ(runtime.counters().compiles, 0u);
}

TEST_F(RuntimeTest, ADemandedToolchainIsHonoured) {
  const std::string toolchain = Runtime(nullptr, policy(cache_)).compile(small_kernel()).toolchain;
  Policy same = policy(cache_);
  same.toolchain = toolchain.substr(toolchain.find(' ') + 1);
  EXPECT_EQ(Runtime(nullptr, same).compile(small_kernel()).origin, KernelOrigin::kDisk);
  Policy other = policy(cache_);
  other.toolchain = "1.2.3";
  EXPECT_THAT(error_of([&] { Runtime(nullptr, other).compile(small_kernel()); }).what(), HasSubstr("1.2.3"));
}

TEST_F(RuntimeTest, AnIllegalRequestListsEveryBrokenRule) {
  KernelDescriptor broken = small_kernel();
  broken.head_dim_qk = 100;
  broken.head_dim_v = 300;
  Runtime runtime(device_, policy(cache_));
  const Error error = error_of([&] { runtime.request(broken); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("100"), HasSubstr("300")));
  RequestOptions options;
  options.config = TileConfig{1, 1, 1, 1, false};
  EXPECT_EQ(error_of([&] { runtime.request(small_kernel(), options); }).code(), ErrorCode::kInvalidArgument);
}

TEST_F(RuntimeTest, CodeThatTheGpuCannotRunIsRefusedBeforeItIsCompiled) {
  const auto gpu = std::make_shared<RecordingDevice>(DeviceKind::kCuda, Target{80, false});
  Runtime runtime(gpu, policy(cache_));
  KernelDescriptor newer = small_kernel();
  newer.target = {90, false};
  const Error error = error_of([&] { runtime.request(newer); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("sm_90"), HasSubstr("sm_80")));
  EXPECT_EQ(runtime.counters().compiles, 0u);
}

TEST_F(RuntimeTest, ALaunchFillsTheArgumentsAndTheGrid) {
  Runtime runtime(device_, policy(cache_));
  const auto kernel = runtime.request(small_kernel());
  int marker = 0;
  kernel->launch(small_launch(), &marker);
  const auto tiles = static_cast<std::uint32_t>((100 + kernel->config().tile_q - 1) / kernel->config().tile_q);
  EXPECT_THAT(device_->geometry.grid, ElementsAre(tiles * 4 * 3, 1u, 1u));
  EXPECT_EQ(device_->geometry.block, static_cast<std::uint32_t>(32 * kernel->config().warps));
  EXPECT_EQ(device_->geometry.shared_bytes, device_->loaded_shared_bytes);
  EXPECT_EQ(device_->arguments<ForwardArguments>().seqlen_k, 50);
  EXPECT_EQ(device_->stream, &marker);
  EXPECT_EQ(kernel->workspace_size(small_launch()), 0u);
}

TEST_F(RuntimeTest, AForwardForSm90aIsGivenBoxesOfItsTensorsAndAnEmptyQueue) {
  Runtime runtime(device_, policy(cache_));
  const auto kernel = runtime.request(hopper_kernel());
  EXPECT_GT(kernel->workspace_size(ForwardLaunch{}), 0u);
  const Workspace workspace{0x8000, kernel->workspace_size(small_launch())};
  int marker = 0;
  kernel->launch(small_launch(), &marker, workspace);
  EXPECT_EQ(device_->launches, 1);
  EXPECT_EQ(device_->stream, &marker);
  EXPECT_EQ(device_->geometry.block, static_cast<std::uint32_t>(32 * (kernel->config().warps + 4)));
  EXPECT_EQ(device_->geometry.shared_bytes, device_->loaded_shared_bytes);

  // The queue is emptied in the order of the stream, before the kernel.
  EXPECT_EQ(device_->filled.destination, workspace.data);
  EXPECT_EQ(device_->filled.value, 0);
  EXPECT_LE(device_->filled.bytes, workspace.bytes);
  EXPECT_EQ(device_->filled.stream, &marker);
  EXPECT_EQ(device_->filled.launches_before, 0);

  const auto arguments = device_->arguments<ForwardSm90Arguments>();
  const int tiles = (100 + kernel->config().tile_q - 1) / kernel->config().tile_q;
  EXPECT_EQ(arguments.work_items, tiles * 4 * 3);
  EXPECT_EQ(arguments.tickets, reinterpret_cast<unsigned*>(workspace.data));
  EXPECT_EQ(arguments.forward.seqlen_k, 50);
  EXPECT_EQ(device_->encodings, 4);
  const TensorMap* maps[] = {&arguments.query, &arguments.key, &arguments.value, &arguments.output};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(maps[i]->bytes[0], i);
  const DevicePointer addresses[] = {0x1000, 0x2000, 0x3000, 0x4000};
  const int seqlens[] = {100, 50, 50, 100}, heads[] = {4, 2, 2, 4};
  const int rows[] = {kernel->config().tile_q, kernel->config().tile_k, kernel->config().tile_k, 16};
  for (std::size_t i = 0; i < 4; ++i) {
    const TensorBox& box = device_->boxes[i];
    EXPECT_EQ(box.data, addresses[i]) << i;
    EXPECT_EQ(box.columns, 32) << i;
    EXPECT_EQ(box.seqlen, seqlens[i]) << i;
    EXPECT_EQ(box.heads, heads[i]) << i;
    EXPECT_EQ(box.batch, 3) << i;
    EXPECT_EQ(box.stride_seqlen, heads[i] * 32) << i;
    EXPECT_EQ(box.stride_heads, 32) << i;
    EXPECT_EQ(box.stride_batch, seqlens[i] * heads[i] * 32) << i;
    EXPECT_EQ(box.box_columns, 32) << i;
    EXPECT_EQ(box.box_rows, rows[i]) << i;
  }
}

TEST_F(RuntimeTest, AForwardForSm90aHasNoMoreCtasThanTheDeviceHasMultiprocessors) {
  const auto device = std::make_shared<RecordingDevice>(DeviceKind::kEmulator, Target{90, true}, 7);
  Runtime runtime(device, policy(cache_));
  const auto kernel = runtime.request(hopper_kernel());
  ForwardLaunch launch = small_launch();
  const Workspace workspace{0x8000, kernel->workspace_size(launch)};
  kernel->launch(launch, nullptr, workspace);
  EXPECT_THAT(device->geometry.grid, ElementsAre(7u, 1u, 1u));  // of 12 pieces of work or more
  launch.batch = 1;
  launch.seqlen_q = 1;
  kernel->launch(launch, nullptr, workspace);
  EXPECT_THAT(device->geometry.grid, ElementsAre(4u, 1u, 1u));
}

TEST_F(RuntimeTest, AForwardForSm90aWithoutItsWorkspaceIsRefused) {
  Runtime runtime(device_, policy(cache_));
  const auto kernel = runtime.request(hopper_kernel());
  const std::size_t needed = kernel->workspace_size(small_launch());
  const auto refusal = [&](Workspace workspace) {
    const Error error = error_of([&] { kernel->launch(small_launch(), nullptr, workspace); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return std::string(error.what());
  };
  EXPECT_THAT(refusal({}), AllOf(HasSubstr("the workspace is null"), HasSubstr("workspace_size()")));
  EXPECT_THAT(refusal({0x8000, needed - 1}), HasSubstr("the workspace has " + std::to_string(needed - 1) + " bytes"));
  EXPECT_THAT(refusal({0x8008, needed}), HasSubstr("the workspace is at 0x8008"));
  EXPECT_EQ(device_->launches, 0);
  EXPECT_EQ(device_->filled.bytes, 0u);
  kernel->launch(small_launch(), nullptr, {0x8000, needed + 100});
  EXPECT_EQ(device_->launches, 1);
}

TEST_F(RuntimeTest, ALaunchOfAForwardForSm90aAllocatesNothing) {
  Runtime runtime(device_, policy(cache_));
  const auto kernel = runtime.request(hopper_kernel());
  const ForwardLaunch launch = small_launch();
  const Workspace workspace{0x8000, kernel->workspace_size(launch)};
  const std::uint64_t before = testing::allocations_of_this_thread();
  kernel->launch(launch, nullptr, workspace);
  EXPECT_EQ(testing::allocations_of_this_thread(), before);
}

TEST_F(RuntimeTest, AnIllegalLaunchListsItsRulesAndReachesNoDevice) {
  Runtime runtime(device_, policy(cache_));
  const auto kernel = runtime.request(small_kernel());
  ForwardLaunch launch = small_launch();
  launch.batch = 0;
  launch.softmax_scale = -1;
  const Error error = error_of([&] { kernel->launch(launch); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("batch = 0"), HasSubstr("softmax_scale = -1")));
  EXPECT_EQ(device_->launches, 0);
}

TEST_F(RuntimeTest, ALaunchAndAHotRequestAllocateNothing) {
  Runtime runtime(device_, policy(cache_));
  const auto kernel = runtime.request(small_kernel());
  const ForwardLaunch launch = small_launch();
  const std::uint64_t before = testing::allocations_of_this_thread();
  kernel->launch(launch);
  runtime.request(small_kernel());
  EXPECT_EQ(testing::allocations_of_this_thread(), before);
}

TEST_F(RuntimeTest, AMaskIsWrittenByOneLaunchOrThreeThatAllocateNothing) {
  Runtime runtime(device_, policy(cache_));
  device_masks::load(runtime, MaskForm::kC1);
  const RuntimeCounters loaded = runtime.counters();
  int marker = 0;
  const device_masks::Extents extents{.batch = 3, .seqlen_q = 5000, .seqlen_k = 5000};
  const device_masks::Output output{0x100000, device_masks::bytes_needed(MaskForm::kC1, extents)};
  const std::uint64_t before = testing::allocations_of_this_thread();
  device_masks::causal_documents(runtime, extents, device_masks::CumulativeLengths{0x1000, 7}, output, &marker);
  EXPECT_EQ(device_->launches, 1);
  EXPECT_EQ(device_->geometry.grid[0], 5u);  // chunks of 1024 keys
  EXPECT_EQ(device_->geometry.grid[1], 3u);
  EXPECT_EQ(device_->stream, &marker);
  device_masks::sliding_window(runtime, extents, 100, output, &marker);
  EXPECT_EQ(device_->launches, 2);
  device_masks::causal_documents(runtime, extents, device_masks::DocumentIds{0x1000}, output, &marker);
  EXPECT_EQ(device_->launches, 5);
  EXPECT_EQ(testing::allocations_of_this_thread(), before);
  EXPECT_EQ(runtime.counters().requests, loaded.requests);
  EXPECT_EQ(runtime.counters().compiles, 1u);
}

}  // namespace
}  // namespace flashmask

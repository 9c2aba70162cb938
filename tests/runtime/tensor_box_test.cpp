#include "runtime/device/tensor_box.h"

#include <gmock/gmock.h>

#include <dlfcn.h>

#include "fake_driver/fake_cuda.h"
#include "flashmask/error.h"
#include "runtime/device/cuda_device.h"

namespace flashmask {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A packed tensor of two batch entries, 100 rows, four heads of 128 columns.
TensorBox packed() {
  return {.data = 0x10000,
          .columns = 128,
          .seqlen = 100,
          .heads = 4,
          .batch = 2,
          .stride_seqlen = 512,
          .stride_heads = 128,
          .stride_batch = 51200,
          .box_columns = 64,
          .box_rows = 128};
}

struct BoxCase {
  void (*change)(TensorBox&);
  const char* rule;  ///< what the refusal must say; null: the box is legal
};

const BoxCase kCases[] = {
    {[](TensorBox&) {}, nullptr},
    {[](TensorBox& b) { b.data = 0; }, "the tensor is at 0x0: a multiple of 16 other than 0"},
    {[](TensorBox& b) { b.data += 8; }, "the tensor is at 0x10008"},
    {[](TensorBox& b) { b.columns = 0; }, "columns = 0: 1 to 2^32"},
    {[](TensorBox& b) { b.columns = 8; }, nullptr},
    {[](TensorBox& b) { b.seqlen = 0; }, "seqlen = 0: 1 to 2^32"},
    {[](TensorBox& b) { b.seqlen = -4; }, "seqlen = -4"},
    {[](TensorBox& b) { b.seqlen = std::int64_t{1} << 32; }, nullptr},
    {[](TensorBox& b) { b.seqlen = (std::int64_t{1} << 32) + 1; }, "seqlen = 4294967297"},
    {[](TensorBox& b) { b.heads = 0; }, "head = 0"},
    {[](TensorBox& b) { b.batch = 0; }, "batch = 0"},
    {[](TensorBox& b) { b.stride_seqlen = 516; },
     "the seqlen stride is 516 elements: a tensor map needs a multiple of 8"},
    {[](TensorBox& b) { b.stride_heads = 1; }, "the head stride is 1 elements"},
    {[](TensorBox& b) { b.stride_batch = 4; }, "the batch stride is 4 elements"},
    {[](TensorBox& b) { b.stride_seqlen = -512; }, "the seqlen stride is -512 elements: a tensor map takes 0 to"},
    {[](TensorBox& b) { b.stride_heads = -128; }, "the head stride is -128"},
    {[](TensorBox& b) { b.stride_batch = std::int64_t{1} << 39; },
     "the batch stride is 549755813888 elements: a tensor map takes 0 to 549755813887"},
    {[](TensorBox& b) { b.stride_batch = (std::int64_t{1} << 39) - 8; }, nullptr},
    {[](TensorBox& b) { b.stride_heads = 0; }, nullptr},
    {[](TensorBox& b) { b.box_columns = 8; }, "box_columns = 8: 16, 32 or 64"},
    {[](TensorBox& b) { b.box_columns = 48; }, "box_columns = 48"},
    {[](TensorBox& b) { b.box_columns = 128; }, "box_columns = 128"},
    {[](TensorBox& b) { b.box_columns = 16; }, nullptr},
    {[](TensorBox& b) { b.box_columns = 32; }, nullptr},
    {[](TensorBox& b) { b.box_rows = 0; }, "box_rows = 0: 1 to 256"},
    {[](TensorBox& b) { b.box_rows = 1; }, nullptr},
    {[](TensorBox& b) { b.box_rows = 256; }, nullptr},
    {[](TensorBox& b) { b.box_rows = 257; }, "box_rows = 257"},
};

TEST(TensorBoxRules, AreNamedWithWhatWasGivenAndWhatIsAllowed) {
  for (const BoxCase& each : kCases) {
    TensorBox box = packed();
    each.change(box);
    if (each.rule == nullptr)
      EXPECT_THAT(broken_rule(box), IsEmpty());
    else
      EXPECT_THAT(broken_rule(box), HasSubstr(each.rule));
  }
}

TEST(TensorBoxRules, IgnoreTheStridesOfExtentsOf1) {
  for (const std::int64_t stride : {std::int64_t{-8}, std::int64_t{3}, std::int64_t{1} << 60}) {
    TensorBox box = packed();
    box.seqlen = box.heads = box.batch = 1;
    box.stride_seqlen = box.stride_heads = box.stride_batch = stride;
    EXPECT_THAT(broken_rule(box), IsEmpty()) << stride;
    const BoxStrides bytes = strides_in_bytes(box);
    for (const std::uint64_t each : {bytes.seqlen, bytes.heads, bytes.batch}) {
      EXPECT_GT(each, 0u);
      EXPECT_EQ(each % 16, 0u);
      EXPECT_LT(each, std::uint64_t{1} << 40);
    }
    box.batch = 2;
    EXPECT_THAT(broken_rule(box), HasSubstr("the batch stride is " + std::to_string(stride))) << stride;
  }
}

TEST(TensorBoxRules, StridesAreCountedInBytes) {
  const BoxStrides bytes = strides_in_bytes(packed());
  EXPECT_EQ(bytes.seqlen, 1024u);
  EXPECT_EQ(bytes.heads, 256u);
  EXPECT_EQ(bytes.batch, 102400u);
}

TEST(TensorBoxRules, AreThoseOfBothDevices) {
  void* library = dlopen(FAKE_CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  FakeCuda& fake = *reinterpret_cast<FakeCudaState>(dlsym(library, "fake_cuda_state"))();
  fake = FakeCuda{};
  const CudaDriver driver = CudaDriver::open(FAKE_CUDA_LIBRARY);
  const std::shared_ptr<Device> devices[] = {open_cuda_device(driver, 0),
                                             open_emulated_device({.target = Target{90, true}})};
  for (const BoxCase& each : kCases) {
    TensorBox box = packed();
    each.change(box);
    for (const auto& device : devices) {
      if (each.rule == nullptr) {
        EXPECT_NE(device->encode(box).bytes, EncodedTensorMap{}.bytes) << device->properties().name;
        continue;
      }
      const int encodings = fake.encodings;
      try {
        device->encode(box);
        ADD_FAILURE() << device->properties().name << " takes a box that breaks: " << each.rule;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
        EXPECT_EQ(error.what(), broken_rule(box));
      }
      EXPECT_EQ(fake.encodings, encodings);
    }
  }
}

}  // namespace
}  // namespace flashmask

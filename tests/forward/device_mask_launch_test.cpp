// A mask that the device writes, its plan, and a forward that uses both, with nothing on the host in between.

#include <gtest/gtest.h>

#include <vector>

#include "flashmask/device_masks.h"
#include "flashmask/mask_builders.h"
#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

constexpr int kHeadDim = 32, kHeads = 2;

template <typename Element>
DeviceBuffer upload(const std::vector<Element>& values) {
  const std::shared_ptr<Device>& device = tested_runtime().device();
  DeviceBuffer buffer(device, values.size() * sizeof(Element));
  device->copy_to_device(buffer.get(), std::as_bytes(std::span(values)), nullptr);
  return buffer;
}

/// The output of a forward whose mask is written by `build` (given the memory) on the device.
template <typename Build>
std::vector<std::uint16_t> forward_of(TestProblem& problem, const Kernel& kernel, MaskForm form, const Build& build) {
  Runtime& runtime = tested_runtime();
  const std::shared_ptr<Device>& device = runtime.device();
  const Extents& e = problem.extents();
  const DeviceBuffer query = upload(problem.query()), key = upload(problem.key()), value = upload(problem.value());
  std::vector<std::uint16_t> output(problem.query().size());
  const DeviceBuffer out(device, output.size() * 2);
  const std::size_t bytes = device_masks::bytes_needed(form, {e.batch, e.seqlen_q, e.seqlen_k});
  const DeviceBuffer indices(device, bytes);

  const MaskShape shape = build(device_masks::Output{indices.get(), bytes});
  MaskPlan plan(runtime, shape, indices.get());
  ForwardLaunch launch{.batch = e.batch,
                       .seqlen_q = e.seqlen_q,
                       .seqlen_k = e.seqlen_k,
                       .num_heads_q = e.heads_q,
                       .num_heads_kv = e.heads_kv};
  launch.query = TensorView::contiguous(query.get(), e.seqlen_q, e.heads_q, kHeadDim);
  launch.key = TensorView::contiguous(key.get(), e.seqlen_k, e.heads_kv, kHeadDim);
  launch.value = TensorView::contiguous(value.get(), e.seqlen_k, e.heads_kv, kHeadDim);
  launch.output = TensorView::contiguous(out.get(), e.seqlen_q, e.heads_q, kHeadDim);
  launch.startend_row_indices = indices.get();
  launch.softmax_scale = problem.view().softmax_scale;
  launch.plan = plan.prepare(kernel.tile());
  kernel.launch(launch);
  device->copy_to_host(std::as_writable_bytes(std::span(output)), out.get(), nullptr);
  return output;
}

TEST(DeviceMaskLaunch, APlanAndAForwardFromMasksWrittenOnTheDeviceAreRight) {
  Runtime& runtime = tested_runtime();
  const std::shared_ptr<Device>& device = runtime.device();
  const Extents extents{
      .batch = 2, .seqlen_q = 200, .seqlen_k = 300, .heads_q = kHeads, .heads_kv = 1, .heads_mask = 1};
  const device_masks::Extents mask_extents{extents.batch, extents.seqlen_q, extents.seqlen_k};
  const std::vector<int> lengths[] = {{120, 1, 100, 79}, {30, 200, 70}};
  const std::vector<int> cumulative{0, 120, 121, 221, 300, 0, 30, 230, 300, 300};
  std::vector<int> numbers;
  for (const std::vector<int>& entry : lengths)
    for (std::size_t n = 0; n < entry.size(); ++n)
      numbers.insert(numbers.end(), static_cast<std::size_t>(entry[n]), static_cast<int>(n % 2));
  const DeviceBuffer sums = upload(cumulative), ids = upload(numbers);

  for (const MaskForm form : {MaskForm::kC1, MaskForm::kF2}) {
    KernelDescriptor descriptor;
    descriptor.head_dim_qk = descriptor.head_dim_v = kHeadDim;
    descriptor.mask_form = form;
    descriptor.target = device->properties().target;
    const auto kernel = runtime.request(descriptor);
    TestProblem problem(descriptor, extents);
    std::vector<std::int32_t>& host = problem.intervals();
    host.clear();
    for (const std::vector<int>& entry : lengths) {
      const masks::SequenceLengths both(extents.seqlen_q, extents.seqlen_k);
      const Mask mask = form == MaskForm::kC1 ? masks::causal_documents(both, entry) : masks::documents(both, entry);
      host.insert(host.end(), mask.startend_row_indices().begin(), mask.startend_row_indices().end());
    }
    ASSERT_TRUE(is_correct(runtime, *kernel, problem));
    const std::vector<std::uint16_t> wanted = run_forward(runtime, *kernel, problem).output;

    const device_masks::CumulativeLengths by_sums{sums.get(), 4};
    const device_masks::DocumentIds by_ids{ids.get()};
    const auto build = [&](const auto& source) {
      return [&](const device_masks::Output& output) {
        return form == MaskForm::kC1 ? device_masks::causal_documents(runtime, mask_extents, source, output)
                                     : device_masks::documents(runtime, mask_extents, source, output);
      };
    };
    EXPECT_EQ(forward_of(problem, *kernel, form, build(by_sums)), wanted) << to_string(form);
    EXPECT_EQ(forward_of(problem, *kernel, form, build(by_ids)), wanted) << to_string(form);
  }
}

}  // namespace
}  // namespace flashmask::forward_tests

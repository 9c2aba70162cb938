#include "tests/mutants/attention_scenarios.h"

#include <memory>
#include <optional>
#include <utility>

#include "tests/forward/launch.h"

namespace flashmask::mutants {

Scenario forward(MaskForm form, const TileConfig& tile, HeadDims head_dims, const Extents& extents,
                 const Variety& variety, bool with_plan, const std::function<void(TestProblem&)>& change,
                 const Target& target) {
  return [=](Runtime& runtime) {
    KernelDescriptor descriptor;
    descriptor.target = target;
    descriptor.mask_form = form;
    descriptor.head_dim_qk = head_dims.qk;
    descriptor.head_dim_v = head_dims.v;
    TestProblem problem(descriptor, extents, variety);
    if (change) change(problem);
    const auto kernel = runtime.request(descriptor, {.hint = {}, .config = tile});
    const forward_tests::LaunchResult result =
        run_forward(runtime, *kernel, problem, {.wants_lse = true, .with_plan = with_plan});
    Bytes bytes;
    append(bytes, result.output);
    append(bytes, result.lse);
    return bytes;
  };
}

Scenario backward(const BackwardChoice& choice, const Extents& extents, const Variety& variety) {
  // Drawn when it is run first: what the fp64 forward makes of a problem takes time.
  using backward_tests::BackwardTestProblem;
  const auto drawn = std::make_shared<std::optional<BackwardTestProblem>>();
  return [=](Runtime& runtime) {
    KernelDescriptor descriptor;
    descriptor.target = choice.target;
    descriptor.pass = Pass::kBackward;
    descriptor.deterministic = choice.deterministic;
    descriptor.mask_form = choice.form;
    descriptor.causal_alignment = choice.alignment;
    descriptor.head_dim_qk = choice.head_dims.qk;
    descriptor.head_dim_v = choice.head_dims.v;
    if (!*drawn) {
      TestProblem problem(descriptor, extents, variety);
      if (choice.change) choice.change(problem);
      drawn->emplace(std::move(problem));
    }
    const auto kernel = runtime.request(descriptor, {.hint = {}, .config = choice.tile});
    const backward_tests::LaunchResult result =
        run_backward(runtime, *kernel, **drawn, {.with_lse_gradient = true, .with_plan = choice.with_plan});
    Bytes bytes;
    append(bytes, result.query_gradient);
    append(bytes, result.key_gradient);
    append(bytes, result.value_gradient);
    return bytes;
  };
}

}  // namespace flashmask::mutants

#include "runtime/tune/tuning_identity.h"

#include "cache/digest.h"
#include "generator/generate.h"
#include "runtime/compile/options.h"
#include "runtime/tune/device_bench.h"
#include "runtime/tune/model_bench.h"

namespace flashmask::tune {

std::string template_digest(const KernelDescriptor& descriptor) {
  cache::DigestBuilder builder;
  for (const std::string_view digest : generator::template_digests(descriptor)) builder.add(digest);
  for (const std::string_view option : compile::semantic_options()) builder.add(option);
  return builder.finish().hex();
}

std::string_view method_of(TuningBasis basis) {
  return basis == TuningBasis::kMeasured ? kDeviceMethod : kModelMethod;
}

TuningKey tuning_key(const DeviceProperties& device, const KernelDescriptor& descriptor, const TuningBucket& bucket) {
  const TuningBasis basis = device.kind == DeviceKind::kCuda ? TuningBasis::kMeasured : TuningBasis::kModelled;
  return {.basis = basis,
          .gpu = tuning_gpu(device),
          .descriptor = descriptor,
          .bucket = bucket,
          .method = std::string(method_of(basis)),
          .templates = template_digest(descriptor)};
}

}  // namespace flashmask::tune

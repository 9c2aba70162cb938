#include "runtime/store/kernel_digest.h"

#include "runtime/compile/options.h"

namespace flashmask {

cache::Digest digest_of(const generator::KernelSource& source) {
  cache::DigestBuilder builder;
  builder.add(std::string_view("flashmask kernel")).add_number(kDigestSchema);
  // A list enters behind its length, so that its last element is never taken for the field that follows.
  builder.add_number(source.template_digests.size());
  for (std::string_view digest : source.template_digests) builder.add(digest);
  builder.add(std::string_view(source.generated));
  const auto options = compile::semantic_options();
  builder.add_number(options.size());
  for (std::string_view option : options) builder.add(option);
  builder.add(std::string_view(to_string(source.descriptor.target)));
  builder.add(std::string_view(source.entry));
  return builder.finish();
}

}  // namespace flashmask

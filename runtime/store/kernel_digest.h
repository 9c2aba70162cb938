#pragma once

#include "cache/digest.h"
#include "generator/generate.h"

namespace flashmask {

/// Counts what changes the meaning of an entry without changing a kernel's text: raise it then.
inline constexpr std::uint64_t kDigestSchema = 1;

/// The name under which a kernel is kept: over the schema, the digests of the templates and the generated text, the
/// options that decide the code, the architecture and the entry. Pure. Nothing of the toolchain is in it, so that a hit
/// opens no compiler, and no path, so that it is the same on every machine.
cache::Digest digest_of(const generator::KernelSource& source);

}  // namespace flashmask

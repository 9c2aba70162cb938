#pragma once

#include <optional>
#include <string>

#include "cache/entry.h"
#include "generator/generate.h"
#include "runtime/store/kernel_record.h"

namespace flashmask {

/// Whether a kernel is of use without its PTX, which an export may leave out: a GPU loads the cubin, the emulator runs
/// the PTX.
enum class PtxNeed { kOptional, kRequired };

/// Why an entry is not the kernel that the source describes, or nothing, with its record filled. The entry may be
/// hostile.
std::optional<std::string> refuse_entry(const cache::Entry& entry, const generator::KernelSource& source, PtxNeed need,
                                        KernelRecord& record);

/// Why an entry cannot be a kernel at all, whatever is wanted, or nothing, with its record filled: its record is
/// readable, legal, and agrees with the toolchain in the entry's name; its cubin is one of the record's kernel and
/// target. The entry may be hostile.
std::optional<std::string> refuse_entry(const cache::Entry& entry, KernelRecord& record);

}  // namespace flashmask

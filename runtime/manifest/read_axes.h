#pragma once

#include <optional>
#include <span>
#include <vector>

#include "runtime/manifest/kernel_axes.h"
#include "runtime/manifest/text_errors.h"
#include "runtime/manifest/toml_document.h"

namespace flashmask {

/// The axes of one [[kernels]] table at `place`; nothing, with the mistakes in `errors`, where it has some. `targets`,
/// unless empty, take the place of those that the table names.
std::optional<KernelAxes> read_axes(const TomlTable& table, Place place, const std::vector<Target>& targets,
                                    TextErrors& errors);

/// Says that a key is unknown, what is known, and what was probably meant.
void add_unknown_key(const TomlKey& key, std::span<const std::string_view> known, TextErrors& errors);

}  // namespace flashmask

#pragma once

#include <string>
#include <vector>

#include "flashmask/mask.h"
#include "flashmask/mask_kinds.h"
#include "tools/command/mask_arguments.h"

namespace flashmask::command {

/// A mask, and where it comes from.
struct NamedMask {
  Mask mask;
  const MaskKind* kind = nullptr;  ///< null: of a file
  MaskArguments parameters;        ///< of the kind, as given
  std::string name;                ///< of the kind, or of the file without its folder
};

/// The NAME=VALUE texts of --param. Throws Error{kInvalidArgument} for another text, and a name that comes twice.
MaskArguments parse_mask_parameters(const std::vector<std::string>& texts);

/// Builds the mask of a kind. Throws Error{kInvalidArgument}: what build_mask() refuses, parameters that are not
/// NAME=VALUE or come twice, no length at all, options that belong to files.
NamedMask build_named_mask(const MaskSource& source);

/// The mask of a kind or, where the subject names no kind, of a file: see read_mask_file().
NamedMask load_named_mask(const MaskSource& source);

}  // namespace flashmask::command

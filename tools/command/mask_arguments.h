#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/mask_shape.h"

namespace flashmask::command {

/// Which mask: of a kind, from its parameters, or of a file.
struct MaskSource {
  std::string subject;                  ///< the name of a kind, or the path of a safetensors file
  std::vector<std::string> parameters;  ///< of a kind, each NAME=VALUE
  std::optional<int> seqlen_q;          ///< of a kind one of the two stands for both
  std::optional<int> seqlen_k;
  bool causal = false;                              ///< of a file, as for `run`
  std::optional<CausalAlignment> causal_alignment;  ///< of a file, as for `run`
};

struct MaskShowArguments {
  MaskSource source;
  std::optional<flashmask::TileShape> tile;  ///< empty: by the lengths
  int batch_entry = 0;
  int head = 0;
  std::filesystem::path picture;  ///< empty: no SVG file
  bool json = false;
};

struct MaskBuildArguments {
  MaskSource source;  ///< of a kind
  int batch = 1;
  int heads = 1;
  std::filesystem::path output;
  bool json = false;
};

struct MaskListArguments {
  bool json = false;
};

}  // namespace flashmask::command

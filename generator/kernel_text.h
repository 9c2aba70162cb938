#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"

namespace flashmask::generator {

/// The text of a kernel before it is put together: what is generated, and the templates in between.
struct KernelText {
  std::vector<std::string> entries;         ///< names of the extern "C" __global__ functions
  std::size_t main_entry = 0;               ///< the one that `threads`, `shared_bytes` and the resources speak of
  std::string head;                         ///< the config
  std::vector<std::string_view> templates;  ///< each after those that it uses
  std::string tail;                         ///< the entries
  int threads = 0;                          ///< per CTA
  int shared_bytes = 0;                     ///< dynamic shared memory per CTA
};

/// Of a legal descriptor and configuration.
KernelText forward_text(const KernelDescriptor& descriptor, const TileConfig& config);
/// The same of a descriptor that uses wgmma.
KernelText forward_sm90_text(const KernelDescriptor& descriptor, const TileConfig& config);
/// Entries: prepare, main, finish, in the order of their launches.
KernelText backward_text(const KernelDescriptor& descriptor, const TileConfig& config);
/// The same of a descriptor that uses wgmma.
KernelText backward_sm90_text(const KernelDescriptor& descriptor, const TileConfig& config);
/// Of a legal descriptor whose pass is kMaskPlan; tiles are arguments of its launches.
KernelText mask_plan_text(const KernelDescriptor& descriptor);
/// Of a legal descriptor whose pass is kMaskBuild. Entries: write_window, write_from_sums, summarise, carry,
/// write_from_ids.
KernelText mask_build_text(const KernelDescriptor& descriptor);

/// The template with the ColumnMask of a form.
std::string_view column_mask_template(MaskForm form);
/// The template with the RowMask of a form.
std::string_view row_mask_template(MaskForm form);

/// The name of the main function of an attention kernel.
std::string attention_entry_name(const KernelDescriptor& descriptor, const TileConfig& config);
/// The beginning of the config of an attention kernel: what all passes have, up to the stages.
std::string attention_config_begin(const KernelDescriptor& descriptor, const TileConfig& config);

/// The products of a warpgroup with results of these widths: templates/warpgroup_product.cuh tells of them.
std::string warpgroup_product_text(DataType dtype, const std::set<int>& widths);

/// An extern "C" __global__ function that hands its one parameter to a function of the templates. Names are those
/// within the namespace; `bounds` are those of __launch_bounds__, "128, 2".
std::string entry_text(std::string_view entry, std::string_view arguments, std::string_view function,
                       std::string_view bounds);

}  // namespace flashmask::generator

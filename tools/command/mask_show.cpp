#include <fmt/format.h>

#include "flashmask/error.h"
#include "tools/command/commands.h"
#include "tools/command/mask_report.h"
#include "tools/command/output_path.h"
#include "tools/command/terminal_width.h"
#include "tools/draw/svg.h"

namespace flashmask::command {
namespace {

void require_index(const char* option, int index, const char* what, int count) {
  if (index < count) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} {}: the mask has {} {}, counted from 0", option, index, count, what));
}

}  // namespace

ExitCode mask_show(const MaskShowArguments& arguments) {
  if (!arguments.picture.empty()) require_writable(arguments.picture);
  const NamedMask source = load_named_mask(arguments.source);
  const MaskShape& shape = source.mask.shape();
  require_index("--batch-entry", arguments.batch_entry, "batch entries", shape.batch);
  require_index("--head", arguments.head, "mask heads", shape.num_heads);
  const TileMap map = classify_tiles(source.mask, arguments.tile.value_or(default_tile(shape)));
  if (!arguments.picture.empty()) {
    save_text(arguments.picture, draw::mask_svg(source.mask, map, arguments.batch_entry, arguments.head, source.name));
  }
  const MaskReport report{source, map, arguments.batch_entry, arguments.head, arguments.picture.string()};
  print_result(arguments.json ? to_json(report) : to_text(report, terminal_width()));
  return kExitOk;
}

}  // namespace flashmask::command

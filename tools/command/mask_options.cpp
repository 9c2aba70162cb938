#include "tools/command/mask_options.h"

#include "flashmask/error.h"
#include "flashmask/mask.h"
#include "tools/command/values.h"

namespace flashmask::command {
namespace {

constexpr const char* kMaskHelp =
    "Masks of every kind that can be built by name, and those of files. Needs no GPU and no compiler.\n\n"
    "Example:\n  flashmask mask show causal-documents --seqlen-k 4096 --param document-lengths=1500,600,1996";

constexpr const char* kShowHelp =
    "Draws a mask in tiles: ██ full, ░░ partial, blank empty; rows are queries, columns are keys. A file holds\n"
    "startend_row_indices [B,Hm,Sk,n] as for flashmask run; Sq is that of q or of the metadata in it, else\n"
    "--seqlen-q, else Sk.\n\n"
    "Example:\n  flashmask mask show sliding-window --seqlen-k 4096 --param window=512 -o window.svg\n"
    "  flashmask mask show packed.safetensors --causal";

constexpr const char* kBuildHelp =
    "Writes startend_row_indices [B,Hm,Sk,n] (I32), and in the metadata what else makes the mask: causal,\n"
    "causal_alignment, seqlen_q.\n\n"
    "Example:\n  flashmask mask build documents --seqlen-k 4096 --param document-lengths=1500,600,1996 -o "
    "m.safetensors";

constexpr const char* kListHelp =
    "Every kind: its name, how it is held, the rule; below it its parameters with an example, in brackets and with\n"
    "their default those that may be left out.\n\nExample:\n  flashmask mask list";

template <typename Parse>
auto optional_value(const std::optional<std::string>& text, Parse parse) -> std::optional<decltype(parse(*text))> {
  if (!text) return std::nullopt;
  return parse(*text);
}

int integer_or(int otherwise, const char* option, const std::optional<std::string>& text, int least) {
  return text ? parse_integer(option, *text, least, Mask::kMaxSeqlen) : otherwise;
}

}  // namespace

MaskOptions::MaskOptions(CLI::App& app) {
  mask_ = app.add_subcommand("mask", "show, build or list masks");
  mask_->require_subcommand(0, 1);  // arguments() says which there are
  mask_->footer(kMaskHelp);
  show_app_ = mask_->add_subcommand("show", "draw a mask in tiles, count them, weigh its rows");
  add_show(*show_app_);
  build_app_ = mask_->add_subcommand("build", "write a mask as a tensor for flashmask run");
  add_build(*build_app_);
  list_app_ = mask_->add_subcommand("list", "all kinds and their parameters");
  list_app_->footer(kListHelp);
  for (CLI::App* each : {show_app_, build_app_, list_app_}) {
    each->add_flag("--json", json_, "print one JSON object");
  }
}

void MaskOptions::add_kind(CLI::App& app) {
  app.add_option("--seqlen-q", texts_.seqlen_q, "query rows (default: as many as keys)")->type_name("N");
  app.add_option("--seqlen-k", texts_.seqlen_k, "key columns (default: as many as query rows)")->type_name("N");
  app.add_option("--param", source_.parameters, "a parameter of the kind, see flashmask mask list; may be repeated")
      ->allow_extra_args(false)
      ->type_name("NAME=VALUE");
}

void MaskOptions::add_show(CLI::App& app) {
  app.add_option("KIND|FILE", source_.subject, "a kind of mask, or a safetensors file")->required()->type_name("");
  add_kind(app);
  app.add_flag("--causal", source_.causal, "of a file: mask the keys behind each query");
  app.add_option("--causal-alignment", texts_.alignment, "of a file: bottom-right (default) or top-left")
      ->type_name("A");
  app.add_option("--tile", texts_.tile, "Q,K: query rows and key columns of a tile (default 128,128, less for short)")
      ->type_name("Q,K");
  app.add_option("--batch-entry", texts_.batch_entry, "the batch entry that is drawn (default 0)")->type_name("N");
  app.add_option("--head", texts_.head, "the mask head that is drawn (default 0)")->type_name("N");
  app.add_option("-o,--output", texts_.picture, "an SVG file to write")->type_name("FILE.svg");
  app.footer(kShowHelp);
}

void MaskOptions::add_build(CLI::App& app) {
  app.add_option("KIND", source_.subject, "a kind of mask")->required()->type_name("");
  add_kind(app);
  app.add_option("--batch", texts_.batch, "the same mask for so many batch entries (default 1)")->type_name("N");
  app.add_option("--heads", texts_.heads, "the same mask for so many mask heads (default 1)")->type_name("N");
  app.add_option("-o,--output", texts_.output, "safetensors file to write")->required()->type_name("FILE");
  app.footer(kBuildHelp);
}

MaskSource MaskOptions::finished_source() const {
  MaskSource source = source_;
  const auto length = [](const char* option) {
    return [option](const std::string& text) { return parse_integer(option, text, 1, Mask::kMaxSeqlen); };
  };
  source.seqlen_q = optional_value(texts_.seqlen_q, length("--seqlen-q"));
  source.seqlen_k = optional_value(texts_.seqlen_k, length("--seqlen-k"));
  source.causal_alignment = optional_value(texts_.alignment, require_causal_alignment);
  return source;
}

Arguments MaskOptions::arguments() const {
  if (show_app_->parsed()) {
    MaskShowArguments show;
    show.source = finished_source();
    if (texts_.tile) {
      const TileShape tile = parse_tile(*texts_.tile);
      show.tile = flashmask::TileShape{tile.query, tile.key};
    }
    show.batch_entry = integer_or(0, "--batch-entry", texts_.batch_entry, 0);
    show.head = integer_or(0, "--head", texts_.head, 0);
    show.picture = texts_.picture;
    show.json = json_;
    return show;
  }
  if (build_app_->parsed()) {
    MaskBuildArguments build;
    build.source = finished_source();
    build.batch = integer_or(1, "--batch", texts_.batch, 1);
    build.heads = integer_or(1, "--heads", texts_.heads, 1);
    build.output = texts_.output;
    build.json = json_;
    return build;
  }
  if (list_app_->parsed()) return MaskListArguments{json_};
  throw Error(ErrorCode::kInvalidArgument, "flashmask mask: show, build or list is needed",
              "see flashmask mask --help");
}

}  // namespace flashmask::command

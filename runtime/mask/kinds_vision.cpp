#include "runtime/mask/kind_tables.h"

namespace flashmask {
namespace {

using enum MaskParameterType;
using masks::SequenceLengths;

constexpr auto kTokensPerFrame = required("tokens-per-frame", kInteger, "a divisor of seqlen_k", "4");

}  // namespace

std::vector<BuildableKind> vision_kinds() {
  return {
      {{"image-spans",
        "vision",
        "a row sees the keys up to itself, and those of its own image",
        "f2",
        false,
        {required("images", kSpans, "spans of image tokens", "2:6,9:13")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) { return masks::image_spans(n, a.spans("images")); }},
      {{"noised-spans",
        "vision",
        "image-spans, but none after a noised image sees it",
        "f2",
        false,
        {optional("clean", kSpans, "spans that later rows see", "", "2:5"),
         required("noised", kSpans, "spans that only their own rows see", "7:11")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::noised_spans(n, a.spans("clean"), a.spans("noised"));
       }},
      {{"flamingo-cross-attention",
        "vision",
        "text rows see the image that was inserted last",
        "f2",
        false,
        {required("image-rows", kIntegers, "first text row of each image", "2,7,8"),
         required("tokens-per-image", kInteger, "seqlen_k is a multiple of it", "4")},
        16,
        12},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::flamingo_cross_attention(n, a.integers("image-rows"), a.integer("tokens-per-image"));
       }},
      {{"var-next-scale",
        "vision",
        "a row sees its own scale and the coarser ones before it",
        "f2",
        false,
        {required("sides", kIntegers, "side of each square scale; the squares sum up to seqlen_k", "1,2,3")},
        14,
        14},
       [](const ArgumentReader& a, const SequenceLengths& n) { return masks::var_next_scale(n, a.integers("sides")); }},
      {{"frame-causal-video",
        "vision",
        "a row sees its own frame and those before it",
        "f2",
        false,
        {kTokensPerFrame,
         optional("past-frames", kInteger, "frames before its own that a row sees; -1: all", "-1", "-1")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::frame_causal_video(n, a.integer("tokens-per-frame"), a.integer("past-frames"));
       }},
      {{"key-frames-and-neighbours",
        "vision",
        "a row sees its own frame, those near it, and the key frames",
        "f2",
        false,
        {kTokensPerFrame, required("key-frames", kIntegers, "numbers of the key frames", "0,3"),
         required("neighbours", kInteger, "frames on either side", "1")},
        24,
        24},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::key_frames_and_neighbours(n, a.integer("tokens-per-frame"), a.integers("key-frames"),
                                                 a.integer("neighbours"));
       }},
      {{"block-diffusion",
        "diffusion",
        "noised blocks see themselves and the clean blocks before; clean blocks see clean ones up to themselves",
        "f4",
        false,
        {required("tokens", kInteger, "tokens of each half: noised, then clean", "10"),
         required("block-length", kInteger, "tokens of a block", "3")},
        20,
        20},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::block_diffusion(n, a.integer("tokens"), a.integer("block-length"));
       }},
      {{"block-causal",
        "diffusion",
        "a row sees its own block and those before it",
        "f2",
        false,
        {required("block-lengths", kIntegers, "tokens of each block; they sum up to seqlen_k", "4x4")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::block_causal(n, a.integers("block-lengths"));
       }},
  };
}

}  // namespace flashmask

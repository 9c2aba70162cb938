#include "runtime/mask/kind_tables.h"

namespace flashmask {
namespace {

using enum MaskParameterType;
using masks::SequenceLengths;

}  // namespace

std::vector<BuildableKind> permuted_kinds() {
  return {
      {{"hash-sparse",
        "permutation",
        "a token sees those of its own bucket up to itself; places by (bucket, position)",
        "c1",
        true,
        {required("bucket-ids", kIntegers, "bucket of each token, in the model's order",
                  "2,0,1,0,0,2,1,2,2,0,1,1,0,2,1,0")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths&) {
         return masks::hash_sparse(a.integers("bucket-ids")).mask;
       }},
      {{"speculative-tree",
        "permutation",
        "drafted nodes see the context, their ancestors and themselves; nodes in depth-first pre-order",
        "c1",
        true,
        {required("parents", kIntegers, "parent of each node, -1 for a root; parents before children",
                  "-1,0,0,1,1,2,2,3,5"),
         optional("context", kInteger, "known tokens before the nodes", "0", "5")},
        9,
        14},
       [](const ArgumentReader& a, const SequenceLengths&) {
         return masks::speculative_tree(a.integer("context"), a.integers("parents")).mask;
       }},
      {{"image-windows",
        "permutation",
        "a token of an image sees those of its own window; window after window",
        "f2",
        true,
        {required("height", kInteger, "rows of the image", "4"),
         required("width", kInteger, "columns of the image", "6"),
         required("window-height", kInteger, "rows of a window", "2"),
         required("window-width", kInteger, "columns of a window", "3")},
        24,
        24},
       [](const ArgumentReader& a, const SequenceLengths&) {
         return masks::image_windows(a.integer("height"), a.integer("width"), a.integer("window-height"),
                                     a.integer("window-width"))
             .mask;
       }},
      {{"dilated",
        "permutation",
        "a token sees those at multiples of `dilation` from it; residue class after residue class",
        "f2",
        true,
        {required("dilation", kInteger, "distance of one step", "3"),
         optional("steps", kInteger, "steps on either side; -1: all", "-1", "1")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::dilated(n.k, a.integer("dilation"), a.integer("steps")).mask;
       }},
      {{"scattered-globals",
        "permutation",
        "tokens see those at most `window` away; global ones, which come first, see all and are seen by all",
        "f4",
        true,
        {required("window", kInteger, "positions on either side", "2"),
         required("globals", kIntegers, "positions of the global tokens", "4,11")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::scattered_globals(n.k, a.integer("window"), a.integers("globals")).mask;
       }},
      {{"temporal-video",
        "permutation",
        "a token sees its place, and those near it, in all frames; place after place",
        "f2",
        true,
        {required("frames", kInteger, "number of frames", "4"),
         required("tokens-per-frame", kInteger, "tokens of a frame", "6"),
         optional("radius", kInteger, "places on either side", "0", "1")},
        24,
        24},
       [](const ArgumentReader& a, const SequenceLengths&) {
         return masks::temporal_video(a.integer("frames"), a.integer("tokens-per-frame"), a.integer("radius")).mask;
       }},
  };
}

}  // namespace flashmask

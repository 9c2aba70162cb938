#include "tools/command/emulate_help.h"

namespace flashmask::command {

const char* const kEmulateHelp =
    "Runs a kernel of any PTX text on the emulator, under all of its checks. Needs no GPU and no compiler. A broken\n"
    "rule is a report on standard error and exit code 6; PTX that the emulator does not know is exit code 4. Several\n"
    "runs (--repeat, --all-schedules, --explore) each start from the same memory, and the outputs are compared; what\n"
    "is written is that of the first. --spec-help shows what a launch spec looks like.\n\n"
    "Example:\n  flashmask emulate vector_add.ptx --launch vector_add.json -o sum.safetensors --repeat 4";

const char* const kLaunchSpecHelp =
    R"(A launch spec is one JSON object:

  entry       the kernel (default: the only one of the text)
  grid        [x, y, z] CTAs; y and z may be left out. Required
  block       [x, y, z] threads of a CTA. Required
  cluster     [x, y, z] CTAs of a cluster (default 1)
  cooperative true for a grid whose CTAs wait for each other, as this_grid().sync() does (default false)
  shared      bytes of dynamic shared memory (default 0)
  parameters  the kernel's parameters in order. Required
  memory      tensors and buffers that are no parameters themselves
  outputs     names of what -o writes (default: every buffer)

A parameter is one of

  {"tensor": "q", "file": "in.safetensors"}   its bytes are uploaded, its address is passed; the path is relative to
                                              the spec (to the current directory where the spec comes from "-")
  {"buffer": "c", "dtype": "f32", "shape": [64, 32], "fill": 0}
                                              memory of its own; fill is a number, "uninitialised" (default), "iota"
                                              (0, 1, 2, ...) or {"normal": seed}
  {"pointer": "q", "offset": 16}              the address of any tensor or buffer, and bytes behind it (default 0)
  {"i32": 5}                                  and so i8, i16, i64, u8, u16, u32, u64, f16, bf16, f32, f64; real numbers
                                              may be "nan", "inf" or "-inf"
  {"bytes": "00ff"}                           hexadecimal
  {"struct": [{"i32": 1}, {"f64": 0.5}], "align": 16}
                                              fields as above, laid out as C does; align may raise its alignment
  {"tensor_map": {"of": "q", "element": "bf16", "sizes": [64, 128], "strides": [128], "box": [64, 32],
                  "element_strides": [1, 1], "swizzle": "128B", "fill": "zero", "offset": 0}}
                                              as cuTensorMapEncodeTiled makes it, innermost dimension first; strides are
                                              bytes, of all dimensions but the first (default: packed); swizzle is none
                                              (default), 32B, 64B or 128B; fill is zero (default) or nan

dtype is f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8 or bool. Number, sizes and alignments of the
parameters are checked against what the kernel declares. Tensors and buffers may have 4 GiB in all.

Example, for a kernel vector_add(const float* a, const float* b, float* sum, int n):

  {
    "grid": [4],
    "block": [256],
    "parameters": [
      {"buffer": "a", "dtype": "f32", "shape": [1000], "fill": "iota"},
      {"buffer": "b", "dtype": "f32", "shape": [1000], "fill": {"normal": 1}},
      {"buffer": "sum", "dtype": "f32", "shape": [1000]},
      {"i32": 1000}
    ],
    "outputs": ["sum"]
  })";

}  // namespace flashmask::command

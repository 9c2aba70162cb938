#!/usr/bin/env python3
"""Times the forward of the FlashMask paper's twelve masks against FlexAttention and dense-mask SDPA, on one GPU.

    python3 bench/compare_masks.py --json bench/results/masks_h200.json
    python3 bench/compare_masks.py --json masks.json --seqlens 8192 --head-dims 128 --masks full,document

Shapes are the paper's: batch x seqlen = 131072, heads x head_dim = 4096. One mask serves all heads and batch entries.
All candidates get the same tensors (N(0, 1), bf16) in one process; rounds are interleaved, every run starts with a cold
L2. Our output is compared with FlexAttention's, and rows of it with fp64, before anything is timed. Plans and block
masks are timed apart.

Each finished cell (mask, seqlen, head_dim) is written at once. The run ends before a cell that would not fit into
--budget; the same command then goes on with what is missing, as long as the sources are the same.
bench/mask_report.py makes a table and a chart of the file.
"""

import argparse
import hashlib
import json
import math
import os
import statistics
import sys
import time

import compare
import flashmask_c as fm
import gpu_state
import paper_masks

HERE = os.path.dirname(os.path.abspath(__file__))
DEVICE = "cuda"
TOKENS, WIDTH = 131072, 4096  # batch x seqlen, heads x head_dim
BLOCK = 128  # of FlexAttention's block mask and of the paper's count of FLOPs
LARGEST_DIFFERENCE = 2e-2  # between our output and FlexAttention's, in units of max(1, |output|)
DENSE_SEQLEN = 8192  # the longest for which a dense mask is tried
LAUNCH_CYCLES, BUILD_CYCLES = 1 << 20, 1 << 25  # that the host has to enqueue an attention, or to build a mask
GUARD_FACTOR, GUARD_US = 1.15, 15


# ---- FlexAttention's mask_mod of each mask --------------------------------------------------------------------------
# The closed form where a mask has one, document numbers where it has documents, else our own vectors, one function per
# form. A function that several masks share is compiled once per shape.

def flex_causal():
    return lambda b, h, q, kv: q >= kv


def flex_window(window):
    return lambda b, h, q, kv: (q >= kv) & (q - kv < window)


def flex_global_window(window, globals_):
    return lambda b, h, q, kv: ((q - kv <= window) & (kv - q <= window)) | (q < globals_) | (kv < globals_)


def flex_document(document):
    return lambda b, h, q, kv: document[q] == document[kv]


def flex_causal_document(document):
    return lambda b, h, q, kv: (q >= kv) & (document[q] == document[kv])


def flex_prefix(prefix):
    return lambda b, h, q, kv: (q >= kv) | (kv < prefix)


def flex_c1(lts):
    return lambda b, h, q, kv: (q >= kv) & (q < lts[kv])


def flex_c2(lts, lte):
    return lambda b, h, q, kv: (q >= kv) & ((q < lts[kv]) | (q >= lte[kv]))


def flex_f2(lts, ute):
    return lambda b, h, q, kv: (q < lts[kv]) & (q >= ute[kv])


def flex_f4(lts, lte, uts, ute):
    return lambda b, h, q, kv: ((q < lts[kv]) | (q >= lte[kv])) & ((q < uts[kv]) | (q >= ute[kv]))


def make_mask_mod(mask, on_device):
    """(mask_mod or None, what it is in words); `on_device` makes a tensor of an array."""
    p = mask.parameters
    if mask.name == "full":
        return None, "none"
    if mask.name == "causal":
        return flex_causal(), "closed form: q >= kv"
    if mask.name in ("sliding-window", "closed-window"):
        return flex_window(p["window"]), "closed form: (q >= kv) & (q - kv < window)"
    if mask.name == "global-sliding-window":
        return (flex_global_window(p["window"], p["globals"]),
                "closed form: (q - kv <= window) & (kv - q <= window) | (q < globals) | (kv < globals)")
    if mask.name == "prefix-lm-causal":
        return flex_prefix(p["prefix"]), "closed form: (q >= kv) | (kv < prefix)"
    if mask.name in ("document", "causal-document"):
        document = on_device(paper_masks.span_of(mask.seqlen, p["bounds"]))
        if mask.name == "document":
            return flex_document(document), "document[q] == document[kv]"
        return flex_causal_document(document), "(q >= kv) & (document[q] == document[kv])"
    make, words = {
        "c1": (flex_c1, "(q >= kv) & (q < lts[kv])"),
        "c2": (flex_c2, "(q >= kv) & ((q < lts[kv]) | (q >= lte[kv]))"),
        "f2": (flex_f2, "(q < lts[kv]) & (q >= ute[kv])"),
        "f4": (flex_f4, "((q < lts[kv]) | (q >= lte[kv])) & ((q < uts[kv]) | (q >= ute[kv]))"),
    }[mask.form]
    return make(*(on_device(vector) for vector in mask.vectors)), "intervals: " + words


# ---- Candidates -----------------------------------------------------------------------------------------------------

class Shape:
    """The tensors [batch, seqlen, heads, head_dim] that all masks of a shape share."""

    def __init__(self, torch, seqlen, head_dim, options):
        self.seqlen, self.head_dim = seqlen, head_dim
        self.batch, self.heads = max(1, options.tokens // seqlen), max(1, options.width // head_dim)
        self.scale = 1 / math.sqrt(head_dim)
        torch.manual_seed(seqlen + head_dim)
        extents = (self.batch, seqlen, self.heads, head_dim)
        self.q, self.k, self.v = (torch.randn(extents, device=DEVICE, dtype=torch.bfloat16) for _ in range(3))

    def heads_first(self):
        return [t.transpose(1, 2) for t in (self.q, self.k, self.v)]


class Plan:
    """A plan of `mask` for the tiles of a kernel, in memory of torch's."""

    def __init__(self, torch, runtime, shape, tiles, intervals, stream):
        self.runtime, self.shape, self.tiles, self.stream = runtime, shape, tiles, stream
        self.size = runtime.library.plan_size(shape, *tiles)
        self.buffer = torch.empty(max(16, self.size), dtype=torch.uint8, device=DEVICE)
        self.intervals = intervals.data_ptr() if intervals is not None else 0
        self.build()
        summary = runtime.analyse_plan(shape, tiles, self.buffer.data_ptr(), self.size, stream)
        self.counts = summary.full_tiles, summary.partial_tiles, summary.empty_tiles

    def build(self):
        self.runtime.build_plan(self.shape, self.tiles, self.intervals, self.buffer.data_ptr(), self.size, self.stream)


class Ours:
    def __init__(self, torch, runtime, shape, mask, intervals):
        """`intervals`: [batch, 1, seqlen, vectors] on the device, or None."""
        self.kernel = runtime.request("bf16", shape.head_dim, mask.form)
        self.out = torch.full_like(shape.q, float("nan"))
        self.lse = torch.full((shape.batch, shape.heads, shape.seqlen), float("nan"), device=DEVICE)
        self.stream = torch.cuda.current_stream().cuda_stream
        args = self.args = runtime.forward_args()
        args.batch, args.seqlen_q, args.seqlen_k = shape.batch, shape.seqlen, shape.seqlen
        args.num_heads_q = args.num_heads_kv = shape.heads
        args.softmax_scale = shape.scale
        args.query, args.key, args.value, args.output = (
            fm.Tensor(t.data_ptr(), t.stride(0), t.stride(1), t.stride(2))
            for t in (shape.q, shape.k, shape.v, self.out))
        args.lse = self.lse.data_ptr()
        args.window_left, args.window_right = mask.window
        self.plan = self.plan_of_one = None
        if intervals is not None:
            args.startend_row_indices = intervals.data_ptr()
            def plan(batch):
                mask_shape = runtime.library.mask_shape(mask.form, mask.seqlen, mask.seqlen, batch=batch)
                return Plan(torch, runtime, mask_shape, self.kernel.tiles, intervals, self.stream)
            self.plan = plan(shape.batch)
            self.plan_of_one = plan(1) if shape.batch > 1 else self.plan
            args.plan, args.plan_bytes = self.plan.buffer.data_ptr(), self.plan.size
            args.plan_tile_q, args.plan_tile_k = self.kernel.tiles
        size = self.kernel.workspace_size(args)
        self.workspace = torch.empty(size, dtype=torch.uint8, device=DEVICE) if size else None

    def run(self):
        self.kernel.launch(self.args, self.workspace.data_ptr() if self.workspace is not None else 0, self.stream)
        return self.out


class Flex:
    compiled = None

    def __init__(self, torch, shape, block_mask):
        from torch.nn.attention.flex_attention import flex_attention
        if Flex.compiled is None:
            Flex.compiled = torch.compile(flex_attention, dynamic=False)
        (self.q, self.k, self.v), self.scale, self.block_mask = shape.heads_first(), shape.scale, block_mask

    def run(self):
        return Flex.compiled(self.q, self.k, self.v, block_mask=self.block_mask, scale=self.scale).transpose(1, 2)


class DenseSdpa:
    """scaled_dot_product_attention with a boolean mask [1, 1, seqlen, seqlen], on the backend that PyTorch chooses."""

    def __init__(self, torch, shape, mask_mod):
        n = shape.seqlen
        if n > DENSE_SEQLEN:
            raise RuntimeError(f"a dense mask of {n} x {n} takes {n * n / 2**30:.0f} GiB as bool and "
                               f"{2 * n * n / 2**30:.0f} GiB as the bf16 bias that it becomes")
        rows = torch.arange(n, device=DEVICE)
        dense = torch.ones(n, n, dtype=torch.bool, device=DEVICE)
        if mask_mod:
            dense &= mask_mod(None, None, rows[:, None], rows[None, :])
        self.dense, self.scale, (self.q, self.k, self.v) = dense[None, None], shape.scale, shape.heads_first()
        self.sdpa = torch.nn.functional.scaled_dot_product_attention

    def run(self):
        return self.sdpa(self.q, self.k, self.v, attn_mask=self.dense, scale=self.scale).transpose(1, 2)


class BlockMasks:
    """create_block_mask, compiled and plain; what was compiled once for a mask and a length is kept."""

    def __init__(self, torch):
        from torch.nn.attention.flex_attention import create_block_mask
        self.torch, self.plain = torch, create_block_mask
        self.compiled = torch.compile(create_block_mask, dynamic=False)

    def maker(self, kind, mask_mod, seqlen):
        create = {"compiled": self.compiled, "plain": self.plain}[kind]
        return lambda: create(mask_mod, None, None, seqlen, seqlen, device=DEVICE, BLOCK_SIZE=BLOCK)

    def plain_fits(self, seqlen):
        """The plain one holds a few dense masks at once."""
        return 6 * seqlen * seqlen < self.torch.cuda.mem_get_info()[0]


# ---- Measurement ----------------------------------------------------------------------------------------------------

def summary(times_us):
    return {"median": statistics.median(times_us), "min": min(times_us), "rounds": len(times_us),
            "all": [round(t, 3) for t in times_us]}


def measure(clock, candidates, options):
    """{name: microseconds of each round}; the rounds are interleaved, each starts with another candidate."""
    names = list(candidates)
    once = sum(clock.milliseconds(candidates[name].run) for name in names) / 1000
    for _ in range(max(1, min(10, int(options.cell_seconds / 4 / once)))):  # until the clocks have settled
        for name in names:
            clock.milliseconds(candidates[name].run)
    rounds = {name: [] for name in names}
    for turn in range(max(3, min(options.rounds, int(options.cell_seconds / once)))):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            rounds[name].append(1000 * clock.milliseconds(candidates[name].run))
    return rounds


def measure_build(torch, clock, build, rounds):
    """Microseconds of building a plan or a block mask: on the GPU, after a flush of the L2 and without one; and on the
    host's clock, until the GPU is done."""
    for _ in range(2):
        build()
    times = {"gpu_cold_us": [], "gpu_warm_us": [], "wall_us": []}
    for _ in range(rounds):
        times["gpu_cold_us"].append(1000 * clock.milliseconds(build))
        build()
        times["gpu_warm_us"].append(1000 * clock.milliseconds(build, cold=False))
        torch.cuda.synchronize()
        start = time.perf_counter()
        build()
        torch.cuda.synchronize()
        times["wall_us"].append(1e6 * (time.perf_counter() - start))
    return {name: summary(values) for name, values in times.items()}


def difference(torch, ours, theirs):
    """{largest, scaled, passed}: the largest |ours - theirs|, as it is and in units of max(1, |theirs|)."""
    largest, scaled = [], []
    for a, b in zip(ours, theirs):  # batch entry by batch entry, for the memory
        apart = (a.float() - b.float()).abs()
        largest.append(apart.max())
        scaled.append((apart / b.float().abs().clamp(min=1)).max())
    values = [torch.stack(parts).max().item() for parts in (largest, scaled)]  # NaN stays NaN
    finite = all(math.isfinite(value) for value in values)
    return {"largest": values[0] if finite else None, "scaled": values[1] if finite else None,
            "bound": LARGEST_DIFFERENCE, "passed": finite and values[1] <= LARGEST_DIFFERENCE}


def compare_rows(torch, shape, out, mask_mod, rows=96):
    """Rows of the first and the last head against fp64, told as by difference()."""
    keys = torch.arange(shape.seqlen, device=DEVICE)
    rows = keys[::max(1, shape.seqlen // rows)]
    seen = mask_mod(None, None, rows[:, None], keys[None, :]) if mask_mod else torch.ones_like(rows[:, None] + keys) > 0
    actual, expected = [], []
    for b, h in {(0, 0), (shape.batch - 1, shape.heads - 1)}:
        q, k, v = (t[b, :, h].double() for t in (shape.q, shape.k, shape.v))
        scores = (q[rows] @ k.T * shape.scale).masked_fill(~seen, -math.inf)
        actual.append(out[b, rows, h])
        expected.append(torch.softmax(scores, -1) @ v)
    return difference(torch, actual, expected)


def first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def shares(counts):
    full, partial, empty = counts
    return {"full": full, "partial": partial, "empty": empty, "visited_share": (full + partial) / sum(counts)}


class Bench:
    def __init__(self, torch, runtime, options):
        self.torch, self.runtime, self.options = torch, runtime, options
        self.clock = compare.Clock(torch, LAUNCH_CYCLES)
        self.build_clock = compare.Clock(torch, BUILD_CYCLES)
        self.block_masks = BlockMasks(torch)
        self.masks = {}  # (name, seqlen): (mask, visible pairs, counts of 128 x 128 tiles)
        self.shape = None

    def on_device(self, values):
        return self.torch.frombuffer(values, dtype=self.torch.int32).clone().to(DEVICE)

    def mask(self, name, seqlen):
        key = name, seqlen
        if key not in self.masks:
            mask = paper_masks.make(name, seqlen, self.options.seed)
            self.masks[key] = mask, mask.visible_pairs(), mask.tile_counts(BLOCK, BLOCK)
        return self.masks[key]

    def shape_of(self, seqlen, head_dim):
        if self.shape is None or (self.shape.seqlen, self.shape.head_dim) != (seqlen, head_dim):
            self.shape = None
            self.torch.cuda.empty_cache()
            self.shape = Shape(self.torch, seqlen, head_dim, self.options)
        return self.shape

    def make_flex(self, shape, mask, mask_mod, counts, record):
        """The candidate, run once, or None; fills record["flex"] and record["builds"]["block_mask"]."""
        torch, flex, block_mask = self.torch, record["flex"], None
        try:
            if mask_mod:
                start = time.perf_counter()
                try:
                    block_mask = self.block_masks.maker("compiled", mask_mod, mask.seqlen)()
                except Exception as error:  # of any layer of the compiler
                    record["unavailable"]["block_mask compiled"] = first_line(error)
                    block_mask = self.block_masks.maker("plain", mask_mod, mask.seqlen)()
                torch.cuda.synchronize()
                flex["block_mask_first_call_seconds"] = time.perf_counter() - start
                tiles = [int(blocks.sum()) for blocks in (block_mask.full_kv_num_blocks, block_mask.kv_num_blocks)]
                flex["block_mask_tiles"] = {"full": tiles[0], "partial": tiles[1],
                                            "as_counted": tiles == list(counts[:2])}
            candidate = Flex(torch, shape, block_mask)
            start = time.perf_counter()
            candidate.run()
            torch.cuda.synchronize()
            flex["first_call_seconds"] = time.perf_counter() - start
            return candidate
        except Exception as error:
            record["unavailable"]["flex"] = first_line(error)
            return None

    def measure_builds(self, ours, mask_mod, mask, record):
        builds, options = record["builds"], self.options
        if ours.plan:
            builds["plan"] = {"masks": record["batch"], "bytes": ours.plan.size,
                              **measure_build(self.torch, self.clock, ours.plan.build, options.build_rounds)}
            builds["plan_of_one_mask"] = {"masks": 1, "bytes": ours.plan_of_one.size,
                                          **measure_build(self.torch, self.clock, ours.plan_of_one.build,
                                                          options.build_rounds)}
        for kind in ("compiled", "plain") if mask_mod else ():
            name = f"block_mask {kind}"
            if name in record["unavailable"] or "flex" in record["unavailable"]:
                continue
            if kind == "plain" and not self.block_masks.plain_fits(mask.seqlen):
                record["unavailable"][name] = f"several dense masks of {mask.seqlen ** 2 / 2**30:.0f} GiB"
                continue
            try:
                make = self.block_masks.maker(kind, mask_mod, mask.seqlen)
                builds[name] = {"masks": 1, **measure_build(self.torch, self.build_clock, make,
                                                            max(3, options.build_rounds // 3))}
            except Exception as error:
                record["unavailable"][name] = first_line(error)
            self.torch.cuda.empty_cache()

    def cell(self, name, seqlen, head_dim, gpu):
        """The record of a cell; without times if our output is not FlexAttention's."""
        torch, started = self.torch, time.monotonic()
        mask, pairs, counts = self.mask(name, seqlen)
        shape = self.shape_of(seqlen, head_dim)
        intervals = None
        if mask.vectors:
            vectors = torch.stack([self.on_device(vector) for vector in mask.vectors], -1)
            intervals = vectors.expand(shape.batch, 1, -1, -1).contiguous()
        mask_mod, words = make_mask_mod(mask, self.on_device)
        ours = Ours(torch, self.runtime, shape, mask, intervals)
        # A kernel without a plan visits what its closed form finds, which is what is not empty.
        visited = ours.plan_of_one.counts if ours.plan else mask.tile_counts(*ours.kernel.tiles)
        info = ours.kernel.info
        record = {"mask": name, "form": mask.form, "seqlen": seqlen, "batch": shape.batch, "heads": shape.heads,
                  "head_dim": head_dim, "dtype": "bf16", "seed": self.options.seed, "parameters": mask.parameters,
                  "visible_pairs": pairs, "density": pairs / seqlen ** 2,
                  "tiles_128": {**shares(counts), "rho": 1 - shares(counts)["visited_share"]},
                  "own_tiles": {"tile_q": info.tile_q, "tile_k": info.tile_k, **shares(visited),
                                "counted_by": "plan" if ours.plan else "closed form"},
                  "kernel": {"config": ours.kernel.config, "digest": info.digest.decode(), "registers": info.registers,
                             "spill_bytes": info.spill_bytes, "shared_bytes": info.shared_bytes},
                  "flex": {"mask_mod": words}, "unavailable": {}, "builds": {}, "check": {}, "times_us": {}}

        candidates = {"flashmask": ours}
        flex = self.make_flex(shape, mask, mask_mod, counts, record)
        ours_out = ours.run()
        record["check"]["fp64_rows"] = compare_rows(torch, shape, ours_out, mask_mod)
        if flex:
            candidates["flex"] = flex
            reference = flex.run()
            record["check"]["flex"] = difference(torch, ours_out, reference)
            del reference
        try:
            dense = DenseSdpa(torch, shape, mask_mod)
            record["check"]["sdpa_dense"] = difference(torch, ours_out, dense.run())
            candidates["sdpa_dense"] = dense
        except RuntimeError as error:
            record["unavailable"]["sdpa_dense"] = first_line(error)
        record["passed"] = all(check["passed"] for check in record["check"].values())
        if record["passed"]:
            rounds = measure(self.clock, candidates, self.options)
            record["times_us"] = {candidate: summary(times) for candidate, times in rounds.items()}
            record["gpu_after"] = gpu_state.query(gpu)
            self.measure_builds(ours, mask_mod, mask, record)
            self.rate(record, rounds)
        record["seconds"] = round(time.monotonic() - started, 2)
        return record

    def rate(self, record, rounds):
        every = 4 * record["head_dim"] * record["heads"] * record["batch"]
        flops = {"visible_pairs": every * record["visible_pairs"],
                 "tiles_128": every * record["seqlen"] ** 2 * record["tiles_128"]["visited_share"]}
        record["flops"] = flops
        record["tflops"] = {name: {convention: count / times["median"] / 1e6 for convention, count in flops.items()}
                            for name, times in record["times_us"].items()}
        ours = rounds.pop("flashmask")
        record["speed_ratio"] = {name: statistics.median(theirs / mine for theirs, mine in zip(times, ours))
                                 for name, times in rounds.items()}


def judge(cells):
    """Fills in whether a cell keeps T(mask) <= 1.15 T(full) visited / all + 15 us, where the full cell is known."""
    full = {(cell["seqlen"], cell["head_dim"]): cell for cell in cells
            if cell["mask"] == "full" and "flashmask" in cell["times_us"]}
    for cell in cells:
        reference = full.get((cell["seqlen"], cell["head_dim"]))
        if reference is None or "flashmask" not in cell["times_us"]:
            continue
        share = cell["own_tiles"]["visited_share"]
        limit = GUARD_FACTOR * reference["times_us"]["flashmask"]["median"] * share + GUARD_US
        time_us = cell["times_us"]["flashmask"]["median"]
        cell["guard"] = {"limit_us": limit, "time_to_limit": time_us / limit, "kept": time_us <= limit,
                         "full_us": reference["times_us"]["flashmask"]["median"], "full_run": reference["run"]}


# ---- The file of results --------------------------------------------------------------------------------------------

def source_identity(library_path):
    """The revision; with the library's digest where the revision does not say everything."""
    revision = gpu_state.revision(HERE)
    if revision == "unknown" or revision.endswith("+changes"):
        with open(library_path, "rb") as file:
            revision += " " + hashlib.sha256(file.read()).hexdigest()[:16]
    return revision


def open_results(path, identity):
    """What to go on with: the file's content if it is of these sources; a file of others is put aside."""
    if path and os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if content.get("revision") == identity:
            return content
        aside = os.path.splitext(path)[0] + ".previous.json"
        os.replace(path, aside)
        print(f"{path} is of revision {content.get('revision')}: put aside as {aside}")
    return {"schema": 1, "tool": "bench/compare_masks.py", "revision": identity, "runs": [], "cells": []}


def key_of(cell):
    return cell["mask"], cell["seqlen"], cell["head_dim"], cell["seed"]


def print_cell(cell):
    line = f"{cell['mask']:<22} {cell['seqlen']:>6} d{cell['head_dim']:<3}"
    if not cell["passed"]:
        print(f"{line} WRONG or not compared: {cell['check']} {cell['unavailable']}", flush=True)
        return
    for name in ("flashmask", "flex", "sdpa_dense"):
        if name in cell["tflops"]:
            line += (f"  {name} {cell['times_us'][name]['median'] / 1000:.3f} ms "
                     f"{cell['tflops'][name]['visible_pairs']:.0f}")
    if "flex" in cell["speed_ratio"]:
        line += f"  x{cell['speed_ratio']['flex']:.2f} flex"
    for name, label in (("plan_of_one_mask", "plan"), ("block_mask compiled", "block mask")):
        if name in cell["builds"]:
            line += f"  {label} {cell['builds'][name]['gpu_warm_us']['median']:.0f} us"
    guard = cell.get("guard")
    line += f"  guard {guard['time_to_limit']:.2f}" if guard else ""
    missing = [name for name in cell["unavailable"] if name != "sdpa_dense"]
    print(f"{line}  ({cell['seconds']:.0f} s)" + (f"  without {', '.join(missing)}" if missing else ""), flush=True)


def run_all(torch, options, started):
    torch.backends.cuda.matmul.allow_tf32 = False
    # Each mask_mod and each shape is a compilation of its own; the limit would silently leave FlexAttention uncompiled.
    from torch._dynamo import config as dynamo
    dynamo.recompile_limit = dynamo.accumulated_recompile_limit = 1 << 16
    torch.zeros(1, device=DEVICE)  # torch's primary context is the one that flashmask opens too
    library = fm.Library(options.library)
    device = fm.Device.cuda(library, torch.cuda.current_device())
    runtime = fm.Runtime(library, device, options.cache_directory)
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    gpu = f"GPU-{properties.uuid}" if hasattr(properties, "uuid") else torch.cuda.current_device()
    content = open_results(options.json, source_identity(options.library))
    content["runs"].append({
        "date": gpu_state.now(), "library": library.version, "torch": torch.__version__, "cuda": torch.version.cuda,
        "gpu": {"name": properties.name, "target": device.info.target.decode(),
                "multiprocessors": properties.multi_processor_count, **gpu_state.query(gpu)},
        "method": {"tokens": options.tokens, "width": options.width, "most_rounds": options.rounds,
                   "cell_seconds": options.cell_seconds, "l2": "flushed before every run", "data": "N(0, 1), bf16",
                   "lse": "written by flashmask and by flex", "speed_ratio": "median of the rounds' ratios",
                   "flops": "4 head_dim per visible pair; tiles_128: per pair of a 128 x 128 tile that is not empty",
                   "flex": "torch.compile(flex_attention, dynamic=False), BLOCK_SIZE 128"}})
    print(f"{properties.name}, torch {torch.__version__}, flashmask {library.version} "
          f"({device.info.target.decode()}), revision {content['revision']}", flush=True)

    done = {key_of(cell) for cell in content["cells"] if cell["passed"]}
    shapes = sorted(((n, d) for n in options.seqlens for d in options.head_dims),
                    key=lambda shape: (shape[0] > 32768, shape[1] != 128, shape[0]))
    wanted = [(name, n, d) for n, d in shapes for name in sorted(options.masks, key=lambda name: name != "full")]
    todo = [cell for cell in wanted if (*cell, options.seed) not in done]
    bench = Bench(torch, runtime, options)
    seconds, failed, finished = {}, [], 0
    out_of_memory = torch.cuda.OutOfMemoryError
    for name, n, d in todo:
        expected = max(seconds.get(n, [60 if n > 32768 else 30])[-4:])
        if time.monotonic() - started + expected > options.budget:
            break
        try:
            cell = bench.cell(name, n, d, gpu)
        except RuntimeError as error:  # fm.Error is one; after an error of the GPU itself nothing else would run
            print(f"{name} {n} d{d}: {first_line(error)}", flush=True)
            failed.append(f"{name} {n} d{d}")
            if getattr(error, "status", "device error") == "device error" and not isinstance(error, out_of_memory):
                break
            continue
        finished += 1
        cell["run"] = len(content["runs"]) - 1
        content["cells"] = [other for other in content["cells"] if key_of(other) != key_of(cell)] + [cell]
        judge(content["cells"])
        seconds.setdefault(n, []).append(cell["seconds"])
        if not cell["passed"]:
            failed.append(f"{name} {n} d{d}")
        if options.json:
            compare.write_json(options.json, content)
        print_cell(cell)
    left = len(todo) - finished
    print(f"{len(wanted) - len(todo)} cells were there, {finished} done, {left} left"
          + ("; the same command goes on with them" if left and options.json else ""))
    for name in failed:
        print(f"failed: {name}")
    return 1 if failed else 0


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default=compare.DEFAULT_LIBRARY, help="libflashmask.so (default: of build/)")
    parser.add_argument("--cache-directory", help="of the kernels (default: as the environment says)")
    parser.add_argument("--json", help="file for all figures; cells that are in it are not measured again")
    parser.add_argument("--budget", type=float, default=480, metavar="SECONDS", help="of the whole run")
    parser.add_argument("--masks", type=compare.listed(str, paper_masks.MASKS), default=list(paper_masks.TWELVE))
    parser.add_argument("--seqlens", type=compare.listed(int), default=[8192, 32768, 131072])
    parser.add_argument("--head-dims", type=compare.listed(int), default=[64, 128])
    parser.add_argument("--tokens", type=int, default=TOKENS, help="batch x seqlen")
    parser.add_argument("--width", type=int, default=WIDTH, help="heads x head_dim")
    parser.add_argument("--seed", type=int, default=1, help="of the documents and evictions")
    parser.add_argument("--rounds", type=int, default=31, help="at most; at least 3")
    parser.add_argument("--cell-seconds", type=float, default=1.5, help="of GPU time for the rounds of a cell")
    parser.add_argument("--build-rounds", type=int, default=15, help="of a plan; a block mask gets a third")
    return parser.parse_args(arguments)


def main(arguments):
    started = time.monotonic()
    options = parse_options(arguments)
    import torch
    if not torch.cuda.is_available():
        sys.exit("compare_masks.py: torch sees no GPU")
    return run_all(torch, options, started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

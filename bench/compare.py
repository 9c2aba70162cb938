#!/usr/bin/env python3
"""Times libflashmask's forward against PyTorch's attention on the same tensors, interleaved, on one GPU.

    python3 bench/compare.py --json bench/results/h100.json
    python3 bench/compare.py --head-dims 128 --seqlens 8192 --masks causal --tile 128,64,8,2,0
    python3 bench/compare.py --device emulator --self-check      # no GPU, no torch: proves the bindings

Every case is first compared with fp64 on a slice of rows. Rounds are interleaved (each candidate once, in an order of
its own), every run starts with a cold L2, data is N(0, 1). A ratio is the median of the rounds' ratios. FLOPs are
counted by visible pairs: 2 (head_dim_qk + head_dim_v) each.
"""

import argparse
import json
import math
import os
import random
import re
import statistics
import sys

import flashmask_c as fm
import gpu_state
import self_check

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_LIBRARY = os.path.join(HERE, "..", "build", "lib", "libflashmask.so")
MASKS = {"full": "none", "causal": "causal", "causal-document": "c1", "document": "f2", "sliding-window": "c1"}
WINDOW_SHARE = 16  # of the sequence, the query's own key included
REFERENCE_ROWS = 192  # per slice; with all keys, in fp64


class Case:
    """One shape and mask, with its tensors [batch, seqlen, heads, head_dim] on the GPU."""

    def __init__(self, torch, mask, dtype, head_dim, seqlen, options):
        self.torch, self.mask, self.dtype, self.head_dim, self.seqlen = torch, mask, dtype, head_dim, seqlen
        self.heads = options.heads or 2048 // head_dim
        self.batch = max(1, options.tokens // seqlen)
        self.scale = 1 / math.sqrt(head_dim)
        torch.manual_seed(seqlen + head_dim)
        shape = (self.batch, seqlen, self.heads, head_dim)
        element = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
        self.q, self.k, self.v = (torch.randn(shape, device="cuda", dtype=element) for _ in range(3))
        # Documents of unequal length, the same for every batch entry: their first tokens.
        cuts = [0, 0.11, 0.16, 0.41, 0.47, 0.78, 1]
        self.bounds = [round(cut * seqlen) for cut in cuts]
        document = torch.zeros(seqlen, dtype=torch.int64)
        for n, first in enumerate(self.bounds[:-1]):
            document[first:] = n
        self.document = document.cuda()
        self.window = max(1, seqlen // WINDOW_SHARE)

    @property
    def name(self):
        return f"{self.mask} {self.dtype} d{self.head_dim} {self.seqlen}"

    def visible(self, rows):
        """Bool [len(rows), seqlen]."""
        keys = self.torch.arange(self.seqlen, device="cuda")
        seen = self.torch.ones(len(rows), self.seqlen, dtype=self.torch.bool, device="cuda")
        if self.mask in ("causal", "causal-document", "sliding-window"):
            seen &= keys[None, :] <= rows[:, None]
        if self.mask == "sliding-window":
            seen &= keys[None, :] > rows[:, None] - self.window
        if self.mask in ("causal-document", "document"):
            seen &= self.document[None, :] == self.document[rows][:, None]
        return seen

    def pairs(self):
        """Visible pairs of one head."""
        n, lengths = self.seqlen, [b - a for a, b in zip(self.bounds, self.bounds[1:])]
        return {"full": n * n, "causal": n * (n + 1) // 2,
                "causal-document": sum(length * (length + 1) // 2 for length in lengths),
                "document": sum(length * length for length in lengths),
                "sliding-window": n * self.window - self.window * (self.window - 1) // 2}[self.mask]

    def flops(self):
        return 4 * self.head_dim * self.pairs() * self.heads * self.batch

    def intervals(self):
        """startend_row_indices [batch, 1, seqlen, vectors] on the GPU, or None."""
        if self.mask == "sliding-window":
            end = self.torch.arange(self.seqlen, device="cuda", dtype=self.torch.int32) + self.window
            return end[None, None, :, None].expand(self.batch, 1, -1, -1).contiguous()
        if self.mask not in ("causal-document", "document"):
            return None
        bounds = self.torch.tensor(self.bounds, device="cuda", dtype=self.torch.int32)
        end, start = bounds[self.document + 1], bounds[self.document]
        vectors = [end] if self.mask == "causal-document" else [end, start]
        return self.torch.stack(vectors, -1).expand(self.batch, 1, -1, -1).contiguous()


class FlashMask:
    """Our kernel on the case's tensors."""

    def __init__(self, runtime, case, config=None):
        self.kernel = runtime.request(case.dtype, case.head_dim, MASKS[case.mask], config=config)
        torch = case.torch
        self.out = torch.full_like(case.q, float("nan"))
        self.lse = torch.full((case.batch, case.heads, case.seqlen), float("nan"), device="cuda")
        self.intervals = case.intervals()
        args = self.args = runtime.forward_args()
        args.batch, args.seqlen_q, args.seqlen_k = case.batch, case.seqlen, case.seqlen
        args.num_heads_q = args.num_heads_kv = case.heads
        args.softmax_scale = case.scale
        args.query, args.key, args.value, args.output = (
            fm.Tensor(t.data_ptr(), t.stride(0), t.stride(1), t.stride(2)) for t in (case.q, case.k, case.v, self.out))
        args.lse = self.lse.data_ptr()
        if self.intervals is not None:
            args.startend_row_indices = self.intervals.data_ptr()
        size = self.kernel.workspace_size(args)
        self.workspace = torch.empty(size, dtype=torch.uint8, device="cuda") if size else None
        self.stream = torch.cuda.current_stream().cuda_stream

    def run(self):
        self.kernel.launch(self.args, self.workspace.data_ptr() if self.workspace is not None else 0, self.stream)
        return self.out


class Sdpa:
    """torch.nn.functional.scaled_dot_product_attention, held to one backend."""

    def __init__(self, case, backend):
        from torch.nn.attention import sdpa_kernel
        if case.mask not in ("full", "causal"):
            raise RuntimeError("only full and causal masks")
        self.context = lambda: sdpa_kernel(backend)
        # [batch, heads, seqlen, head_dim] views: every backend takes their strides as they are.
        self.q, self.k, self.v = (t.transpose(1, 2) for t in (case.q, case.k, case.v))
        self.causal, self.scale = case.mask == "causal", case.scale
        self.sdpa = case.torch.nn.functional.scaled_dot_product_attention

    def run(self):
        with self.context():
            out = self.sdpa(self.q, self.k, self.v, is_causal=self.causal, scale=self.scale)
        return out.transpose(1, 2)


class Flex:
    """FlexAttention, compiled, with a block mask made beforehand."""
    compiled = None

    def __init__(self, case):
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        document = case.document
        def mask_mod(_batch, _head, i, j):
            seen = i >= j if case.mask in ("causal", "causal-document", "sliding-window") else i >= 0
            if case.mask == "sliding-window":
                return seen & (i - j < case.window)
            return seen & (document[i] == document[j]) if "document" in case.mask else seen
        if Flex.compiled is None:
            Flex.compiled = case.torch.compile(flex_attention, dynamic=False)
        self.block_mask = None
        if case.mask != "full":
            self.block_mask = create_block_mask(mask_mod, None, None, case.seqlen, case.seqlen, device="cuda")
        self.q, self.k, self.v = (t.transpose(1, 2) for t in (case.q, case.k, case.v))
        self.scale = case.scale

    def run(self):
        out = Flex.compiled(self.q, self.k, self.v, block_mask=self.block_mask, scale=self.scale)
        return out.transpose(1, 2)


def try_candidates(torch, makers):
    """{name: candidate} of those that can run, {name: reason} of the others."""
    candidates, unavailable = {}, {}
    for name, make in makers.items():
        try:
            candidate = make()
            candidate.run()
            torch.cuda.synchronize()
            candidates[name] = candidate
        except (RuntimeError, ImportError) as error:  # fm.Error is a RuntimeError
            if name == "flashmask":
                raise
            unavailable[name] = str(error).splitlines()[0] if str(error) else type(error).__name__
    return candidates, unavailable


def make_candidates(torch, runtime, case, options):
    from torch.nn.attention import SDPBackend
    makers = {"flashmask": lambda: FlashMask(runtime, case)}
    for tile in options.tile:
        label = "flashmask {}x{} w{} s{}{}".format(*tile[:4], " qreg" if tile[4] else "")
        makers[label] = lambda tile=tile: FlashMask(runtime, case, tile)
    makers["fa2"] = lambda: Sdpa(case, SDPBackend.FLASH_ATTENTION)
    makers["cudnn"] = lambda: Sdpa(case, SDPBackend.CUDNN_ATTENTION)
    if options.efficient:
        makers["efficient"] = lambda: Sdpa(case, SDPBackend.EFFICIENT_ATTENTION)
    if options.flex:
        makers["flex"] = lambda: Flex(case)
    return try_candidates(torch, makers)


def check(torch, case, out, lse=None):
    """Compares slices of rows with fp64: {error, bound, lse_error, passed}."""
    n, step = case.seqlen, max(1, REFERENCE_ROWS // 3)
    rows = torch.unique(torch.cat([torch.arange(0, min(step, n)), torch.arange(n // 2, min(n // 2 + step, n)),
                                   torch.arange(max(0, n - step), n)])).cuda()
    seen = case.visible(rows)
    worst = {"error": 0.0, "bound": 0.0, "lse_error": 0.0, "passed": True}
    for b, h in {(0, 0), (case.batch - 1, case.heads - 1)}:
        q, k, v = case.q[b, rows, h], case.k[b, :, h], case.v[b, :, h]
        def softmax(dtype):
            scores = (q.to(dtype) @ k.to(dtype).T) * case.scale
            return scores.masked_fill(~seen, -math.inf)
        exact = softmax(torch.float64)
        reference = torch.softmax(exact, -1) @ v.double()
        naive = (torch.softmax(softmax(torch.float32), -1).to(q.dtype).float() @ v.float()).to(q.dtype)
        naive_error = (naive.double() - reference).abs().max().item()
        largest = reference.abs().max().item()
        fraction_bits = 7 if case.dtype == "bf16" else 10
        bound = 2 * naive_error + 2.0 ** (math.floor(math.log2(largest)) - fraction_bits)
        error = (out[b, rows, h].double() - reference).abs().max().item()  # NaN stays NaN and fails below
        worst["passed"] &= error <= bound
        worst["error"] = max(worst["error"], error if error == error else math.inf)
        worst["bound"] = max(worst["bound"], bound)
        if lse is not None:
            expected = torch.logsumexp(exact, -1)
            lse_error = ((lse[b, h, rows].double() - expected).abs() / expected.abs().clamp(min=1)).max().item()
            worst["passed"] &= lse_error <= 1e-4
            worst["lse_error"] = max(worst["lse_error"], lse_error if lse_error == lse_error else math.inf)
    return worst


class Clock:
    """Times one call on the GPU with a cold L2. The flush also keeps the GPU busy while the host enqueues the call, so
    that the events enclose the kernel and not the host; `lead_cycles` more of waiting, where the host takes longer."""

    def __init__(self, torch, lead_cycles=0):
        self.torch, self.lead_cycles = torch, lead_cycles
        l2 = torch.cuda.get_device_properties(0).L2_cache_size
        self.flush = torch.empty(max(256 << 20, 4 * l2) // 4, dtype=torch.int32, device="cuda")

    def milliseconds(self, call, cold=True):
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        if cold:
            self.flush.zero_()
        if self.lead_cycles:
            self.torch.cuda._sleep(self.lead_cycles)
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)


def measure(clock, candidates, options):
    """{name: [median milliseconds of each round]}."""
    names = list(candidates)
    warm = {name: clock.milliseconds(candidates[name].run) for name in names}
    for name in names:  # about 0.2 s each, until clocks and caches of the host have settled
        for _ in range(max(3, min(50, int(200 / max(warm[name], 0.05))))):
            clock.milliseconds(candidates[name].run)
    rounds = {name: [] for name in names}
    for turn in range(options.rounds):
        # In another order every time: a candidate also feels how hot its predecessor left the GPU.
        for name in random.Random(turn).sample(names, len(names)):
            times = [clock.milliseconds(candidates[name].run) for _ in range(options.repeats)]
            rounds[name].append(statistics.median(times))
    return rounds


def run_case(torch, clock, runtime, case, options, gpu):
    candidates, unavailable = make_candidates(torch, runtime, case, options)
    checks = {}
    for name, candidate in candidates.items():
        lse = candidate.lse if isinstance(candidate, FlashMask) else None
        checks[name] = {"check": check(torch, case, candidate.run(), lse)}
    return time_case(clock, case, candidates, unavailable, checks, options, gpu)


def time_case(clock, case, candidates, unavailable, checks, options, gpu):
    """The record of a case; `checks` are what the entries of the candidates say beside their times."""
    before = gpu_state.query(gpu)
    rounds = measure(clock, candidates, options)
    after = gpu_state.query(gpu)
    record = {"name": case.name, "mask": case.mask, "dtype": case.dtype, "head_dim": case.head_dim,
              "seqlen": case.seqlen, "batch": case.batch, "heads": case.heads, "visible_pairs": case.pairs(),
              "flops": case.flops(), "gpu_before": before, "gpu_after": after, "unavailable": unavailable,
              "candidates": {}}
    ours = rounds["flashmask"]
    for name, times in rounds.items():
        milliseconds = statistics.median(times)
        entry = {"round_ms": times, "median_ms": milliseconds, "tflops": case.flops() / milliseconds / 1e9,
                 **checks[name],
                 "flashmask_speed_ratio": statistics.median(theirs / mine for theirs, mine in zip(times, ours))}
        kernel = getattr(candidates[name], "kernel", None)  # ours alone have one
        if kernel:
            entry["kernel"] = {"config": kernel.config, "digest": kernel.info.digest.decode(),
                               "registers": kernel.info.registers, "spill_bytes": kernel.info.spill_bytes,
                               "shared_bytes": kernel.info.shared_bytes}
        record["candidates"][name] = entry
    return record


def verdict_of(entry):
    check_of_out = entry["check"]
    return "" if check_of_out["passed"] else \
        f"  WRONG: error {check_of_out['error']:.3g}, bound {check_of_out['bound']:.3g}"


def print_case(record, verdict_of):
    ours = record["candidates"]["flashmask"]
    print(f"{record['name']:<32} batch {record['batch']} heads {record['heads']}  {ours['kernel']['config']}")
    for name, entry in record["candidates"].items():
        ratio = "" if name == "flashmask" else f"  flashmask is {entry['flashmask_speed_ratio']:.3f}x as fast"
        print(f"    {name:<28} {entry['median_ms']:9.3f} ms {entry['tflops']:8.1f} TFLOP/s{ratio}{verdict_of(entry)}")
    for name, reason in record["unavailable"].items():
        print(f"    {name:<28} unavailable: {reason}")
    sys.stdout.flush()


def print_summary(records):
    print(f"\n{'case':<32} {'TFLOP/s':>8} {'to FA2':>7} {'to cuDNN':>9}")
    for record in records:
        def ratio(name, entries=record["candidates"]):
            return f"{entries[name]['flashmask_speed_ratio']:.3f}" if name in entries else "-"
        print(f"{record['name']:<32} {record['candidates']['flashmask']['tflops']:8.1f} {ratio('fa2'):>7} "
              f"{ratio('cudnn'):>9}")


def write_json(path, content):
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)


def run_cases(options, tool, flops, make_case, run_one, verdict):
    """Runs every case on this GPU and prints it; what the file of figures holds. `flops` says how they are counted,
    make_case(torch, mask, dtype, head_dim, seqlen, options) makes a case, run_one() its record, as run_case() does."""
    import torch
    if not torch.cuda.is_available():
        sys.exit(f"{os.path.basename(tool)}: torch sees no GPU")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.zeros(1, device="cuda")  # torch's primary context is the one that flashmask opens too
    library = fm.Library(options.library)
    device = fm.Device.cuda(library, torch.cuda.current_device())
    runtime = fm.Runtime(library, device, options.cache_directory)
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    gpu = f"GPU-{properties.uuid}" if hasattr(properties, "uuid") else torch.cuda.current_device()
    content = {"schema": 1, "tool": tool, "date": gpu_state.now(),
               "revision": gpu_state.revision(HERE), "library": library.version,
               "gpu": {"name": properties.name, "target": device.info.target.decode(),
                       "multiprocessors": properties.multi_processor_count, **gpu_state.query(gpu)},
               "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
               "method": {"rounds": options.rounds, "repeats": options.repeats, "tokens": options.tokens,
                          "l2": "flushed before every run", "data": "N(0, 1)", "flops": flops},
               "cases": []}
    print(f"{properties.name}, driver {content['gpu'].get('driver_version', '?')}, torch {torch.__version__}, "
          f"flashmask {library.version} ({device.info.target.decode()})")
    clock = Clock(torch)
    for mask in options.masks:
        for dtype in options.dtypes:
            for head_dim in options.head_dims:
                for seqlen in options.seqlens:
                    case = make_case(torch, mask, dtype, head_dim, seqlen, options)
                    record = run_one(torch, clock, runtime, case, options, gpu)
                    content["cases"].append(record)
                    print_case(record, verdict)
                    if options.json:
                        write_json(options.json, content)  # after every case: a run that is cut off keeps its figures
    return content


def run_cuda(options):
    content = run_cases(options, "bench/compare.py", "2 (head_dim_qk + head_dim_v) per visible pair", Case, run_case,
                        verdict_of)
    print_summary(content["cases"])
    wrong = [f"{record['name']}: {name}" for record in content["cases"]
             for name, entry in record["candidates"].items()
             if name.startswith("flashmask") and not entry["check"]["passed"]]
    slow = [record["name"] for record in content["cases"]
            if options.gate and "fa2" in record["candidates"]
            and record["candidates"]["fa2"]["flashmask_speed_ratio"] < options.gate]
    for line in wrong:
        print(f"wrong result: {line}")
    for line in slow:
        print(f"below {options.gate} of FlashAttention-2: {line}")
    return 1 if wrong or slow else 0


def listed(kind, allowed=None):
    """For argparse: values with commas between."""
    def parse(text):
        values = [kind(part) for part in text.split(",") if part]
        for value in values:
            if allowed and value not in allowed:
                raise argparse.ArgumentTypeError(f"{value}: {', '.join(allowed)} are allowed")
        return values
    return parse


def add_case_options(parser):
    """What the comparisons of both passes are told alike."""
    parser.add_argument("--library", default=DEFAULT_LIBRARY, help="libflashmask.so (default: of build/)")
    parser.add_argument("--cache-directory", help="of the kernels (default: as the environment says)")
    parser.add_argument("--masks", type=listed(str, MASKS), default=["full", "causal"])
    parser.add_argument("--dtypes", type=listed(str, fm.DTYPES), default=["bf16"])
    parser.add_argument("--head-dims", type=listed(int), default=[64, 128])
    parser.add_argument("--seqlens", type=listed(int), default=[4096, 8192, 16384, 32768])
    parser.add_argument("--tokens", type=int, default=32768, help="batch x seqlen")
    parser.add_argument("--heads", type=int, default=0, help="default: 2048 / head_dim")
    parser.add_argument("--flex", action="store_true", help="also time FlexAttention (needs a C compiler)")
    parser.add_argument("--json", help="file for all figures")


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    def tile(text):
        if not re.fullmatch(r"\d+,\d+,\d+,\d+(,[01])?", text):
            raise argparse.ArgumentTypeError(f"{text}: TILE_Q,TILE_K,WARPS,STAGES[,QUERY_IN_REGISTERS] is needed")
        return tuple(int(part) for part in (text + ",0").split(","))[:5]
    add_case_options(parser)
    parser.add_argument("--device", choices=("cuda", "emulator"), default="cuda")
    parser.add_argument("--self-check", action="store_true", help="prove the bindings on the emulator, and end")
    parser.add_argument("--target", default="sm_80", help="of the emulator")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=3, help="runs of a candidate in a round")
    parser.add_argument("--tile", type=tile, action="append", default=[], metavar="Q,K,WARPS,STAGES[,QREG]",
                        help="also time this configuration; may be given again")
    parser.add_argument("--efficient", action="store_true", help="also time the memory-efficient backend")
    parser.add_argument("--gate", type=float, help="fail if slower than this share of FlashAttention-2's speed")
    options = parser.parse_args(arguments)
    if (options.device == "emulator") != options.self_check:
        parser.error("--device emulator and --self-check go together: timings of an emulator mean nothing")
    return options


def main(arguments):
    options = parse_options(arguments)
    if options.self_check:
        self_check.run(options.library, options.target)
        return 0
    return run_cuda(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Times libflashmask's backward against PyTorch's on the same tensors, interleaved, on one GPU.

    python3 bench/compare_backward.py --json bench/results/backward_h100.json
    python3 bench/compare_backward.py --head-dims 128 --seqlens 8192 --masks causal --tile 64,128,8,2,0,2

What is timed is dQ, dK and dV from Q, K, V, O, LSE and dO: all kernels of our launch, and the backward of autograd of
the others. Rounds are interleaved (each candidate once, in an order of its own), every run starts with a cold L2, data is
N(0, 1). A ratio is the median of the rounds' ratios. FLOPs are counted by visible pairs: 2.5 times the
forward's. Every gradient is first compared with fp64 on slices of rows and keys of two heads.
"""

import argparse
import math
import re
import statistics
import sys

import compare
import flashmask_c as fm
import gpu_state

SLICE = 64  # rows, and keys, at the beginning, in the middle and at the end that are compared with fp64


class FlashMask:
    """Our kernel on the case's tensors; the forward that comes before it, and the plans, are not timed."""

    def __init__(self, runtime, case, deterministic=False, config=None):
        torch, form = case.torch, compare.MASKS[case.mask]
        self.forward = compare.FlashMask(runtime, case)
        self.forward.run()
        self.kernel = runtime.request(case.dtype, case.head_dim, form, config=config, pass_="backward",
                                      deterministic=deterministic)
        self.gradients = [torch.full_like(t, float("nan")) for t in (case.q, case.k, case.v)]
        # Its own copy, for the plan is of the backward's tiles.
        self.arguments = fm.ForwardArgs.from_buffer_copy(self.forward.args)
        self.stream = self.forward.stream
        if self.forward.intervals is not None:
            shape = runtime.library.mask_shape(form, case.seqlen, case.seqlen, batch=case.batch)
            size = runtime.library.plan_size(shape, *self.kernel.tiles)
            self.plan = torch.empty(size, dtype=torch.uint8, device="cuda")
            runtime.build_plan(shape, self.kernel.tiles, self.forward.intervals.data_ptr(), self.plan.data_ptr(), size,
                               self.stream)
            self.arguments.plan, self.arguments.plan_bytes = self.plan.data_ptr(), size
            self.arguments.plan_tile_q, self.arguments.plan_tile_k = self.kernel.tiles
        self.args = runtime.backward_args(self.arguments)
        tensors = [fm.Tensor(t.data_ptr(), t.stride(0), t.stride(1), t.stride(2))
                   for t in [case.output_gradient, *self.gradients]]
        self.args.output_gradient = tensors[0]
        self.args.query_gradient, self.args.key_gradient, self.args.value_gradient = tensors[1:]
        self.workspace = torch.empty(self.kernel.backward_workspace_size(self.args), dtype=torch.uint8, device="cuda")

    def run(self):
        self.kernel.launch_backward(self.args, self.workspace.data_ptr(), self.workspace.numel(), self.stream)
        return self.gradients


class Autograd:
    """The backward of a forward of compare.py's candidates."""

    def __init__(self, make_forward, case):
        self.inputs = []
        for name in ("q", "k", "v"):
            self.inputs.append(getattr(case, name).detach().requires_grad_())
        forward = make_forward(case.with_inputs(*self.inputs))
        self.out = forward.run()
        self.output_gradient = case.output_gradient

    def run(self):
        torch_autograd = sys.modules["torch"].autograd
        return torch_autograd.grad(self.out, self.inputs, self.output_gradient, retain_graph=True)


class Case(compare.Case):
    """A case with dO."""

    def __init__(self, torch, mask, dtype, head_dim, seqlen, options):
        super().__init__(torch, mask, dtype, head_dim, seqlen, options)
        self.output_gradient = torch.randn_like(self.q)

    def flops(self):
        return super().flops() * 5 // 2

    def with_inputs(self, q, k, v):
        """The same case on other tensors."""
        case = object.__new__(Case)
        case.__dict__.update(self.__dict__)
        case.q, case.k, case.v = q, k, v
        return case


def make_candidates(torch, runtime, case, options):
    """{name: candidate} of those that can run, {name: reason} of the others."""
    from torch.nn.attention import SDPBackend
    makers = {"flashmask": lambda: FlashMask(runtime, case),
              "flashmask deterministic": lambda: FlashMask(runtime, case, deterministic=True)}
    for tile in options.tile:
        label = "flashmask " + ",".join(str(part) for part in tile)
        makers[label] = lambda tile=tile: FlashMask(runtime, case, config=tile)
    makers["fa2"] = lambda: Autograd(lambda c: compare.Sdpa(c, SDPBackend.FLASH_ATTENTION), case)
    makers["cudnn"] = lambda: Autograd(lambda c: compare.Sdpa(c, SDPBackend.CUDNN_ATTENTION), case)
    if options.flex:
        makers["flex"] = lambda: Autograd(compare.Flex, case)
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


class Reference:
    """Gradients in fp64, and as a careful user would write them, of slices of rows and keys of a head."""

    def __init__(self, torch, case, batch, head):
        self.torch, self.case, self.place = torch, case, (batch, slice(None), head)
        n, part = case.seqlen, min(SLICE, case.seqlen)
        middle = n // 2 - part // 2
        self.picked = torch.unique(torch.cat([torch.arange(first, first + part) for first in (0, middle, n - part)]))
        self.picked = self.picked.cuda()
        exact, naive = self._gradients(torch.float64), self._gradients(torch.float32)
        self.expected, self.bounds = exact, []
        fraction_bits = 7 if case.dtype == "bf16" else 10
        for reference, rounded in zip(exact, naive):
            largest = reference.abs().max().item()
            self.bounds.append(2 * (rounded.double() - reference).abs().max().item()
                               + 2.0 ** (1 + math.floor(math.log2(largest)) - fraction_bits))

    def _gradients(self, real):
        """dQ of the picked rows, dK and dV of the picked keys; rounded to the dtype on the way, but in fp64."""
        torch, case, picked = self.torch, self.case, self.picked
        element = case.q.dtype
        def stored(tensor):
            return tensor.to(element).to(real) if real == torch.float32 else tensor
        q, k, v, g = (t[self.place].to(real) for t in (case.q, case.k, case.v, case.output_gradient))
        rows = torch.arange(case.seqlen, device="cuda")
        query_gradient = []
        key_gradient, value_gradient = (torch.zeros(len(picked), case.head_dim, dtype=real, device="cuda")
                                        for _ in range(2))
        for chunk in rows.split(2048):
            seen = case.visible(chunk)
            scores = ((q[chunk] @ k.T) * case.scale).masked_fill(~seen, -math.inf)
            p = torch.softmax(scores, -1)
            out = stored(stored(p) @ v)
            delta = (out * g[chunk]).sum(-1, keepdim=True)
            of_keys = stored(p[:, picked] * (g[chunk] @ v[picked].T - delta))
            key_gradient += of_keys.T @ q[chunk] * case.scale
            value_gradient += stored(p[:, picked]).T @ g[chunk]
            own = torch.isin(chunk, picked)
            if own.any():
                of_rows = stored(p[own] * (g[chunk][own] @ v.T - delta[own]))
                query_gradient.append(of_rows @ k * case.scale)
        return [stored(t) for t in (torch.cat(query_gradient), key_gradient, value_gradient)]

    def check(self, gradients):
        errors = [(gradient[self.place][self.picked].double() - expected).abs().max().item()
                  for gradient, expected in zip(gradients, self.expected)]
        return {"errors": [error if error == error else math.inf for error in errors], "bounds": self.bounds,
                "passed": all(error <= bound for error, bound in zip(errors, self.bounds))}


def run_case(torch, clock, runtime, case, options, gpu):
    candidates, unavailable = make_candidates(torch, runtime, case, options)
    references = [Reference(torch, case, b, h) for b, h in {(0, 0), (case.batch - 1, case.heads - 1)}]
    checks = {}
    for name, candidate in candidates.items():
        gradients = candidate.run()
        checks[name] = [reference.check(gradients) for reference in references]
    before = gpu_state.query(gpu)
    rounds = compare.measure(clock, candidates, options)
    after = gpu_state.query(gpu)
    record = {"name": case.name, "mask": case.mask, "dtype": case.dtype, "head_dim": case.head_dim,
              "seqlen": case.seqlen, "batch": case.batch, "heads": case.heads, "visible_pairs": case.pairs(),
              "flops": case.flops(), "gpu_before": before, "gpu_after": after, "unavailable": unavailable,
              "candidates": {}}
    ours = rounds["flashmask"]
    for name, times in rounds.items():
        milliseconds = statistics.median(times)
        entry = {"round_ms": times, "median_ms": milliseconds, "tflops": case.flops() / milliseconds / 1e9,
                 "checks": checks[name],
                 "flashmask_speed_ratio": statistics.median(theirs / mine for theirs, mine in zip(times, ours))}
        if isinstance(candidates[name], FlashMask):
            kernel = candidates[name].kernel
            entry["kernel"] = {"config": kernel.config, "digest": kernel.info.digest.decode(),
                               "registers": kernel.info.registers, "spill_bytes": kernel.info.spill_bytes,
                               "shared_bytes": kernel.info.shared_bytes}
        record["candidates"][name] = entry
    return record


def is_right(entry):
    return all(check["passed"] for check in entry["checks"])


def print_case(record):
    ours = record["candidates"]["flashmask"]
    print(f"{record['name']:<32} batch {record['batch']} heads {record['heads']}  {ours['kernel']['config']}")
    for name, entry in record["candidates"].items():
        verdict = "" if is_right(entry) else f"  WRONG: {entry['checks']}"
        ratio = "" if name == "flashmask" else f"  flashmask is {entry['flashmask_speed_ratio']:.3f}x as fast"
        kernel = entry.get("kernel")
        note = f"  ({kernel['registers']} registers, {kernel['spill_bytes']} spilled)" if kernel else ""
        print(f"    {name:<28} {entry['median_ms']:9.3f} ms {entry['tflops']:8.1f} TFLOP/s{ratio}{note}{verdict}")
    for name, reason in record["unavailable"].items():
        print(f"    {name:<28} unavailable: {reason}")
    sys.stdout.flush()


def run(options):
    import torch
    if not torch.cuda.is_available():
        sys.exit("compare_backward.py: torch sees no GPU")
    if options.flex:
        import torch._dynamo.config
        import torch._functorch.config
        torch._dynamo.config.recompile_limit = 1000  # beyond it cases would run uncompiled
        torch._functorch.config.donated_buffer = False  # the graph is kept from run to run
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.zeros(1, device="cuda")  # torch's primary context is the one that flashmask opens too
    library = fm.Library(options.library)
    device = fm.Device.cuda(library, torch.cuda.current_device())
    runtime = fm.Runtime(library, device, options.cache_directory)
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    gpu = f"GPU-{properties.uuid}" if hasattr(properties, "uuid") else torch.cuda.current_device()
    content = {"schema": 1, "tool": "bench/compare_backward.py", "date": gpu_state.now(),
               "revision": gpu_state.revision(compare.HERE), "library": library.version,
               "gpu": {"name": properties.name, "target": device.info.target.decode(),
                       "multiprocessors": properties.multi_processor_count, **gpu_state.query(gpu)},
               "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
               "method": {"rounds": options.rounds, "repeats": options.repeats, "tokens": options.tokens,
                          "l2": "flushed before every run", "data": "N(0, 1)",
                          "flops": "5 (head_dim_qk + head_dim_v) per visible pair"},
               "cases": []}
    print(f"{properties.name}, driver {content['gpu'].get('driver_version', '?')}, torch {torch.__version__}, "
          f"flashmask {library.version} ({device.info.target.decode()})")
    clock = compare.Clock(torch)
    for mask in options.masks:
        for dtype in options.dtypes:
            for head_dim in options.head_dims:
                for seqlen in options.seqlens:
                    case = Case(torch, mask, dtype, head_dim, seqlen, options)
                    record = run_case(torch, clock, runtime, case, options, gpu)
                    content["cases"].append(record)
                    print_case(record)
                    if options.json:
                        compare.write_json(options.json, content)  # a run that is cut off keeps its figures
    wrong = [f"{record['name']}: {name}" for record in content["cases"]
             for name, entry in record["candidates"].items() if name.startswith("flashmask") and not is_right(entry)]
    for line in wrong:
        print(f"wrong result: {line}")
    return 1 if wrong else 0


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    def listed(kind, allowed=None):
        def parse(text):
            values = [kind(part) for part in text.split(",") if part]
            for value in values:
                if allowed and value not in allowed:
                    raise argparse.ArgumentTypeError(f"{value}: {', '.join(allowed)} are allowed")
            return values
        return parse
    def tile(text):
        if not re.fullmatch(r"\d+,\d+,\d+,\d+(,0(,[12])?)?", text):
            raise argparse.ArgumentTypeError(f"{text}: TILE_Q,TILE_K,WARPS,STAGES[,0[,COLUMN_WARPS]] is needed")
        return tuple(int(part) for part in text.split(","))
    parser.add_argument("--library", default=compare.DEFAULT_LIBRARY, help="libflashmask.so (default: of build/)")
    parser.add_argument("--cache-directory", help="of the kernels (default: as the environment says)")
    parser.add_argument("--masks", type=listed(str, compare.MASKS), default=["full", "causal"])
    parser.add_argument("--dtypes", type=listed(str, fm.DTYPES), default=["bf16"])
    parser.add_argument("--head-dims", type=listed(int), default=[64, 128])
    parser.add_argument("--seqlens", type=listed(int), default=[4096, 8192, 16384, 32768])
    parser.add_argument("--tokens", type=int, default=32768, help="batch x seqlen")
    parser.add_argument("--heads", type=int, default=0, help="default: 2048 / head_dim")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=1, help="runs of a candidate in a round")
    parser.add_argument("--tile", type=tile, action="append", default=[], metavar="Q,K,WARPS,STAGES[,0[,COLUMNS]]",
                        help="also time this configuration; may be given again")
    parser.add_argument("--flex", action="store_true", help="also time FlexAttention (needs a C compiler)")
    parser.add_argument("--json", help="file for all figures")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(parse_options(sys.argv[1:])))

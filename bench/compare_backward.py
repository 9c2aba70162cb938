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
import sys

import compare
import flashmask_c as fm

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
    return compare.try_candidates(torch, makers)


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
        checks[name] = {"checks": [reference.check(gradients) for reference in references]}
    return compare.time_case(clock, case, candidates, unavailable, checks, options, gpu)


def is_right(entry):
    return all(check["passed"] for check in entry["checks"])


def verdict_of(entry):
    kernel = entry.get("kernel")
    note = f"  ({kernel['registers']} registers, {kernel['spill_bytes']} spilled)" if kernel else ""
    return note + ("" if is_right(entry) else f"  WRONG: {entry['checks']}")


def run(options):
    if options.flex:
        import torch._dynamo.config
        import torch._functorch.config
        torch._dynamo.config.recompile_limit = 1000  # beyond it cases would run uncompiled
        torch._functorch.config.donated_buffer = False  # the graph is kept from run to run
    content = compare.run_cases(options, "bench/compare_backward.py", "5 (head_dim_qk + head_dim_v) per visible pair",
                                Case, run_case, verdict_of)
    wrong = [f"{record['name']}: {name}" for record in content["cases"]
             for name, entry in record["candidates"].items() if name.startswith("flashmask") and not is_right(entry)]
    for line in wrong:
        print(f"wrong result: {line}")
    return 1 if wrong else 0


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    def tile(text):
        if not re.fullmatch(r"\d+,\d+,\d+,\d+(,0(,[12])?)?", text):
            raise argparse.ArgumentTypeError(f"{text}: TILE_Q,TILE_K,WARPS,STAGES[,0[,COLUMN_WARPS]] is needed")
        return tuple(int(part) for part in text.split(","))
    compare.add_case_options(parser)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=1, help="runs of a candidate in a round")
    parser.add_argument("--tile", type=tile, action="append", default=[], metavar="Q,K,WARPS,STAGES[,0[,COLUMNS]]",
                        help="also time this configuration; may be given again")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(parse_options(sys.argv[1:])))

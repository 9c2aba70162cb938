#!/usr/bin/env python3
"""The process that measures cells on a GPU: started by compare.py, which says how they talk (cell_process.py).

Its argument is one JSON object: "library", "cache_directory", "rounds", "cell_seconds", "build_rounds".
"""

import gc
import json
import os
import sys
import time

import candidates as candidate_kinds
import correctness
import flashmask_c as fm
import gpu_state
import gpu_timing
from candidates import OURS, MatrixProduct, Plan, brief, is_ours
from cells import Cell, counted_tiles
from problem import DEVICE, PAPER_TILE, CountedMask, Problem
from result_file import MEASURED, WRONG

CEILING = "matmul"
JUDGES = ("fa2", "flex", "cudnn", "dense")  # the first of these peers that runs is what our results are compared with
METHOD = {"l2": "flushed before every run", "data": "N(0, 1)", "times": "median of interleaved rounds",
          "speed_ratio": "median of the rounds' ratios",
          "flops": "4 head_dim (backward: 10) per visible pair; visited_tiles: per pair of a tile of our kernel that "
                   "is not empty; tiles_128: of a 128 x 128 tile",
          "ceiling": f"torch.matmul, {MatrixProduct.SIZE}^3, in the rounds of every cell",
          "flex": "torch.compile(flex_attention, dynamic=False), BLOCK_SIZE 128",
          "backward": "dQ, dK and dV from Q, K, V, O, LSE and dO"}


def kernel_facts(kernel):
    info = kernel.info
    return {"config": kernel.config, "digest": info.digest.decode(), "registers": info.registers,
            "spill_bytes": info.spill_bytes, "shared_bytes": info.shared_bytes}


class Bench:
    """Measures one cell after the other; `tell`(text) says what is going on."""

    def __init__(self, torch, runtime, options, gpu, tell):
        self.torch, self.runtime, self.options, self.gpu, self.tell = torch, runtime, options, gpu, tell
        self.clock = gpu_timing.Clock(torch, gpu_timing.LAUNCH_CYCLES)
        self.build_clock = gpu_timing.Clock(torch, gpu_timing.BUILD_CYCLES)
        self.block_masks = None
        self.counted = {}  # (name, seqlen, seed): CountedMask

    def cell(self, cell, asked):
        """The record of a cell; without times if our default kernel's result is wrong. Raises what our default kernel
        raises; what others raise is recorded."""
        started = time.monotonic()
        self.tell("tensors and mask")
        problem = Problem(self.torch, cell, self.counted_mask(cell))
        record = {"cell": cell.as_json(), "asked": list(asked), "form": problem.mask.form,
                  "parameters": problem.mask.parameters, "mask_mod": problem.mask_mod_words, "unavailable": {},
                  "candidates": {}, "builds": {}}
        candidates = self.make_candidates(problem, asked, record)
        self.count(problem, candidates[OURS], record)
        self.check(problem, candidates, record)
        right = {name: candidate for name, candidate in candidates.items()
                 if record["candidates"].get(name, {}).get("passed", True)}
        record["status"] = MEASURED if OURS in right else WRONG
        if OURS in right:
            self.time(cell, right, record)
            self.time_builds(problem, candidates[OURS], record)
        record["seconds"] = round(time.monotonic() - started, 2)
        return record

    def counted_mask(self, cell):
        key = cell.mask, cell.seqlen, cell.seed
        if key not in self.counted:
            self.counted[key] = CountedMask.make(*key)
        return self.counted[key]

    def make_candidates(self, problem, asked, record):
        """Those that can run, each run once."""
        candidates = {}
        for name in asked:
            self.tell(f"first run of {name}")
            try:
                if is_ours(name):
                    candidate = candidate_kinds.make_ours(name, self.runtime, problem)
                else:
                    candidate = candidate_kinds.make_peer(name, problem, lambda: self.make_block_mask(problem, record))
                started = time.perf_counter()
                candidate_kinds.run_first(candidate)
                self.torch.cuda.synchronize()
                candidates[name] = candidate
                record["candidates"][name] = {"first_run_seconds": round(time.perf_counter() - started, 3)}
            except Exception as error:  # of any layer of a compiler
                if name == OURS or self.is_dead():
                    raise RuntimeError(f"{name}: {brief(error)}") from error
                record["unavailable"][name] = brief(error)
                gc.collect()
                self.torch.cuda.empty_cache()
            if name in candidates and is_ours(name):
                record["candidates"][name]["kernel"] = kernel_facts(candidates[name].kernel)
        return candidates

    def is_dead(self):
        """Whether the GPU's context is lost: then nothing else would run in this process."""
        try:
            self.torch.cuda.synchronize()
            return False
        except RuntimeError:
            return True

    def make_block_mask(self, problem, record):
        if self.block_masks is None:
            self.block_masks = candidate_kinds.BlockMasks(self.torch)
        block_mask, kind, reason = self.block_masks.make(problem)
        if kind:
            tiles = [int(blocks.sum()) for blocks in (block_mask.full_kv_num_blocks, block_mask.kv_num_blocks)]
            record["block_mask"] = {"kind": kind, "full": tiles[0], "partial": tiles[1],
                                    "as_counted": tiles == list(problem.counted.paper_tiles[:2])}
            if reason:
                record["block_mask"]["not_compiled"] = reason
        return block_mask

    def count(self, problem, ours, record):
        """FLOPs, and tiles of one mask."""
        cell, mask, pairs = problem.cell, problem.mask, problem.counted.visible_pairs
        tiles = ours.kernel.tiles
        # A kernel without a plan visits what its closed form finds, which is what is not empty.
        visited = Plan(self.runtime, problem, tiles, 1).counts() if ours.plan else mask.tile_counts(*tiles)
        record["visible_pairs"], record["density"] = pairs, pairs / cell.seqlen ** 2
        record["own_tiles"] = {"tile_q": tiles[0], "tile_k": tiles[1], **counted_tiles(visited),
                               "counted_by": "plan" if ours.plan else "closed form"}
        record["paper_tiles"] = counted_tiles(problem.counted.paper_tiles)
        record["flops"] = {"visible_pairs": cell.flops(pairs),
                           "visited_tiles": cell.flops_of_tiles(record["own_tiles"]),
                           f"tiles_{PAPER_TILE}": cell.flops_of_tiles(record["paper_tiles"])}

    def check(self, problem, candidates, record):
        """Each of ours against fp64 and against a peer; peers are not judged."""
        peer = next((name for name in JUDGES if name in candidates), None)
        self.tell("fp64 reference")
        references = [correctness.Reference(problem, place) for place in correctness.places(problem.cell)]
        for name in filter(is_ours, candidates):
            self.tell(f"check of {name}")
            candidate, entry = candidates[name], record["candidates"][name]
            entry["checks"] = [reference.check(candidate) for reference in references]
            if peer:
                entry["checks"].append(correctness.compare_with_peer(self.torch, candidate, candidates[peer], peer))
            entry["passed"] = all(check["passed"] for check in entry["checks"])
        self.torch.cuda.empty_cache()

    def time(self, cell, candidates, record):
        self.tell("rounds")
        record["gpu_before"] = gpu_state.query(self.gpu)
        rounds = gpu_timing.interleaved(self.clock, {**candidates, CEILING: MatrixProduct(self.torch, cell.dtype)},
                                        self.options["rounds"], self.options["cell_seconds"])
        record["gpu_after"] = gpu_state.query(self.gpu)
        ceiling = gpu_timing.summary(rounds.pop(CEILING))
        record["ceiling"] = {"times_us": ceiling, "tflops": MatrixProduct.FLOPS / ceiling["median"] / 1e6}
        for name, times in rounds.items():
            entry = record["candidates"][name]
            entry["times_us"] = gpu_timing.summary(times)
            entry["tflops"] = {convention: flops / entry["times_us"]["median"] / 1e6
                               for convention, flops in record["flops"].items()}
            entry["of_ceiling"] = {convention: rate / record["ceiling"]["tflops"]
                                   for convention, rate in entry["tflops"].items()}
            if name != OURS:
                entry["flashmask_speed_ratio"] = gpu_timing.speed_ratio(times, rounds[OURS])
        peers = [name for name in rounds if not is_ours(name)]
        if peers:
            best = min(peers, key=lambda name: record["candidates"][name]["times_us"]["median"])
            record["best_peer"] = {"name": best, "flashmask_speed_ratio":
                                   record["candidates"][best]["flashmask_speed_ratio"]}

    def time_builds(self, problem, ours, record):
        """Of our plan, and of FlexAttention's block mask: apart from the attention."""
        builds, rounds = record["builds"], self.options["build_rounds"]
        if ours.plan:
            self.tell("plans")
            plans = {"plan": ours.plan}
            plans["plan_of_one_mask"] = Plan(self.runtime, problem, ours.plan.tiles, 1)
            for name, plan in plans.items():
                builds[name] = {"bytes": plan.size, **gpu_timing.of_build(self.torch, self.clock, plan.build, rounds)}
        if "flex" in record["candidates"] and "block_mask" in record:
            self.tell("block masks")
            kind = record["block_mask"]["kind"]
            build = self.block_masks.maker(kind, problem)
            try:
                builds["block_mask"] = {"kind": kind, **gpu_timing.of_build(self.torch, self.build_clock, build,
                                                                            max(3, rounds // 3))}
            except Exception as error:
                if self.is_dead():
                    raise
                record["unavailable"]["block_mask"] = brief(error)


def open_bench(options, tell):
    """(Bench, what a run says of its machine); raises RuntimeError where nothing can be measured."""
    try:
        import torch
    except ImportError as error:
        raise RuntimeError(f"PyTorch is needed: {error}") from error
    if not torch.cuda.is_available():
        raise RuntimeError("torch sees no GPU")
    import torch._dynamo.config as dynamo
    import torch._functorch.config as functorch
    # Each mask_mod and each shape is a compilation of its own; the limit would silently leave FlexAttention uncompiled.
    dynamo.recompile_limit = dynamo.accumulated_recompile_limit = 1 << 16
    functorch.donated_buffer = False  # a backward's graph is kept from run to run
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.zeros(1, device=DEVICE)  # torch's primary context is the one that flashmask opens too
    ordinal = torch.cuda.current_device()
    try:
        library = fm.Library(options["library"])
    except OSError as error:
        raise RuntimeError(f"{options['library']} does not load: {error}; build it, or name another with --library") \
            from error
    device = fm.Device.cuda(library, ordinal)
    runtime = fm.Runtime(library, device, options["cache_directory"])
    properties = torch.cuda.get_device_properties(ordinal)
    gpu = f"GPU-{properties.uuid}" if hasattr(properties, "uuid") else ordinal
    run = {"date": gpu_state.now(), "library": library.version, "torch": torch.__version__, "cuda": torch.version.cuda,
           "cudnn": torch.backends.cudnn.version(),
           "gpu": {**gpu_state.query(gpu), "name": properties.name, "target": device.info.target.decode(),
                   "multiprocessors": properties.multi_processor_count},
           "method": {**METHOD, "most_rounds": options["rounds"], "cell_seconds": options["cell_seconds"]}}
    return Bench(torch, runtime, options, gpu, tell), run


def serve(bench, requests, answer):
    """Answers every line of `requests`; ends early if the GPU's context is lost."""
    for line in requests:
        request = json.loads(line)
        try:
            answer({"record": bench.cell(Cell.from_json(request["cell"]), request["asked"])})
        except Exception as error:  # whatever one cell does, the next ones are measured
            dead = bench.is_dead()
            answer({"failed": brief(error), "dead": dead})
            if dead:
                return
        gc.collect()
        bench.torch.cuda.empty_cache()


def main(arguments):
    options = json.loads(arguments[0])
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what others print is no answer

    def answer(content):
        answers.write(json.dumps(content) + "\n")
        answers.flush()
    try:
        bench, run = open_bench(options, lambda text: answer({"doing": text}))
    except RuntimeError as error:  # fm.Error is one
        answer({"refused": str(error)})
        return
    answer({"ready": run})
    serve(bench, sys.stdin, answer)


if __name__ == "__main__":
    main(sys.argv[1:])

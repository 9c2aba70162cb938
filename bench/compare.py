#!/usr/bin/env python3
"""Times libflashmask's forward and backward beside PyTorch's attention on the same tensors, on one GPU.

    python3 bench/compare.py --json h100.json                # again, until it says that 0 cells are left
    python3 bench/compare.py --shapes model --passes forward --masks causal --config 128x64,w8,s2,overlap
    python3 bench/compare.py --list --shapes paper           # needs neither torch nor a GPU
    python3 bench/compare.py --device emulator --self-check  # nor does this: proves the bindings

A cell is one pass of one mask in one shape. Our result is first compared with fp64 on slices and with a peer's as a
whole. Rounds are interleaved (each candidate once, in an order of its own), every run starts with a cold L2, data is
N(0, 1); a ratio is the median of the rounds' ratios. Of a backward, dQ, dK and dV from Q, K, V, O, LSE and dO are
timed. Plans and block masks are timed apart.

Each finished cell is written to --json at once. A run ends before --budget is spent; the same command then goes on with
the cells that the file does not hold for these sources and this GPU. Next to the file it leaves a table (.md) and a
chart (.svg), which bench/report.py makes too. A cell that fails is recorded with its error, and costs no other cell.
"""

import argparse
import json
import os
import sys
import time

import candidates
import cells
import report
import result_file
import self_check
from cell_process import CellProcess, Refused
from schedule import Limits, Schedule

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_LIBRARY = os.path.join(HERE, "..", "build", "lib", "libflashmask.so")


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default=DEFAULT_LIBRARY, help="libflashmask.so (default: of build/)")
    parser.add_argument("--cache-directory", help="of the kernels (default: as the environment says)")
    parser.add_argument("--json", metavar="FILE.json", help="for all figures; cells in it are not measured again")
    parser.add_argument("--budget", type=float, default=480, metavar="SECONDS", help="of the whole run (default: 480)")
    parser.add_argument("--list", action="store_true", help="print the cells in their order, and end")
    parser.add_argument("--retry", action="store_true", help="measure cells again that failed or were wrong")
    cells.add_options(parser)
    group = parser.add_argument_group("candidates and method")
    group.add_argument("--peers", type=cells.listed(str, candidates.PEERS), default=["cudnn", "fa2", "flex"],
                       help="cudnn, fa2, flex (needs a C compiler); dense: a boolean mask, up to 8K")
    group.add_argument("--config", type=candidates.config_option, action="append", default=[],
                       metavar="[PASS:]CONFIG",
                       help="also time this configuration, as `flashmask explain` writes it; may be given again")
    group.add_argument("--rounds", type=cells.positive, default=31, help="at most; at least 3 (default: 31)")
    group.add_argument("--cell-seconds", type=float, default=1.5, metavar="SECONDS",
                       help="of GPU time for the rounds of a cell (default: 1.5)")
    group.add_argument("--build-rounds", type=cells.positive, default=15,
                       help="of a plan; a block mask gets a third (default: 15)")
    group.add_argument("--cell-limit", type=float, default=240, metavar="SECONDS",
                       help="after which a cell counts as hanging (default: 240)")
    group = parser.add_argument_group("self-check")
    group.add_argument("--device", choices=("cuda", "emulator"), default="cuda")
    group.add_argument("--self-check", action="store_true", help="prove the bindings on the emulator, and end")
    group.add_argument("--target", default="sm_80", help="of the emulator (default: sm_80)")
    options = parser.parse_args(arguments)
    if (options.device == "emulator") != options.self_check:
        parser.error("--device emulator and --self-check go together: timings of an emulator mean nothing")
    if options.json and os.path.splitext(options.json)[1] != ".json":
        parser.error(f"--json {options.json}: a name that ends in .json is needed; .md and .svg are written beside it")
    return options


def print_list(planned):
    stage = None
    for number, (stage_of_cell, cell) in enumerate(planned, 1):
        if stage_of_cell != stage:
            stage = stage_of_cell
            print(f"# {cells.STAGES[stage]}")
        print(f"{number:4} {cell.name}")
    print(f"{len(planned)} cells")


def print_outcome(outcome, options):
    print(f"{outcome.there} cells were there, {outcome.finished} done, {len(outcome.left)} left"
          + ("; the same command goes on with them" if outcome.left and options.json else ""))
    if outcome.stopped:
        print(f"stopped: {outcome.stopped}")
    for name, why in outcome.bad:
        print(f"not right: {name}: {why}")


def measure(options, planned, started):
    results = result_file.ResultFile(options.json)
    process_options = {"library": options.library, "cache_directory": options.cache_directory,
                       "rounds": options.rounds, "cell_seconds": options.cell_seconds,
                       "build_rounds": options.build_rounds}
    command = [sys.executable, os.path.join(HERE, "measure_cells.py"), json.dumps(process_options)]
    def identify(run):
        return {**run, "revision": result_file.source_identity(options.library, HERE)}
    def tell(news):
        print(news if isinstance(news, str) else report.line_of(news), flush=True)
    schedule = Schedule(results, lambda: CellProcess(command), identify,
                        Limits(options.budget, started, options.cell_limit), tell=tell)
    outcome = schedule.run([cell for _, cell in planned],
                           lambda cell: candidates.asked_for(cell, options.peers, options.config), options.retry)
    if options.json:
        for path in report.write(options.json):
            print(path)
    print_outcome(outcome, options)
    return 1 if outcome.bad or (outcome.left and not outcome.out_of_time) else 0


def main(arguments):
    started = time.monotonic()
    options = parse_options(arguments)
    if options.self_check:
        self_check.run(options.library, options.target)
        return 0
    planned = cells.planned(options)
    if options.list:
        print_list(planned)
        return 0
    try:
        return measure(options, planned, started)
    except (Refused, result_file.UnknownFile) as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs and records as measure_cells.py makes them, with made-up times."""

from cells import Cell, counted_tiles
from result_file import MEASURED


def run(revision="abc", gpu="GPU A"):
    return {"date": "2026-01-02T03:04:05Z", "revision": revision, "library": "0.1.0", "torch": "2.11.0", "cuda": "13.0",
            "cudnn": 91900, "gpu": {"name": gpu, "target": "sm_90", "driver_version": "580.1", "clocks.max.sm": "1980"}}


def cell(mask="causal", pass_="forward", head_dim=128, seqlen=16384, heads=(64, 8)):
    return Cell(pass_, mask, "bf16", head_dim, seqlen, 1, *heads)


def times(median):
    return {"median": median, "min": median, "rounds": 1, "all": [median]}


def record(of, medians=(("flashmask", 1000.0), ("cudnn", 500.0)), tiles=(64, 32, 32)):
    """Of a measured cell: `medians` are (candidate, microseconds), `tiles` the (full, partial, empty) of our kernel."""
    own = {"tile_q": 128, "tile_k": 64, **counted_tiles(tiles), "counted_by": "closed form"}
    pairs = of.seqlen * (of.seqlen + 1) // 2
    flops = {"visible_pairs": of.flops(pairs), "visited_tiles": of.flops_of_tiles(own)}
    ours = dict(medians)["flashmask"]
    entries = {}
    for name, median in medians:
        tflops = {convention: count / median / 1e6 for convention, count in flops.items()}
        entries[name] = {"times_us": times(median), "tflops": tflops,
                         "of_ceiling": {convention: rate / 800 for convention, rate in tflops.items()},
                         "flashmask_speed_ratio": median / ours}
        if name.startswith("flashmask"):
            entries[name] |= {"passed": True, "checks": []}
    peers = [name for name in entries if not name.startswith("flashmask")]
    best = min(peers, key=lambda name: dict(medians)[name], default=None)
    return {"cell": of.as_json(), "asked": [name for name, _ in medians], "status": MEASURED, "form": "causal",
            "mask_mod": "closed form: q >= kv", "parameters": {}, "unavailable": {}, "builds": {}, "candidates": entries,
            "visible_pairs": pairs, "density": pairs / of.seqlen ** 2, "own_tiles": own, "flops": flops,
            "ceiling": {"times_us": times(1400.0), "tflops": 800.0}, "seconds": 3.0,
            **({"best_peer": {"name": best, "flashmask_speed_ratio": entries[best]["flashmask_speed_ratio"]}}
               if best else {})}

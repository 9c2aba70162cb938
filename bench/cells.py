"""The cells of a comparison: which there are, in which order they are measured, and how many FLOPs each one counts."""

import argparse
from dataclasses import asdict, dataclass, fields

import flashmask_c as fm
import paper_masks

PASSES = {"forward": 4, "backward": 10}  # FLOPs per pair of a query and a key, per element of a head
MODEL_MASKS = ("full", "causal", "sliding-window", "causal-document", "document")
MODEL_HEADS = ((64, 8), (32, 32))  # (of queries, of keys): GQA, MHA
MODEL_HEAD_DIMS, MODEL_SEQLENS = (64, 128, 256), (8192, 16384, 32768)
PAPER_HEAD_DIMS, PAPER_SEQLENS = (64, 128), (8192, 32768, 131072)
PAPER_TOKENS, PAPER_WIDTH = 131072, 4096  # batch x seqlen, heads x head_dim
STAGES = ("full and causal, d 128, 16K to 32K", "full and causal, other head dims, 16K to 32K",
          "full and causal, other lengths", "masks, d 128, 16K to 32K", "masks, other head dims and lengths",
          "the paper's masks, d 128, up to 32K", "the paper's masks, other head dims, up to 32K",
          "the paper's masks, beyond 32K")


@dataclass(frozen=True)
class Cell:
    """One pass of one mask in one shape. Its name says all of it, and is its key."""
    pass_: str
    mask: str
    dtype: str
    head_dim: int
    seqlen: int
    batch: int
    heads_q: int
    heads_kv: int
    seed: int = 1  # of the documents and evictions

    @property
    def name(self):
        return (f"{self.pass_} {self.mask} {self.dtype} d{self.head_dim} {self.seqlen} b{self.batch} "
                f"h{self.heads_q}:{self.heads_kv}" + (f" seed{self.seed}" if self.seed != 1 else ""))

    @property
    def shape(self):
        """What cells of different masks must have in common for their times to be compared."""
        return self.pass_, self.dtype, self.head_dim, self.seqlen, self.batch, self.heads_q, self.heads_kv

    def flops(self, pairs):
        """For this many pairs of one head and one batch entry."""
        return PASSES[self.pass_] * self.head_dim * self.heads_q * self.batch * pairs

    def flops_of_tiles(self, counted):
        """Of all pairs of the tiles that are not empty, as counted_tiles() says; what hangs over an edge counts too."""
        return self.flops(round(self.seqlen ** 2 * counted["visited_share"]))

    def as_json(self):
        return {name.rstrip("_"): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values):
        return cls(**{field.name: values[field.name.rstrip("_")] for field in fields(cls)})


def counted_tiles(counts):
    """Of (full, partial, empty) tiles, and the share of those that are not empty."""
    full, partial, empty = counts
    return {"full": full, "partial": partial, "empty": empty, "visited_share": (full + partial) / sum(counts)}


# ---- Which cells there are ------------------------------------------------------------------------------------------

def model_cells(selection):
    """Heads of today's models at batch 1, or as many batch entries as `selection.tokens` takes."""
    for pass_ in selection.passes:
        for dtype in selection.dtypes:
            for head_dim in selection.head_dims or MODEL_HEAD_DIMS:
                for seqlen in selection.seqlens or MODEL_SEQLENS:
                    for heads in selection.heads or MODEL_HEADS:
                        for mask in selection.masks or MODEL_MASKS:
                            batch = max(1, selection.tokens // seqlen)
                            yield Cell(pass_, mask, dtype, head_dim, seqlen, batch, *heads, selection.seed)


def paper_cells(selection):
    """Of the paper's shapes and masks those that the selection allows."""
    def allowed(wanted, value):
        return not wanted or value in wanted
    for pass_ in selection.passes:
        for dtype in selection.dtypes:
            for head_dim in PAPER_HEAD_DIMS:
                heads = PAPER_WIDTH // head_dim
                for seqlen in PAPER_SEQLENS:
                    for mask in paper_masks.TWELVE:
                        if allowed(selection.head_dims, head_dim) and allowed(selection.seqlens, seqlen) and \
                                allowed(selection.masks, mask) and allowed(selection.heads, (heads, heads)):
                            yield Cell(pass_, mask, dtype, head_dim, seqlen, PAPER_TOKENS // seqlen, heads, heads,
                                       selection.seed)


SHAPES = {"model": model_cells, "paper": paper_cells}


def stage(shapes, cell):
    """The number in STAGES of a cell of these shapes."""
    if shapes == "paper":
        return 7 if cell.seqlen > 32768 else 5 if cell.head_dim == 128 else 6
    dense, usual_length = cell.mask in ("full", "causal"), 16384 <= cell.seqlen <= 32768
    if dense:
        return 2 if not usual_length else 0 if cell.head_dim == 128 else 1
    return 3 if usual_length and cell.head_dim == 128 else 4


def planned(selection):
    """[(stage, cell)] in the order in which they are measured, each cell once."""
    passes, masks = list(PASSES), list(paper_masks.MASKS)
    heads = list(selection.heads or MODEL_HEADS)
    def rank(entry):
        number, cell = entry
        key_of_heads = (cell.heads_q, cell.heads_kv)
        return (number, passes.index(cell.pass_), cell.dtype != "bf16", cell.head_dim != 128, cell.head_dim,
                heads.index(key_of_heads) if key_of_heads in heads else len(heads), cell.seqlen,
                masks.index(cell.mask))  # full comes first: the guard of the others needs it
    first_stage = {}
    for shapes in selection.shapes:
        for cell in SHAPES[shapes](selection):
            number = stage(shapes, cell)
            first_stage[cell] = min(number, first_stage.get(cell, number))
    return sorted(((number, cell) for cell, number in first_stage.items()), key=rank)


# ---- How they are chosen --------------------------------------------------------------------------------------------

def listed(kind, allowed=None):
    """For argparse: values with commas between."""
    def parse(text):
        try:
            values = [kind(part) for part in text.split(",") if part]
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text}: {error}") from error
        for value in values:
            if allowed and value not in allowed:
                raise argparse.ArgumentTypeError(f"{value}: {', '.join(allowed)} are allowed")
        if not values:
            raise argparse.ArgumentTypeError("at least one value is needed")
        return values
    return parse


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError(f"{value} is not positive")
    return value


def heads_of(text):
    """"64:8": heads of queries and of keys."""
    parts = text.split(":")
    if len(parts) != 2:
        raise ValueError("QUERY_HEADS:KEY_HEADS is needed")
    heads_q, heads_kv = (positive(part) for part in parts)
    if heads_q % heads_kv:
        raise ValueError(f"{heads_q} query heads are no multiple of {heads_kv} key heads")
    return heads_q, heads_kv


def add_options(parser):
    group = parser.add_argument_group(
        "cells", "Lists have commas between. Masks, head dims, lengths and heads replace those of the model's shapes, "
        "and choose among the paper's.")
    group.add_argument("--shapes", type=listed(str, SHAPES), default=list(SHAPES),
                       help="model: GQA 64:8 and MHA 32:32, batch 1; paper: 128K tokens, heads x head dim = 4096")
    group.add_argument("--passes", type=listed(str, PASSES), default=list(PASSES))
    group.add_argument("--masks", type=listed(str, paper_masks.MASKS))
    group.add_argument("--dtypes", type=listed(str, fm.DTYPES), default=["bf16"])
    group.add_argument("--head-dims", type=listed(positive))
    group.add_argument("--seqlens", type=listed(positive))
    group.add_argument("--heads", type=listed(heads_of), metavar="Q:KV,...")
    group.add_argument("--tokens", type=positive, default=1,
                       help="of the model's shapes: batch x seqlen; at least one batch entry (default: 1 token)")
    group.add_argument("--seed", type=int, default=1, help="of the documents and evictions")

"""The tensors of a cell on the GPU, which all candidates share."""

import math
from dataclasses import dataclass

import flex_masks
import paper_masks
from cells import Cell

DEVICE = "cuda"
PAPER_TILE = 128  # of the paper's count of FLOPs, and of FlexAttention's block masks


@dataclass(frozen=True)
class CountedMask:
    """A mask with what counting took a while."""
    mask: paper_masks.Mask
    visible_pairs: int
    paper_tiles: tuple  # (full, partial, empty) of PAPER_TILE x PAPER_TILE

    @classmethod
    def make(cls, name, seqlen, seed):
        mask = paper_masks.make(name, seqlen, seed)
        return cls(mask, mask.visible_pairs(), mask.tile_counts(PAPER_TILE, PAPER_TILE))


class Problem:
    """q, dO (of a backward) [batch, seqlen, heads_q, head_dim], k, v [batch, seqlen, heads_kv, head_dim]: N(0, 1)."""

    def __init__(self, torch, cell: Cell, counted: CountedMask):
        self.torch, self.cell, self.counted, self.mask = torch, cell, counted, counted.mask
        self.scale = 1 / math.sqrt(cell.head_dim)
        torch.manual_seed(cell.seqlen + cell.head_dim)
        element = {"bf16": torch.bfloat16, "fp16": torch.float16}[cell.dtype]
        def normal(heads):
            return torch.randn((cell.batch, cell.seqlen, heads, cell.head_dim), device=DEVICE, dtype=element)
        self.q, self.k, self.v = (normal(heads) for heads in (cell.heads_q, cell.heads_kv, cell.heads_kv))
        self.output_gradient = normal(cell.heads_q) if cell.pass_ == "backward" else None
        self.mask_mod, self.mask_mod_words = flex_masks.make(self.mask, self.on_device)
        self.intervals = None  # int32 [batch, 1, seqlen, vectors]: one mask for all heads
        if self.mask.vectors:
            vectors = torch.stack([self.on_device(vector) for vector in self.mask.vectors], -1)
            self.intervals = vectors.expand(cell.batch, 1, -1, -1).contiguous()

    def on_device(self, values):
        return self.torch.frombuffer(values, dtype=self.torch.int32).clone().to(DEVICE)

    @property
    def group(self):
        """Query heads that share a key head."""
        return self.cell.heads_q // self.cell.heads_kv

    def with_inputs(self, q, k, v):
        """The same problem on other tensors."""
        problem = object.__new__(Problem)
        problem.__dict__.update(self.__dict__)
        problem.q, problem.k, problem.v = q, k, v
        return problem

    def heads_first(self):
        """[batch, heads, seqlen, head_dim] views: PyTorch's attention takes their strides as they are."""
        return [t.transpose(1, 2) for t in (self.q, self.k, self.v)]

    def visible(self, rows):
        """Bool [len(rows), seqlen]: what each of these query rows sees, by the mask_mod."""
        keys = self.torch.arange(self.cell.seqlen, device=DEVICE)
        if self.mask_mod is None:
            return self.torch.ones(len(rows), len(keys), dtype=self.torch.bool, device=DEVICE)
        return self.mask_mod(None, None, rows[:, None], keys[None, :])

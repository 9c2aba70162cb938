"""Figures that others published, to be shown beside measured ones: never measured here, mostly on another GPU.

Each is a rate in TFLOP/s with the source, GPU, dtype, shape and convention it was published with. They are put beside a
cell of the same pass, mask, head dim and length whose heads are grouped or not as theirs were; what else differs, the
source says.
"""

from dataclasses import dataclass

PAIRS, TILES = "by visible pairs", "by 128 x 128 tiles that are not empty"


@dataclass(frozen=True)
class Source:
    label: str  # short, for a cell of a table
    kernel: str
    gpu: str
    shape: str
    convention: str
    where: str
    grouped: bool  # whether key heads are shared


FA3_PAPER = Source("FA3", "FlashAttention-3", "H100 SXM5", "fp16, 16K tokens in all, 2048 / d heads", PAIRS,
                   "arXiv 2407.08608, read off the charts, ±5", False)
CUDNN = Source("cuDNN 9.19.1", "cuDNN 9.19.1", "H200", "bf16, batch 1, 64:8 heads", PAIRS,
               "benchmark table of NVIDIA/cudnn-frontend", True)
MAGI_FA3 = Source("FA3 in Magi's suite", "FlashAttention-3", "H100", "bf16, batch 1, 64:8 heads", PAIRS,
                  "benchmark charts of SandAI-org/MagiAttention, read off, ±5", True)
MAGI_FFA = Source("FFA", "MagiAttention FFA", "H100", "bf16, batch 1, 64:8 heads", PAIRS,
                  "benchmark charts of SandAI-org/MagiAttention, read off, ±5", True)
FLASHMASK_PAPER = Source("FlashMask, A100", "FlashMask on FlashAttention-2", "A100", "bf16, the paper's shapes", TILES,
                         "arXiv 2410.01359", False)
FLASHMASK_V3 = Source("FlashMask V3", "FlashMask on FlashAttention-3", "Hopper (H800/H100 class, not named)",
                      "bf16, batch 1, 32 heads, documents of their own", TILES,
                      "third-party table of PaddlePaddle's FlashMask V3", False)
SOURCES = (CUDNN, MAGI_FA3, MAGI_FFA, FA3_PAPER, FLASHMASK_V3, FLASHMASK_PAPER)

# (source, pass, mask, head dim): rates, one per length of the source.
_LENGTHS = {FA3_PAPER: (1024, 2048, 4096, 8192, 16384), CUDNN: (2048, 4096, 8192, 16384, 32768),
            MAGI_FA3: (1024, 2048, 4096, 8192, 16384, 32768), MAGI_FFA: (1024, 2048, 4096, 8192, 16384, 32768)}
_SERIES = {
    (FA3_PAPER, "forward", "full", 64): (392, 460, 476, 496, 497),
    (FA3_PAPER, "forward", "causal", 64): (265, 371, 420, 460, 473),
    (FA3_PAPER, "forward", "full", 128): (565, 625, 638, 646, 648),
    (FA3_PAPER, "forward", "causal", 128): (423, 521, 579, 602, 616),
    (FA3_PAPER, "forward", "full", 256): (639, 707, 736, 746, 756),
    (FA3_PAPER, "forward", "causal", 256): (427, 537, 612, 628, 642),
    (FA3_PAPER, "backward", "full", 64): (363, 422, 453, 472, 474),
    (FA3_PAPER, "backward", "full", 128): (424, 501, 542, 559, 561),
    (CUDNN, "forward", "causal", 128): (484, 591, 644, 673, 688),
    (CUDNN, "forward", "full", 128): (633, 671, 691, 702, 693),
    (CUDNN, "backward", "causal", 128): (370, 474, 541, 579, 581),
    (CUDNN, "backward", "full", 128): (504, 560, 594, 612, 572),
    (MAGI_FA3, "forward", "full", 128): (558, 672, 677, 672, 686, 701),
    (MAGI_FA3, "forward", "causal", 128): (283, 584, 662, 657, 672, 679),
    (MAGI_FA3, "backward", "full", 128): (335, 453, 517, 555, 587, 600),
    (MAGI_FA3, "backward", "causal", 128): (208, 353, 461, 517, 562, 585),
    (MAGI_FFA, "forward", "full", 128): (223, 575, 622, 617, 629, 634),
    (MAGI_FFA, "forward", "causal", 128): (108, 436, 560, 595, 607, 622),
    (MAGI_FFA, "backward", "full", 128): (312, 449, 510, 539, 561, 576),
    (MAGI_FFA, "backward", "causal", 128): (163, 317, 424, 488, 537, 560),
}
# A window of 1024 keys is the sliding window of 16K tokens, seqlen / 16, and of no other length.
_WINDOW_1024 = {(MAGI_FA3, "forward"): 524, (MAGI_FA3, "backward"): 327, (MAGI_FFA, "forward"): 467}
# d = 128; forward / backward at 8K, 32K.
_V3 = {
    "full": ((665, 589), (672, 620)), "causal": ((691, 467), (665, 588)), "sliding-window": ((342, 240), (527, 445)),
    "causal-document": ((434, 339), (495, 413)), "document": ((476, 417), (509, 464)),
    "share-question": ((380, 264), (452, 341)), "global-sliding-window": ((302, 248), (495, 339)),
    "causal-blockwise": ((458, 471), (487, 511)), "prefix-lm-document": ((396, 348), (485, 425)),
    "prefix-lm-causal": ((563, 534), (598, 597)), "qk-sparse": ((515, 477), (585, 586)),
    "random-eviction": ((430, 475), (468, 540)),
}
# d = 128; (mask, length): forward / backward.
_PAPER = {("full", 8192): (231, 196), ("causal", 32768): (231, 205), ("sliding-window", 131072): (164, 181),
          ("causal-document", 32768): (148, 152), ("document", 131072): (142, 179),
          ("prefix-lm-document", 8192): (156, 134), ("random-eviction", 32768): (184, 179)}


def _all():
    """{(source, pass, mask, head dim, length): TFLOP/s}"""
    figures = {(*key, length): rate for key, rates in _SERIES.items() for length, rate in zip(_LENGTHS[key[0]], rates)}
    for (source, pass_), rate in _WINDOW_1024.items():
        figures[source, pass_, "sliding-window", 128, 16384] = rate
    for mask, of_lengths in _V3.items():
        for length, rates in zip((8192, 32768), of_lengths):
            for pass_, rate in zip(("forward", "backward"), rates):
                figures[FLASHMASK_V3, pass_, mask, 128, length] = rate
    for (mask, length), rates in _PAPER.items():
        for pass_, rate in zip(("forward", "backward"), rates):
            figures[FLASHMASK_PAPER, pass_, mask, 128, length] = rate
    return figures


FIGURES = _all()


def of_cell(cell):
    """[(source, TFLOP/s)] to be shown beside a cell, in the order of SOURCES."""
    grouped = cell.heads_q != cell.heads_kv
    return [(source, FIGURES[key]) for source in SOURCES if source.grouped == grouped
            for key in [(source, cell.pass_, cell.mask, cell.head_dim, cell.seqlen)] if key in FIGURES]

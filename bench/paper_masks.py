"""The twelve masks of the FlashMask paper (arXiv 2410.01359) as vectors of row intervals, in plain Python.

Each mask also has its rule, a function of (row, key) written from its meaning and not from its vectors; check() holds
the two against each other element by element. All masks are square: as many queries as keys.
"""

import random
from array import array
from dataclasses import dataclass, field
from typing import Callable

CAUSAL_FORMS = ("causal", "c1", "c2")


@dataclass(frozen=True)
class Mask:
    name: str
    form: str  # of flashmask_c.MASK_FORMS
    seqlen: int
    rule: Callable[[int, int], bool]  # whether row i sees key j
    vectors: tuple = ()  # one array of int32 per vector of the form, each with an element per key
    window: tuple = (-1, -1)  # form window only
    parameters: dict = field(default_factory=dict)  # what the mask was made from

    def masked_rows(self, j):
        """The half-open row intervals that hide key j, as the form says; any order, may be empty or overlap."""
        n = self.seqlen
        if self.form == "none":
            return []
        if self.form == "window":
            left, right = self.window
            return ([(j + left + 1, n)] if left >= 0 else []) + ([(0, j - right)] if right >= 0 else [])
        values = [vector[j] for vector in self.vectors]
        if self.form == "causal":
            return [(0, j)]
        if self.form == "c1":
            return [(0, j), (values[0], n)]
        if self.form == "c2":
            return [(0, j), (values[0], values[1])]
        if self.form == "f2":
            return [(values[0], n), (0, values[1])]
        return [(values[0], values[1]), (values[2], values[3])]

    def visible_rows(self, j):
        """The half-open row intervals that see key j: ascending, apart, not empty."""
        visible, row = [], 0
        for first, end in sorted(self.masked_rows(j)):
            first, end = max(first, row), min(end, self.seqlen)
            if first >= end:
                continue
            if first > row:
                visible.append((row, first))
            row = end
        if row < self.seqlen:
            visible.append((row, self.seqlen))
        return visible

    def visible_pairs(self):
        """How many (row, key) the mask leaves."""
        return sum(end - first for j in range(self.seqlen) for first, end in self.visible_rows(j))

    def tile_counts(self, tile_q, tile_k):
        """(full, partial, empty) tiles, exactly: all elements visible, some, none. O(seqlen + number of tiles)."""
        n = self.seqlen
        row_tiles = -(-n // tile_q)
        full = partial = empty = 0
        for first_key in range(0, n, tile_k):
            keys = min(tile_k, n - first_key)
            seen = [0] * (row_tiles + 1)  # differences of: columns with a visible element in this row tile
            whole = [0] * (row_tiles + 1)  # differences of: columns that all rows of this row tile see
            for j in range(first_key, first_key + keys):
                for first, end in self.visible_rows(j):
                    seen[first // tile_q] += 1
                    seen[-(-end // tile_q)] -= 1
                    whole_first, whole_end = -(-first // tile_q), row_tiles if end == n else end // tile_q
                    if whole_first < whole_end:
                        whole[whole_first] += 1
                        whole[whole_end] -= 1
            any_seen = all_seen = 0
            for tile in range(row_tiles):
                any_seen += seen[tile]
                all_seen += whole[tile]
                if any_seen == 0:
                    empty += 1
                elif all_seen == keys:
                    full += 1
                else:
                    partial += 1
        return full, partial, empty


def column_vector(seqlen, value):
    return array("i", (value(j) for j in range(seqlen)))


def documents_in(seqlen):
    """How many documents the masks of this length have."""
    return 12 if seqlen >= 32768 else 5


def split(seqlen, parts, rng):
    """The bounds 0 = b0 < b1 < … = seqlen of `parts` spans of random lengths, none below a quarter of the mean."""
    least = max(1, seqlen // (4 * parts))
    spare = seqlen - least * parts
    cuts = sorted(int(rng.random() * (spare + 1)) for _ in range(parts - 1))
    return [0] + [cut + least * (n + 1) for n, cut in enumerate(cuts)] + [seqlen]


def span_of(seqlen, bounds):
    """For each token the number of its span."""
    numbers = array("i", [0]) * seqlen
    for n, (first, end) in enumerate(zip(bounds, bounds[1:])):
        for j in range(first, end):
            numbers[j] = n
    return numbers


def full(n, rng):
    return Mask("full", "none", n, lambda i, j: True)


def causal(n, rng):
    return Mask("causal", "causal", n, lambda i, j: j <= i)


def sliding_window(n, rng):
    window = max(1, n // 16)
    return Mask("sliding-window", "c1", n, lambda i, j: i - window < j <= i,
                (column_vector(n, lambda j: min(n, j + window)),), parameters={"window": window})


def closed_window(n, rng):
    """The same as sliding_window, in the form without vectors."""
    window = max(1, n // 16)
    return Mask("closed-window", "window", n, lambda i, j: i - window < j <= i, window=(window - 1, 0),
                parameters={"window": window})


def causal_document(n, rng):
    bounds = split(n, documents_in(n), rng)
    span = span_of(n, bounds)
    return Mask("causal-document", "c1", n, lambda i, j: span[i] == span[j] and j <= i,
                (column_vector(n, lambda j: bounds[span[j] + 1]),), parameters={"bounds": bounds})


def document(n, rng):
    bounds = split(n, documents_in(n), rng)
    span = span_of(n, bounds)
    return Mask("document", "f2", n, lambda i, j: span[i] == span[j],
                (column_vector(n, lambda j: bounds[span[j] + 1]), column_vector(n, lambda j: bounds[span[j]])),
                parameters={"bounds": bounds})


def share_question(n, rng):
    """Samples of a question and two to four answers; the question takes a third of its sample."""
    bounds = split(n, documents_in(n) // 2, rng)
    parts, kinds = [0], []  # bounds of questions and answers; per part (is a question, end of its sample)
    for first, end in zip(bounds, bounds[1:]):
        answers = max(1, min(2 + int(rng.random() * 3), (end - first) // 2))
        question = max(1, (end - first) // 3)
        cuts = split(end - first - question, answers, rng)
        parts += [first + question + cut for cut in cuts]
        kinds += [(True, end)] + [(False, end)] * answers
    part = span_of(n, parts)
    sample = span_of(n, bounds)
    return Mask("share-question", "c1", n,
                lambda i, j: j <= i and sample[i] == sample[j] and (kinds[part[j]][0] or part[i] == part[j]),
                (column_vector(n, lambda j: kinds[part[j]][1] if kinds[part[j]][0] else parts[part[j] + 1]),),
                parameters={"bounds": bounds, "parts": parts})


def global_sliding_window(n, rng):
    window, globals_ = max(1, n // 16), min(16, n // 4)
    columns = [(n, n, 0, 0) if j < globals_ else (min(n, j + window + 1), n, globals_, max(globals_, j - window))
               for j in range(n)]
    return Mask("global-sliding-window", "f4", n,
                lambda i, j: abs(i - j) <= window or i < globals_ or j < globals_,
                tuple(array("i", vector) for vector in zip(*columns)),
                parameters={"window": window, "globals": globals_})


def causal_blockwise(n, rng):
    bounds = split(n, documents_in(n), rng)
    span = span_of(n, bounds)
    return Mask("causal-blockwise", "c2", n,
                lambda i, j: j <= i and (span[i] == span[j] or span[i] == len(bounds) - 2),
                (column_vector(n, lambda j: bounds[span[j] + 1]), column_vector(n, lambda j: bounds[-2])),
                parameters={"bounds": bounds})


def prefix_lm_document(n, rng):
    """The prefix takes half of its document."""
    bounds = split(n, documents_in(n), rng)
    span = span_of(n, bounds)
    prefix_end = [(first + end) // 2 for first, end in zip(bounds, bounds[1:])]
    return Mask("prefix-lm-document", "f2", n,
                lambda i, j: span[i] == span[j] and (j <= i or j < prefix_end[span[j]]),
                (column_vector(n, lambda j: bounds[span[j] + 1]),
                 column_vector(n, lambda j: bounds[span[j]] if j < prefix_end[span[j]] else j)),
                parameters={"bounds": bounds, "prefix_ends": prefix_end})


def prefix_lm_causal(n, rng):
    prefix = n // 2
    return Mask("prefix-lm-causal", "f2", n, lambda i, j: j <= i or j < prefix,
                (column_vector(n, lambda j: n), column_vector(n, lambda j: 0 if j < prefix else j)),
                parameters={"prefix": prefix})


def qk_sparse(n, rng):
    """Two dropped spans, about a quarter of the tokens: rows of a span see what precedes it, not the span itself."""
    spans = [(n // 8, n // 8 + n // 15), (2 * n // 7, 2 * n // 7 + n // 5)]
    dropped = array("i", [-1]) * n
    for number, (first, end) in enumerate(spans):
        for j in range(first, end):
            dropped[j] = number
    return Mask("qk-sparse", "c2", n, lambda i, j: j <= i and (dropped[j] < 0 or dropped[i] != dropped[j]),
                (column_vector(n, lambda j: j if dropped[j] >= 0 else n),
                 column_vector(n, lambda j: spans[dropped[j]][1] if dropped[j] >= 0 else n)),
                parameters={"dropped": spans})


def hash_sparse(n, rng):
    """Tokens sorted by (bucket, position), buckets of random sizes."""
    bounds = split(n, max(2, min(32, n // 256)), rng)
    span = span_of(n, bounds)
    return Mask("hash-sparse", "c1", n, lambda i, j: j <= i and span[i] == span[j],
                (column_vector(n, lambda j: bounds[span[j] + 1]),), parameters={"bounds": bounds})


def random_eviction(n, rng):
    """A cache of n / 2 keys; from then on every row first drops a random one of them. One mask for all heads."""
    budget = max(1, n // 2)
    evicted, cache = array("i", [n]) * n, []
    for row in range(n):
        if row >= budget:
            place = int(rng.random() * len(cache))
            evicted[cache[place]] = row
            cache[place] = cache[-1]
            cache.pop()
        cache.append(row)
    return Mask("random-eviction", "c1", n, lambda i, j: j <= i and i < evicted[j], (evicted,),
                parameters={"budget": budget})


TWELVE = {"full": full, "causal": causal, "sliding-window": sliding_window, "causal-document": causal_document,
          "document": document, "share-question": share_question, "global-sliding-window": global_sliding_window,
          "causal-blockwise": causal_blockwise, "prefix-lm-document": prefix_lm_document,
          "prefix-lm-causal": prefix_lm_causal, "qk-sparse": qk_sparse, "random-eviction": random_eviction}
OTHERS = {"closed-window": closed_window, "hash-sparse": hash_sparse}
MASKS = {**TWELVE, **OTHERS}


def make(name, seqlen, seed=1):
    """The mask, the same for the same (name, seqlen, seed) on every machine."""
    return MASKS[name](seqlen, random.Random(f"{name} {seqlen} {seed}"))


def check(seqlens=(64, 67), tiles=((16, 8), (128, 128), (1, 1), (32, 67))):
    """Every mask against its rule, and every count against the dense mask; raises AssertionError."""
    for name, seqlen in ((name, seqlen) for name in MASKS for seqlen in seqlens):
        mask = make(name, seqlen)
        dense = [[mask.rule(i, j) for j in range(seqlen)] for i in range(seqlen)]
        for j in range(seqlen):
            rows = {i for first, end in mask.visible_rows(j) for i in range(first, end)}
            expected = {i for i in range(seqlen) if dense[i][j]}
            assert rows == expected, f"{name}: key {j} is seen by {sorted(rows)}, expected {sorted(expected)}"
        assert mask.visible_pairs() == sum(map(sum, dense)), name
        assert all(any(row) for row in dense), f"{name}: a row sees nothing"
        for tile_q, tile_k in tiles:
            counts = {"full": 0, "partial": 0, "empty": 0}
            for i in range(0, seqlen, tile_q):
                for j in range(0, seqlen, tile_k):
                    values = [value for row in dense[i:i + tile_q] for value in row[j:j + tile_k]]
                    counts["full" if all(values) else "partial" if any(values) else "empty"] += 1
            assert mask.tile_counts(tile_q, tile_k) == tuple(counts.values()), f"{name}, tiles {tile_q}x{tile_k}"

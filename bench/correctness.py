"""Whether a result is right: slices against fp64, and all of it against a peer's.

A slice is held to twice the error of a careful implementation in fp32 whose P, O, dS and results are rounded to the
dtype, and one ulp of the largest value (two for a gradient). Against a peer, blocks of rows of a head are compared by
their norms: a tile of 64 keys that is missing among 32K moves a block of the output by 4 %, rounding by less than 1 %.
"""

import math

import problem as problems

SLICE = 64  # rows, and keys, at the beginning, in the middle and at the end that are compared with fp64
ROWS_AT_ONCE = 2048  # of scores in fp64, with all keys
FRACTION_BITS = {"bf16": 7, "fp16": 10}
BLOCK_ROWS, LARGEST_BLOCK_ERROR = 64, 3e-2
HEADS_AT_ONCE = 8  # of the comparison with a peer, for the memory
LARGEST_LSE_ERROR = 1e-4  # in units of max(1, |LSE|)


def ulp(value, dtype):
    return 2.0 ** (math.floor(math.log2(value)) - FRACTION_BITS[dtype]) if value else 0.0


def places(cell):
    """(batch entry, query head) of the first and of the last."""
    return sorted({(0, 0), (cell.batch - 1, cell.heads_q - 1)})


class Reference:
    """Slices of a query head and of its key head: what they must be, and how far a result may be from it."""

    def __init__(self, problem, place):
        torch, n = problem.torch, problem.cell.seqlen
        self.problem, (self.batch, self.head_q) = problem, place
        self.head_kv = self.head_q // problem.group
        part = min(SLICE, n)
        starts = (0, n // 2 - part // 2, n - part)
        self.picked = torch.unique(torch.cat([torch.arange(first, first + part) for first in starts]))
        self.picked = self.picked.to(problems.DEVICE)
        make = self._forward if problem.cell.pass_ == "forward" else self._gradients
        self.expected, rounded = make(torch.float64), make(torch.float32)
        ulps = 1 if problem.cell.pass_ == "forward" else 2
        self.bounds = [2 * (other.double() - exact).abs().max().item()
                       + ulps * ulp(exact.abs().max().item(), problem.cell.dtype)
                       for exact, other in zip(self.expected, rounded)]

    def _stored(self, tensor, real):
        """As it is after a round trip through the dtype; in fp64 as it was."""
        return tensor.to(self.problem.q.dtype).to(real) if real == self.problem.torch.float32 else tensor

    def _scores(self, q, k, rows):
        """[len(rows), seqlen], -inf where the mask hides."""
        return ((q[rows] @ k.T) * self.problem.scale).masked_fill(~self.problem.visible(rows), -math.inf)

    def _keys_and_values(self, real):
        return (t[self.batch, :, self.head_kv].to(real) for t in (self.problem.k, self.problem.v))

    def _forward(self, real):
        k, v = self._keys_and_values(real)
        scores = self._scores(self.problem.q[self.batch, :, self.head_q].to(real), k, self.picked)
        if real == self.problem.torch.float64:
            self.lse = self.problem.torch.logsumexp(scores, -1)
        return [self._stored(self._stored(self.problem.torch.softmax(scores, -1), real) @ v, real)]

    def _gradients(self, real):
        """dQ of the picked rows of one query head; dK and dV of the picked keys, from all query heads of theirs."""
        torch, problem, picked, stored = self.problem.torch, self.problem, self.picked, self._stored
        k, v = self._keys_and_values(real)
        query_gradient = []
        key_gradient, value_gradient = (torch.zeros(len(picked), problem.cell.head_dim, dtype=real,
                                                    device=problems.DEVICE) for _ in range(2))
        for head in range(self.head_kv * problem.group, (self.head_kv + 1) * problem.group):
            q, g = (t[self.batch, :, head].to(real) for t in (problem.q, problem.output_gradient))
            for rows in torch.arange(problem.cell.seqlen, device=problems.DEVICE).split(ROWS_AT_ONCE):
                p = torch.softmax(self._scores(q, k, rows), -1)
                out = stored(stored(p, real) @ v, real)
                delta = (out * g[rows]).sum(-1, keepdim=True)
                of_keys = stored(p[:, picked] * (g[rows] @ v[picked].T - delta), real)
                key_gradient += of_keys.T @ q[rows] * problem.scale
                value_gradient += stored(p[:, picked], real).T @ g[rows]
                own = torch.isin(rows, picked)
                if head == self.head_q and own.any():
                    of_rows = stored(p[own] * (g[rows][own] @ v.T - delta[own]), real)
                    query_gradient.append(of_rows @ k * problem.scale)
        return [stored(t, real) for t in (torch.cat(query_gradient), key_gradient, value_gradient)]

    def check(self, candidate):
        """{errors, bounds, passed} of its results, and of its LSE where it is one of our forwards."""
        heads = (self.head_q, self.head_kv, self.head_kv)  # of out or dq, dk, dv
        errors = [(result[self.batch, self.picked, head].double() - exact).abs().max().item()
                  for result, exact, head in zip(candidate.results(), self.expected, heads)]
        check = {"errors": [number(error) for error in errors], "bounds": self.bounds,
                 "passed": all(error <= bound for error, bound in zip(errors, self.bounds))}  # NaN is not
        if self.problem.cell.pass_ == "forward":
            lse = candidate.lse[self.batch, self.head_q, self.picked].double()
            error = ((lse - self.lse).abs() / self.lse.abs().clamp(min=1)).max().item()
            check["lse_error"] = number(error)
            check["passed"] &= error <= LARGEST_LSE_ERROR
        return check


def number(value):
    """For JSON, which has no NaN and no infinity."""
    return value if math.isfinite(value) else None


def block_error(torch, ours, theirs):
    """The largest |ours - theirs| / |theirs| over blocks of BLOCK_ROWS rows of a head, by their norms; a block counts
    at least as much as half of the blocks do, for some have almost nothing in them. Tensors [batch, seqlen, heads,
    head_dim]."""
    def norms(t):
        padded = torch.nn.functional.pad(t, (0, 0, 0, 0, 0, -len(t) % BLOCK_ROWS))
        return padded.unflatten(0, (-1, BLOCK_ROWS)).square().sum((1, 3)).sqrt().flatten()
    apart, sizes = [], []
    for our_entry, their_entry in zip(ours, theirs):
        for a, b in zip(our_entry.split(HEADS_AT_ONCE, 1), their_entry.split(HEADS_AT_ONCE, 1)):
            apart.append(norms(a.float() - b.float()))
            sizes.append(norms(b.float()))
    apart, sizes = torch.cat(apart), torch.cat(sizes)
    return (apart / sizes.clamp(min=sizes.median().clamp(min=1e-30))).max().item()  # NaN stays NaN


def compare_with_peer(torch, candidate, peer, name):
    errors = [block_error(torch, ours, theirs) for ours, theirs in zip(candidate.results(), peer.results())]
    return {"peer": name, "block_errors": [number(error) for error in errors], "bound": LARGEST_BLOCK_ERROR,
            "passed": all(error <= LARGEST_BLOCK_ERROR for error in errors)}

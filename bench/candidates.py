"""What is timed: libflashmask's kernels and PyTorch's attention, each on the tensors of a Problem.

A candidate's run() enqueues one forward or one backward. results() are the tensors that the last run left: [out], or
[dq, dk, dv], each [batch, seqlen, heads, head_dim]. A peer lets go of the last run's before it makes new ones.
"""

import argparse
import re
import warnings

import flashmask_c as fm
import problem as problems

OURS, DETERMINISTIC = "flashmask", "flashmask deterministic"
PEERS = ("cudnn", "fa2", "flex", "dense")
TITLES = {OURS: "FlashMask JIT", "cudnn": "cuDNN", "fa2": "FlashAttention-2", "flex": "FlexAttention",
          "dense": "dense-mask SDPA"}
DENSE_SEQLEN = 8192  # the longest for which a dense mask is tried


def is_ours(name):
    return name.startswith(OURS)


def asked_for(cell, peers, configs):
    """The names of the candidates of a cell; `configs`: as config_option() makes them."""
    ours = [OURS] + ([DETERMINISTIC] if cell.pass_ == "backward" else [])
    ours += [f"{OURS} {config}" for pass_, config in configs if pass_ in (None, cell.pass_)]
    return ours + list(peers)


def config_option(text):
    """For argparse: (pass or None, the configuration as a text that the library reads)."""
    match = re.fullmatch(r"(?:(forward|backward):)?(\d+x\d+,\S+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text}: [PASS:]CONFIG is needed, as `flashmask explain` writes it: "
                                         "128x128,w8,s2,overlap,turns,q2")
    return match.groups()


def config_of(name):
    """Of a candidate of ours: the configuration in its name, or None for the default."""
    config = name[len(OURS):].strip()
    return config if config[:1].isdigit() else None


# ---- Ours -----------------------------------------------------------------------------------------------------------

class Plan:
    """A plan of the problem's mask for the tiles of a kernel, in memory of torch's."""

    def __init__(self, runtime, problem, tiles, batch):
        torch, mask = problem.torch, problem.mask
        self.runtime, self.tiles = runtime, tiles
        self.shape = runtime.library.mask_shape(mask.form, mask.seqlen, mask.seqlen, batch=batch)
        self.intervals = problem.intervals
        self.size = runtime.library.plan_size(self.shape, *tiles)
        self.buffer = torch.empty(max(16, self.size), dtype=torch.uint8, device=problems.DEVICE)
        self.stream = torch.cuda.current_stream().cuda_stream
        self.build()

    def build(self):
        self.runtime.build_plan(self.shape, self.tiles, self.intervals.data_ptr(), self.buffer.data_ptr(), self.size,
                                self.stream)

    def counts(self):
        """(full, partial, empty) tiles."""
        summary = self.runtime.analyse_plan(self.shape, self.tiles, self.buffer.data_ptr(), self.size, self.stream)
        return summary.full_tiles, summary.partial_tiles, summary.empty_tiles

    def put_into(self, args):
        args.plan, args.plan_bytes = self.buffer.data_ptr(), self.size
        args.plan_tile_q, args.plan_tile_k = self.tiles


class Ours:
    """What forward and backward have in common: a kernel, its plan if the mask has one, and its workspace."""
    kernel = plan = workspace = None

    def make_plan(self, runtime, problem):
        if problem.intervals is not None:
            self.plan = Plan(runtime, problem, self.kernel.tiles, problem.cell.batch)

    def make_workspace(self, torch, size):
        if size:
            self.workspace = torch.empty(size, dtype=torch.uint8, device=problems.DEVICE)

    @property
    def workspace_address(self):
        return self.workspace.data_ptr() if self.workspace is not None else 0


class OurForward(Ours):
    def __init__(self, runtime, problem, config=None):
        torch, cell, mask = problem.torch, problem.cell, problem.mask
        self.kernel = runtime.request(cell.dtype, cell.head_dim, mask.form, config=config)
        self.out = torch.full_like(problem.q, float("nan"))
        self.lse = torch.full((cell.batch, cell.heads_q, cell.seqlen), float("nan"), device=problems.DEVICE)
        args = self.args = runtime.forward_args()
        args.batch, args.seqlen_q, args.seqlen_k = cell.batch, cell.seqlen, cell.seqlen
        args.num_heads_q, args.num_heads_kv = cell.heads_q, cell.heads_kv
        args.softmax_scale = problem.scale
        args.query, args.key, args.value, args.output = (
            tensor_of(t) for t in (problem.q, problem.k, problem.v, self.out))
        args.lse = self.lse.data_ptr()
        args.window_left, args.window_right = mask.window
        if problem.intervals is not None:
            args.startend_row_indices = problem.intervals.data_ptr()
        self.make_plan(runtime, problem)
        if self.plan:
            self.plan.put_into(args)
        self.make_workspace(torch, self.kernel.workspace_size(args))
        self.stream = torch.cuda.current_stream().cuda_stream

    def run(self):
        self.kernel.launch(self.args, self.workspace_address, self.stream)

    def results(self):
        return [self.out]


class OurBackward(Ours):
    """The forward that comes before it is run once, and not timed."""

    def __init__(self, runtime, problem, config=None, deterministic=False):
        torch, cell = problem.torch, problem.cell
        self.forward = OurForward(runtime, problem)
        self.forward.run()
        self.kernel = runtime.request(cell.dtype, cell.head_dim, problem.mask.form, config=config, pass_="backward",
                                      deterministic=deterministic)
        self.gradients = [torch.full_like(t, float("nan")) for t in (problem.q, problem.k, problem.v)]
        # Its own copy, for the plan is of the backward's tiles.
        self.forward_args = fm.ForwardArgs.from_buffer_copy(self.forward.args)
        self.make_plan(runtime, problem)
        if self.plan:
            self.plan.put_into(self.forward_args)
        args = self.args = runtime.backward_args(self.forward_args)
        args.output_gradient = tensor_of(problem.output_gradient)
        args.query_gradient, args.key_gradient, args.value_gradient = (tensor_of(t) for t in self.gradients)
        self.workspace_bytes = self.kernel.backward_workspace_size(args)
        self.make_workspace(torch, self.workspace_bytes)
        self.stream = torch.cuda.current_stream().cuda_stream

    def run(self):
        self.kernel.launch_backward(self.args, self.workspace_address, self.workspace_bytes, self.stream)

    def results(self):
        return self.gradients


def tensor_of(t):
    return fm.Tensor(t.data_ptr(), t.stride(0), t.stride(1), t.stride(2))


# ---- Peers ----------------------------------------------------------------------------------------------------------

class Sdpa:
    """torch.nn.functional.scaled_dot_product_attention, held to one backend."""
    REASONS = {"fa2": "Flash attention kernel not used because", "cudnn": "cuDNN attention kernel not used because"}

    def __init__(self, problem, name):
        from torch.nn.attention import SDPBackend, sdpa_kernel
        if problem.mask.name not in ("full", "causal"):
            raise RuntimeError("only full and causal masks")
        backend = {"fa2": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}[name]
        self.name, self.context = name, lambda: sdpa_kernel(backend)
        self.sdpa = problem.torch.nn.functional.scaled_dot_product_attention
        self.inputs = problem.heads_first()
        self.arguments = {"is_causal": problem.mask.name == "causal", "scale": problem.scale,
                          "enable_gqa": problem.group > 1}

    def run(self):
        self.out = None
        with self.context():
            self.out = self.sdpa(*self.inputs, **self.arguments).transpose(1, 2)

    def first_run(self):
        """A run whose failure says what PyTorch has against this backend, which it tells in warnings."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                self.run()
            except RuntimeError as error:
                texts = [str(warning.message) for warning in caught]
                places = [n for n, text in enumerate(texts) if text.startswith(self.REASONS[self.name])]
                reason = texts[places[0] + 1] if places and places[0] + 1 < len(texts) else ""
                raise RuntimeError(f"{brief(error)} {brief(reason)}".strip()) from None

    def results(self):
        return [self.out]


class Flex:
    """FlexAttention, compiled, with a block mask made beforehand."""
    compiled = None

    def __init__(self, problem, block_mask):
        from torch.nn.attention.flex_attention import flex_attention
        if Flex.compiled is None:
            Flex.compiled = problem.torch.compile(flex_attention, dynamic=False)
        self.inputs = problem.heads_first()
        self.arguments = {"block_mask": block_mask, "scale": problem.scale, "enable_gqa": problem.group > 1}

    def run(self):
        self.out = None
        self.out = Flex.compiled(*self.inputs, **self.arguments).transpose(1, 2)

    def results(self):
        return [self.out]


class BlockMasks:
    """create_block_mask, compiled, and plain where it does not compile."""

    def __init__(self, torch):
        from torch.nn.attention.flex_attention import create_block_mask
        self._create = {"compiled": torch.compile(create_block_mask, dynamic=False), "plain": create_block_mask}

    def maker(self, kind, problem):
        n, create = problem.cell.seqlen, self._create[kind]
        return lambda: create(problem.mask_mod, None, None, n, n, device=problems.DEVICE,
                              BLOCK_SIZE=problems.PAPER_TILE)

    def make(self, problem):
        """(block mask, its kind, why it is not compiled or None); (None, None, None) for the full mask."""
        if problem.mask_mod is None:
            return None, None, None
        try:
            return self.maker("compiled", problem)(), "compiled", None
        except Exception as error:  # of any layer of the compiler
            return self.maker("plain", problem)(), "plain", brief(error)


class DenseSdpa:
    """scaled_dot_product_attention with a boolean mask [1, 1, seqlen, seqlen], on the backend that PyTorch chooses."""

    def __init__(self, problem):
        torch, n = problem.torch, problem.cell.seqlen
        if n > DENSE_SEQLEN:
            raise RuntimeError(f"a dense mask of {n} x {n} takes {n * n / 2**30:.0f} GiB as bool and "
                               f"{2 * n * n / 2**30:.0f} GiB as the bias that it becomes")
        dense = problem.visible(torch.arange(n, device=problems.DEVICE))
        self.sdpa = torch.nn.functional.scaled_dot_product_attention
        self.inputs = problem.heads_first()
        self.arguments = {"attn_mask": dense[None, None], "scale": problem.scale, "enable_gqa": problem.group > 1}

    def run(self):
        self.out = None
        self.out = self.sdpa(*self.inputs, **self.arguments).transpose(1, 2)

    def results(self):
        return [self.out]


class Autograd:
    """The backward of one of PyTorch's forwards, which is run once, and not timed."""

    def __init__(self, make_forward, problem):
        self.grad = problem.torch.autograd.grad
        self.inputs = [t.detach().requires_grad_() for t in (problem.q, problem.k, problem.v)]
        forward = make_forward(problem.with_inputs(*self.inputs))
        run_first(forward)
        (self.out,), self.output_gradient = forward.results(), problem.output_gradient

    def run(self):
        self.gradients = None
        self.gradients = self.grad(self.out, self.inputs, self.output_gradient, retain_graph=True)

    def results(self):
        return list(self.gradients)


class MatrixProduct:
    """The ceiling: an 8192 x 8192 x 8192 product of N(0, 1) matrices in the cell's dtype."""
    SIZE = 8192
    FLOPS = 2 * SIZE ** 3

    def __init__(self, torch, dtype):
        element = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
        self.matmul = torch.matmul
        self.a, self.b, self.c = (torch.randn(self.SIZE, self.SIZE, device=problems.DEVICE, dtype=element)
                                  for _ in range(3))

    def run(self):
        self.matmul(self.a, self.b, out=self.c)


def run_first(candidate):
    getattr(candidate, "first_run", candidate.run)()


def brief(error):
    """The beginning of what an exception or a text says, in one line."""
    text = " ".join(str(error).split())
    return text[:300] or (type(error).__name__ if isinstance(error, Exception) else "")


def make_ours(name, runtime, problem):
    if problem.cell.pass_ == "forward":
        return OurForward(runtime, problem, config_of(name))
    return OurBackward(runtime, problem, config_of(name), deterministic=name == DETERMINISTIC)


def make_peer(name, problem, make_block_mask):
    """`make_block_mask`() is called by FlexAttention alone."""
    def forward(p):
        if name == "flex":
            return Flex(p, make_block_mask())
        return DenseSdpa(p) if name == "dense" else Sdpa(p, name)
    return forward(problem) if problem.cell.pass_ == "forward" else Autograd(forward, problem)

"""Proves the bindings of flashmask_c.py on the emulator: tiny problems against attention in plain Python."""

import math
import random
import struct
import tempfile

import flashmask_c as fm
import paper_masks


def to_bf16(value):
    """The nearest bf16, ties to even, as its 16 bits."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF


def from_bf16(bits):
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def attention(q, k, v, visible, scale):
    """(out, lse) of one head; q, k, v are lists of rows of numbers."""
    out, lse = [], []
    for i, row in enumerate(q):
        scores = {j: scale * sum(a * b for a, b in zip(row, key)) for j, key in enumerate(k) if visible(i, j)}
        if not scores:
            out.append([0.0] * len(v[0]))
            lse.append(-math.inf)
            continue
        top = max(scores.values())
        weights = {j: math.exp(s - top) for j, s in scores.items()}
        total = sum(weights.values())
        out.append([sum(w * v[j][d] for j, w in weights.items()) / total for d in range(len(v[0]))])
        lse.append(top + math.log(total))
    return out, lse


def workspace_of(device, kernel, args, addresses):
    """The address of what a forward launch needs beside its arguments, or 0; it is added to `addresses`."""
    size = kernel.workspace_size(args)
    if not size:
        return 0
    addresses.append(device.upload(b"\xff" * size))
    return addresses[-1]


def check_form(device, runtime, mask_form, visible, intervals=None, window=(-1, -1)):
    seqlen_q, seqlen_k, head_dim, scale = 19, 23, 16, 0.3
    rng = random.Random(mask_form)
    def rows(count):
        return [[to_bf16(rng.gauss(0, 1)) for _ in range(head_dim)] for _ in range(count)]
    def pack(bits):
        return struct.pack(f"<{len(bits) * head_dim}H", *[b for row in bits for b in row])
    def numbers(bits):
        return [[from_bf16(b) for b in row] for row in bits]
    q, k, v = rows(seqlen_q), rows(seqlen_k), rows(seqlen_k)

    addresses = [device.upload(pack(bits)) for bits in (q, k, v)]
    out_bytes, lse_bytes = seqlen_q * head_dim * 2, seqlen_q * 4
    addresses += [device.upload(b"\xff" * out_bytes), device.upload(b"\xff" * lse_bytes)]
    args = runtime.forward_args()
    args.batch = args.num_heads_q = args.num_heads_kv = 1
    args.seqlen_q, args.seqlen_k, args.softmax_scale = seqlen_q, seqlen_k, scale
    args.query = fm.Tensor.packed(addresses[0], seqlen_q, 1, head_dim)
    args.key = fm.Tensor.packed(addresses[1], seqlen_k, 1, head_dim)
    args.value = fm.Tensor.packed(addresses[2], seqlen_k, 1, head_dim)
    args.output = fm.Tensor.packed(addresses[3], seqlen_q, 1, head_dim)
    args.lse = addresses[4]
    args.window_left, args.window_right = window
    if intervals:
        addresses.append(device.upload(struct.pack(f"<{len(intervals)}i", *intervals)))
        args.startend_row_indices = addresses[-1]
    kernel = runtime.request("bf16", head_dim, mask_form)
    workspace = workspace_of(device, kernel, args, addresses)
    kernel.launch(args, workspace)

    out = struct.unpack(f"<{seqlen_q * head_dim}H", device.download(addresses[3], out_bytes))
    lse = struct.unpack(f"<{seqlen_q}f", device.download(addresses[4], lse_bytes))
    expected_out, expected_lse = attention(numbers(q), numbers(k), numbers(v), visible, scale)
    for i in range(seqlen_q):
        assert lse[i] == expected_lse[i] or abs(lse[i] - expected_lse[i]) < 1e-4 * max(1, abs(expected_lse[i])), \
            f"{mask_form}: lse[{i}] = {lse[i]}, expected {expected_lse[i]}"
        for d in range(head_dim):
            actual = from_bf16(out[i * head_dim + d])
            assert abs(actual - expected_out[i][d]) < 0.03, \
                f"{mask_form}: out[{i}][{d}] = {actual}, expected {expected_out[i][d]}"
    try:
        args.softmax_scale = -1
        kernel.launch(args, workspace)
        raise AssertionError("a negative scale was accepted")
    except fm.Error as error:
        assert error.status == "invalid argument" and "softmax_scale" in str(error), str(error)
    for address in addresses:
        device.free(address)


def check_plan(device, runtime, mask):
    """A launch with a plan gives the bits of a launch without one, and the plan counts tiles as the dense mask does."""
    n, head_dim = mask.seqlen, 16
    rng = random.Random(7)
    sizes = {"out": n * head_dim * 2, "lse": n * 4}
    numbers = n * head_dim
    addresses = [device.upload(struct.pack(f"<{numbers}H", *[to_bf16(rng.gauss(0, 1)) for _ in range(numbers)]))
                 for _ in range(3)]
    addresses += [device.upload(b"\xff" * size) for size in sizes.values()]
    intervals = struct.pack(f"<{n * len(mask.vectors)}i", *[value for column in zip(*mask.vectors) for value in column])
    addresses.append(device.upload(intervals))

    args = runtime.forward_args()
    args.batch = args.num_heads_q = args.num_heads_kv = 1
    args.seqlen_q = args.seqlen_k = n
    args.softmax_scale = 0.25
    args.query, args.key, args.value, args.output = (
        fm.Tensor.packed(address, n, 1, head_dim) for address in addresses[:4])
    args.lse, args.startend_row_indices = addresses[4], addresses[5]
    kernel = runtime.request("bf16", head_dim, mask.form)

    def launch():
        for address, size in zip(addresses[3:5], sizes.values()):
            device.fill(address, 0xFF, size)
        kernel.launch(args, workspace_of(device, kernel, args, addresses))
        return [device.download(address, size) for address, size in zip(addresses[3:5], sizes.values())]
    expected = launch()
    assert expected[0] != b"\xff" * sizes["out"], "nothing was written"

    shape = runtime.library.mask_shape(mask.form, n, n)
    size = runtime.library.plan_size(shape, *kernel.tiles)
    addresses.append(device.upload(b"\xff" * size))
    args.plan, args.plan_bytes = addresses[-1], size
    args.plan_tile_q, args.plan_tile_k = kernel.tiles
    runtime.build_plan(shape, kernel.tiles, args.startend_row_indices, args.plan, size)
    counted = runtime.analyse_plan(shape, kernel.tiles, args.plan, size)
    tiles = (counted.full_tiles, counted.partial_tiles, counted.empty_tiles)
    assert tiles == mask.tile_counts(*kernel.tiles), f"{mask.name}: the plan counts {tiles} full, partial, empty " \
        f"tiles of {kernel.tiles}, the dense mask {mask.tile_counts(*kernel.tiles)}"
    assert all(tiles), f"{mask.name}: {tiles} tiles of {kernel.tiles} at {n} tokens are not of all three classes"
    assert launch() == expected, f"{mask.name}: a launch with a plan gave other bits"
    for address in addresses:
        device.free(address)


def gradients(q, k, v, dout, dlse, visible, scale):
    """(dq, dk, dv) of one head, by the chain rule; as attention()."""
    out, lse = attention(q, k, v, visible, scale)
    def dot(a, b):
        return sum(x * y for x, y in zip(a, b))
    dq, dk, dv = ([[0.0] * len(row) for row in rows] for rows in (q, k, v))
    for i, row in enumerate(q):
        for j, key in enumerate(k):
            if not visible(i, j):
                continue
            p = math.exp(scale * dot(row, key) - lse[i])
            ds = scale * p * (dot(dout[i], v[j]) - dot(dout[i], out[i]) + dlse[i])
            for d in range(len(row)):
                dq[i][d] += ds * key[d]
                dk[j][d] += ds * row[d]
            for d in range(len(v[j])):
                dv[j][d] += p * dout[i][d]
    return dq, dk, dv


def check_backward(device, runtime, deterministic):
    """A causal backward behind its forward, with a gradient on LSE."""
    n, head_dim, scale = 19, 16, 0.3
    rng = random.Random(11)
    bits = [[[to_bf16(rng.gauss(0, 1)) for _ in range(head_dim)] for _ in range(n)] for _ in range(4)]
    numbers = [[[from_bf16(b) for b in row] for row in rows] for rows in bits]
    dlse = [float(rng.randrange(-2, 3)) for _ in range(n)]
    addresses = [device.upload(struct.pack(f"<{n * head_dim}H", *[b for row in rows for b in row])) for rows in bits]
    addresses += [device.upload(b"\xff" * (n * head_dim * 2)) for _ in range(4)]
    q, k, v, dout, out, dq, dk, dv = (fm.Tensor.packed(address, n, 1, head_dim) for address in addresses)
    addresses += [device.upload(b"\xff" * (n * 4)), device.upload(struct.pack(f"<{n}f", *dlse))]

    forward = runtime.forward_args()
    forward.batch = forward.num_heads_q = forward.num_heads_kv = 1
    forward.seqlen_q = forward.seqlen_k = n
    forward.softmax_scale = scale
    forward.query, forward.key, forward.value, forward.output, forward.lse = q, k, v, out, addresses[8]
    before = runtime.request("bf16", head_dim, "causal")
    before.launch(forward, workspace_of(device, before, forward, addresses))

    kernel = runtime.request("bf16", head_dim, "causal", pass_="backward", deterministic=deterministic)
    args = runtime.backward_args(forward)
    args.output_gradient, args.lse_gradient = dout, addresses[9]
    args.query_gradient, args.key_gradient, args.value_gradient = dq, dk, dv
    size = kernel.backward_workspace_size(args)
    addresses.append(device.upload(b"\xff" * size))
    kernel.launch_backward(args, addresses[-1], size)

    expected = gradients(*numbers, dlse, lambda i, j: j <= i, scale)
    for name, tensor, rows in zip(("dq", "dk", "dv"), (dq, dk, dv), expected):
        actual = struct.unpack(f"<{n * head_dim}H", device.download(tensor.data, n * head_dim * 2))
        for i, row in enumerate(rows):
            for d, value in enumerate(row):
                got = from_bf16(actual[i * head_dim + d])
                assert abs(got - value) < 0.03 * max(1, abs(value)), f"{name}[{i}][{d}] = {got}, expected {value}"
    try:
        args.key_gradient = k
        kernel.launch_backward(args, addresses[-1], size)
        raise AssertionError("a gradient over its own tensor was accepted")
    except fm.Error as error:
        assert error.status == "invalid argument" and "key_gradient overlaps key" in str(error), str(error)
    for address in addresses:
        device.free(address)


def run(library_path, target):
    paper_masks.check()
    library = fm.Library(library_path)
    with tempfile.TemporaryDirectory() as cache:
        device = fm.Device.emulator(library, target, seed=3)
        runtime = fm.Runtime(library, device, cache)
        offset = 23 - 19
        check_form(device, runtime, "none", lambda i, j: True)
        check_form(device, runtime, "causal", lambda i, j: j <= i + offset)
        check_form(device, runtime, "window", lambda i, j: i + offset - 5 <= j <= i + offset + 2, window=(5, 2))
        starts = [min(19, j // 2 + 4) for j in range(23)]
        check_form(device, runtime, "c1", lambda i, j: j <= i + offset and i < starts[j], intervals=starts)
        counters = runtime.counters()
        assert (counters.requests, counters.compiles, counters.stores) == (4, 4, 4), \
            f"{counters.requests} requests, {counters.compiles} compiles, {counters.stores} stores"
        again = fm.Runtime(library, device, cache)
        assert fm.ORIGINS[again.request("bf16", 16, "causal").info.origin] == "disk"
        assert fm.ORIGINS[again.request("bf16", 16, "causal").info.origin] == "disk"
        assert again.counters().memory_hits == 1 and again.counters().compiles == 0
        try:
            again.request("bf16", 100)
            raise AssertionError("head_dim 100 was accepted")
        except fm.Error as error:
            assert "head_dim_qk = 100" in str(error), str(error)
        for deterministic in (False, True):
            check_backward(device, fm.Runtime(library, device, cache), deterministic)
        check_plan(device, fm.Runtime(library, device, cache), paper_masks.make("document", 700))
        print(f"self-check passed: flashmask {library.version} on the {device.info.name.decode()} "
              f"({device.info.target.decode()}), 4 mask forms, a plan, two backwards, "
              f"{len(paper_masks.MASKS)} masks in plain Python")

"""libflashmask through its C interface (runtime/include/flashmask/flashmask.h), with ctypes alone.

The structs below mirror the header field by field; the library checks their sizes at every call.
"""

import ctypes
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_float, c_int, c_int64, c_size_t, c_uint64, c_void_p

PASSES = {"forward": 0, "backward": 3}
DTYPES = {"fp16": 0, "bf16": 1}
MASK_FORMS = {"none": 0, "causal": 1, "window": 2, "c1": 3, "c2": 4, "f2": 5, "f4": 6}
ALIGNMENTS = {"bottom-right": 0, "top-left": 1}
ORIGINS = ("memory", "disk", "compiled")
LOG_WARNING = 2


class Sized(ctypes.Structure):
    """A struct that begins with its own size."""

    def __init__(self, **values):
        super().__init__(**values)
        self.struct_size = ctypes.sizeof(self)


class DeviceInfo(Sized):
    _fields_ = [("struct_size", c_size_t), ("is_emulator", c_int), ("name", c_char * 256), ("target", c_char * 16),
                ("multiprocessors", c_int), ("shared_bytes_per_block", c_size_t), ("memory_bytes", c_size_t)]


class Policy(Sized):
    _fields_ = [("struct_size", c_size_t), ("cache_directory", c_char_p), ("nvrtc_path", c_char_p),
                ("toolchain", c_char_p), ("no_jit", c_int), ("log_level", c_int), ("log", c_void_p),
                ("log_user", c_void_p)]


class Counters(Sized):
    _fields_ = [("struct_size", c_size_t), ("requests", c_uint64), ("memory_hits", c_uint64), ("disk_hits", c_uint64),
                ("compiles", c_uint64), ("stores", c_uint64), ("failed_stores", c_uint64),
                ("generate_seconds", c_double), ("lookup_seconds", c_double), ("compile_seconds", c_double),
                ("load_seconds", c_double)]


class Descriptor(Sized):
    _fields_ = [("struct_size", c_size_t), ("pass_", c_int), ("dtype", c_int), ("head_dim_qk", c_int),
                ("head_dim_v", c_int), ("mask_form", c_int), ("causal_alignment", c_int), ("target", c_char_p),
                ("deterministic", c_int)]


class TileConfig(Sized):
    _fields_ = [("struct_size", c_size_t), ("tile_q", c_int), ("tile_k", c_int), ("warps", c_int), ("stages", c_int),
                ("query_in_registers", c_int), ("column_warps", c_int), ("overlap", c_int), ("turns", c_int),
                ("query_slots", c_int)]


class KernelInfo(Sized):
    _fields_ = [("struct_size", c_size_t), ("digest", c_char * 65), ("origin", c_int), ("tile_q", c_int),
                ("tile_k", c_int), ("warps", c_int), ("stages", c_int), ("registers", c_int), ("spill_bytes", c_int),
                ("shared_bytes", c_int), ("config", c_char * 64)]


class Tensor(ctypes.Structure):
    """[batch, seqlen, heads, head_dim]; strides count elements."""
    _fields_ = [("data", c_uint64), ("stride_batch", c_int64), ("stride_seqlen", c_int64), ("stride_head", c_int64)]

    @classmethod
    def packed(cls, data, seqlen, heads, head_dim):
        return cls(data, seqlen * heads * head_dim, heads * head_dim, head_dim)


class ForwardArgs(Sized):
    _fields_ = [("struct_size", c_size_t), ("batch", c_int), ("seqlen_q", c_int), ("seqlen_k", c_int),
                ("num_heads_q", c_int), ("num_heads_kv", c_int), ("num_heads_mask", c_int), ("query", Tensor),
                ("key", Tensor), ("value", Tensor), ("output", Tensor), ("lse", c_uint64),
                ("startend_row_indices", c_uint64), ("softmax_scale", c_float), ("window_left", c_int),
                ("window_right", c_int), ("plan", c_uint64), ("plan_bytes", c_size_t), ("plan_tile_q", c_int),
                ("plan_tile_k", c_int)]


class BackwardArgs(Sized):
    """`forward` is a pointer: ctypes.pointer(ForwardArgs), which this object keeps alive."""
    _fields_ = [("struct_size", c_size_t), ("forward", POINTER(ForwardArgs)), ("output_gradient", Tensor),
                ("lse_gradient", c_uint64), ("query_gradient", Tensor), ("key_gradient", Tensor),
                ("value_gradient", Tensor)]


class MaskShape(Sized):
    _fields_ = [("struct_size", c_size_t), ("form", c_int), ("causal_alignment", c_int), ("batch", c_int),
                ("num_heads", c_int), ("seqlen_q", c_int), ("seqlen_k", c_int), ("window_left", c_int),
                ("window_right", c_int)]


class PlanSummary(Sized):
    """Tiles of all batch entries and mask heads together."""
    _fields_ = [("struct_size", c_size_t), ("full_tiles", c_uint64), ("partial_tiles", c_uint64),
                ("empty_tiles", c_uint64)]


class Error(RuntimeError):
    """A call that failed: what was asked and is allowed, then what to do."""

    def __init__(self, status, message, hint):
        super().__init__(f"{status}: {message}" + (f" ({hint})" if hint else ""))
        self.status = status


class Library:
    """The functions of one libflashmask.so."""

    def __init__(self, path):
        self._c = ctypes.CDLL(path)
        texts = {"fm_version": [], "fm_last_error": [], "fm_last_hint": [], "fm_status_name": [c_int]}
        releases = ("fm_device_release", "fm_runtime_release", "fm_kernel_release", "fm_prepared_release")
        calls = {
            "fm_device_open_cuda": [c_int, POINTER(c_void_p)],
            "fm_device_open_emulator": [c_char_p, c_uint64, POINTER(c_void_p)],
            "fm_device_get_info": [c_void_p, POINTER(DeviceInfo)],
            "fm_device_alloc": [c_void_p, c_size_t, POINTER(c_uint64)],
            "fm_device_free": [c_void_p, c_uint64],
            "fm_device_copy_in": [c_void_p, c_uint64, c_void_p, c_size_t, c_void_p],
            "fm_device_copy_out": [c_void_p, c_void_p, c_uint64, c_size_t, c_void_p],
            "fm_device_fill": [c_void_p, c_uint64, c_int, c_size_t, c_void_p],
            "fm_device_synchronize": [c_void_p, c_void_p],
            "fm_runtime_create": [c_void_p, POINTER(Policy), POINTER(c_void_p)],
            "fm_runtime_get_counters": [c_void_p, POINTER(Counters)],
            "fm_tile_config_parse": [c_char_p, POINTER(TileConfig)],
            "fm_runtime_request": [c_void_p, POINTER(Descriptor), POINTER(TileConfig), POINTER(c_void_p)],
            "fm_kernel_get_info": [c_void_p, POINTER(KernelInfo)],
            "fm_kernel_workspace_size": [c_void_p, POINTER(ForwardArgs), POINTER(c_size_t)],
            "fm_kernel_launch_forward": [c_void_p, POINTER(ForwardArgs), c_uint64, c_void_p],
            "fm_kernel_backward_workspace_size": [c_void_p, POINTER(BackwardArgs), POINTER(c_size_t)],
            "fm_kernel_launch_backward": [c_void_p, POINTER(BackwardArgs), c_uint64, c_size_t, c_void_p],
            "fm_kernel_prepare_forward": [c_void_p, POINTER(ForwardArgs), c_uint64, c_size_t, POINTER(c_void_p)],
            "fm_kernel_prepare_backward": [c_void_p, POINTER(BackwardArgs), c_uint64, c_size_t, POINTER(c_void_p)],
            "fm_prepared_launch": [c_void_p, c_void_p],
            "fm_policy_from_environment": [POINTER(Policy)],
            "fm_plan_size": [POINTER(MaskShape), c_int, c_int, POINTER(c_size_t)],
            "fm_plan_build": [c_void_p, POINTER(MaskShape), c_int, c_int, c_uint64, c_uint64, c_size_t, c_void_p],
            "fm_plan_analyse": [c_void_p, POINTER(MaskShape), c_int, c_int, c_uint64, c_size_t, c_void_p,
                                POINTER(PlanSummary)],
        }
        for name, arguments in texts.items():
            getattr(self._c, name).argtypes = arguments
            getattr(self._c, name).restype = c_char_p
        for name in releases:
            getattr(self._c, name).argtypes = [c_void_p]
            getattr(self._c, name).restype = None
        for name, struct in (("fm_init_policy", Policy), ("fm_init_descriptor", Descriptor),
                             ("fm_init_forward_args", ForwardArgs), ("fm_init_backward_args", BackwardArgs),
                             ("fm_init_mask_shape", MaskShape)):
            calls[name] = [POINTER(struct), c_size_t]
        for name, arguments in calls.items():
            getattr(self._c, name).argtypes = arguments
            getattr(self._c, name).restype = c_int

    def call(self, name, *arguments):
        status = getattr(self._c, name)(*arguments)
        if status != 0:
            raise Error(self._c.fm_status_name(status).decode(), self._c.fm_last_error().decode(),
                        self._c.fm_last_hint().decode())

    def release(self, name, handle):
        getattr(self._c, name)(handle)

    def initialised(self, struct, name):
        """A struct with the library's defaults."""
        value = struct()
        self.call(name, byref(value), ctypes.sizeof(struct))
        return value

    def mask_shape(self, mask_form, seqlen_q, seqlen_k, batch=1, num_heads=1, window=(-1, -1),
                   alignment="bottom-right"):
        shape = self.initialised(MaskShape, "fm_init_mask_shape")
        shape.form, shape.causal_alignment = MASK_FORMS[mask_form], ALIGNMENTS[alignment]
        shape.batch, shape.num_heads, shape.seqlen_q, shape.seqlen_k = batch, num_heads, seqlen_q, seqlen_k
        shape.window_left, shape.window_right = window
        return shape

    def plan_size(self, shape, tile_q, tile_k):
        """Bytes of device memory, 16-byte aligned, that a plan of this mask takes."""
        size = c_size_t()
        self.call("fm_plan_size", byref(shape), tile_q, tile_k, byref(size))
        return size.value

    @property
    def version(self):
        return self._c.fm_version().decode()


class Handle:
    """What the library counts; released with this object or by release()."""

    def __init__(self, library, release, handle):
        self.library, self._release, self.handle = library, release, handle

    def release(self):
        if self.handle:
            self.library.release(self._release, self.handle)
            self.handle = None

    def __del__(self):
        self.release()


class Device(Handle):
    def __init__(self, library, handle):
        super().__init__(library, "fm_device_release", handle)
        self.info = DeviceInfo()
        library.call("fm_device_get_info", handle, byref(self.info))

    @classmethod
    def cuda(cls, library, ordinal=0):
        handle = c_void_p()
        library.call("fm_device_open_cuda", ordinal, byref(handle))
        return cls(library, handle)

    @classmethod
    def emulator(cls, library, target=None, seed=0):
        handle = c_void_p()
        library.call("fm_device_open_emulator", target.encode() if target else None, seed, byref(handle))
        return cls(library, handle)

    def upload(self, data):
        """A new allocation with these bytes (anything with the buffer protocol); its address."""
        data = bytes(data)
        address = c_uint64()
        self.library.call("fm_device_alloc", self.handle, len(data), byref(address))
        self.library.call("fm_device_copy_in", self.handle, address, data, len(data), None)
        return address.value

    def download(self, address, size):
        data = ctypes.create_string_buffer(size)
        self.library.call("fm_device_copy_out", self.handle, data, address, size, None)
        return data.raw

    def fill(self, address, value, size):
        self.library.call("fm_device_fill", self.handle, address, value, size, None)

    def free(self, address):
        self.library.call("fm_device_free", self.handle, address)


class Kernel(Handle):
    def __init__(self, library, handle):
        super().__init__(library, "fm_kernel_release", handle)
        self.info = KernelInfo()
        library.call("fm_kernel_get_info", handle, byref(self.info))

    @property
    def config(self):
        """All of the tile configuration: "128x128,w8,s2,turns,q2"."""
        return self.info.config.decode()

    def workspace_size(self, args):
        """Bytes of device memory that launch() needs; may be 0."""
        size = c_size_t()
        self.library.call("fm_kernel_workspace_size", self.handle, byref(args), byref(size))
        return size.value

    @property
    def tiles(self):
        return self.info.tile_q, self.info.tile_k

    def launch(self, args, workspace=0, stream=None):
        self.library.call("fm_kernel_launch_forward", self.handle, byref(args), workspace, stream)

    def backward_workspace_size(self, args):
        """Bytes of device memory, 16-byte aligned, that launch_backward() needs."""
        size = c_size_t()
        self.library.call("fm_kernel_backward_workspace_size", self.handle, byref(args), byref(size))
        return size.value

    def launch_backward(self, args, workspace, workspace_bytes, stream=None):
        self.library.call("fm_kernel_launch_backward", self.handle, byref(args), workspace, workspace_bytes, stream)

    def prepare(self, args, workspace=0, workspace_bytes=0):
        """What launch() would do with these arguments, and as often as wanted."""
        return self._prepared("fm_kernel_prepare_forward", args, workspace, workspace_bytes)

    def prepare_backward(self, args, workspace, workspace_bytes):
        return self._prepared("fm_kernel_prepare_backward", args, workspace, workspace_bytes)

    def _prepared(self, name, args, workspace, workspace_bytes):
        handle = c_void_p()
        self.library.call(name, self.handle, byref(args), workspace, workspace_bytes, byref(handle))
        return PreparedLaunch(self.library, handle)


class PreparedLaunch(Handle):
    """Needs neither its kernel nor its arguments any more, but the device memory that these name."""

    def __init__(self, library, handle):
        super().__init__(library, "fm_prepared_release", handle)

    def launch(self, stream=None):
        self.library.call("fm_prepared_launch", self.handle, stream)


class Runtime(Handle):
    def __init__(self, library, device, cache_directory=None):
        """`cache_directory` None: as the environment says."""
        policy = Policy()
        library.call("fm_policy_from_environment", byref(policy))
        if cache_directory is not None:
            policy.cache_directory = cache_directory.encode()
        handle = c_void_p()
        library.call("fm_runtime_create", device.handle, byref(policy), byref(handle))
        super().__init__(library, "fm_runtime_release", handle)

    def request(self, dtype, head_dim, mask_form="none", alignment="bottom-right", config=None, head_dim_v=None,
                pass_="forward", deterministic=False):
        """A kernel; `config` is a text like Kernel.config, or None for the default."""
        descriptor = self.library.initialised(Descriptor, "fm_init_descriptor")
        descriptor.pass_ = PASSES[pass_]
        descriptor.deterministic = deterministic
        descriptor.dtype = DTYPES[dtype]
        descriptor.head_dim_qk = head_dim
        descriptor.head_dim_v = head_dim_v or head_dim
        descriptor.mask_form = MASK_FORMS[mask_form]
        descriptor.causal_alignment = ALIGNMENTS[alignment]
        tiles = None
        if config:
            tiles = TileConfig()
            self.library.call("fm_tile_config_parse", config.encode(), byref(tiles))
        handle = c_void_p()
        self.library.call("fm_runtime_request", self.handle, byref(descriptor), byref(tiles) if tiles else None,
                          byref(handle))
        return Kernel(self.library, handle)

    def forward_args(self):
        return self.library.initialised(ForwardArgs, "fm_init_forward_args")

    def backward_args(self, forward):
        """Of a ForwardArgs, which may still change until the launch."""
        args = self.library.initialised(BackwardArgs, "fm_init_backward_args")
        args.forward = ctypes.pointer(forward)
        return args

    def build_plan(self, shape, tiles, startend_row_indices, buffer, size, stream=None):
        """Enqueues; `startend_row_indices` and `buffer` are addresses on the device."""
        self.library.call("fm_plan_build", self.handle, byref(shape), *tiles, startend_row_indices, buffer, size,
                          stream)

    def analyse_plan(self, shape, tiles, buffer, size, stream=None):
        """What a built plan holds; waits for the stream."""
        summary = PlanSummary()
        self.library.call("fm_plan_analyse", self.handle, byref(shape), *tiles, buffer, size, stream, byref(summary))
        return summary

    def counters(self):
        counters = Counters()
        self.library.call("fm_runtime_get_counters", self.handle, byref(counters))
        return counters

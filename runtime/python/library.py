"""The shared library of the runtime and the types of its C interface (`cosoc/cosoc.h`)."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any, ClassVar


class CosocError(RuntimeError):
    """The runtime refused something or failed; the message says what was expected, what was found and what to do."""


class Options(Structure):
    """`cosoc_options`."""

    _fields_: ClassVar = [
        ("mode", c_char_p),
        ("soc", c_char_p),
        ("policy", c_char_p),
        ("trace", c_char_p),
        ("memory_bytes", c_uint64),
        ("cpu_cores", c_int32),
        ("keep_tensors", c_int32),
        ("costs", c_char_p),
        ("seed", c_uint64),
        ("deadline_ns", c_int64),
    ]


class Buffer(Structure):
    """`cosoc_buffer`: host memory."""

    _fields_: ClassVar = [("data", c_void_p), ("bytes", c_size_t)]


class TensorType(Structure):
    """`cosoc_type`."""

    _fields_: ClassVar = [
        ("dtype", c_char_p),
        ("shape", POINTER(c_int64)),
        ("rank", c_size_t),
        ("scale", c_float),
        ("zero_point", c_int32),
    ]


class ClientOptions(Structure):
    """`cosoc_client_options`."""

    _fields_: ClassVar = [("name", c_char_p), ("priority", c_int32), ("weight", c_double), ("deadline_ns", c_int64)]


class ModelOptions(Structure):
    """`cosoc_model_options`."""

    _fields_: ClassVar = [("priority", c_int32), ("weight", c_double), ("deadline_ns", c_int64)]


def deadline_ns(deadline: float | None) -> int:
    """A deadline in seconds as the C interface has it; 0: none.

    Raises:
        CosocError: it is not above 0.
    """
    if deadline is None:
        return 0
    if not 0 < deadline < 1e9:
        raise CosocError(f"a deadline is a number of seconds above 0 and below 1e9, not {deadline}")
    return max(1, round(deadline * 1e9))


class Signature(Structure):
    """`cosoc_signature`."""

    _fields_: ClassVar = [
        ("inputs", POINTER(TensorType)),
        ("input_count", c_size_t),
        ("outputs", POINTER(TensorType)),
        ("output_count", c_size_t),
        ("name", c_char_p),
        ("devices", POINTER(c_char_p)),
        ("device_count", c_size_t),
        ("wrapped", c_int32),
    ]


class Implementation(Structure):
    """`cosoc_implementation`."""

    _fields_: ClassVar = [("device", c_char_p), ("operation", c_char_p), ("attributes", c_char_p)]


KernelFunction = CFUNCTYPE(c_int, c_void_p, POINTER(Buffer), POINTER(Buffer), c_void_p, c_size_t)
"""`cosoc_function`."""


class Kernel(Structure):
    """`cosoc_kernel`."""

    _fields_: ClassVar = [
        ("name", c_char_p),
        ("function", KernelFunction),
        ("context", c_void_p),
        ("operations", c_uint64),
        ("accelerators", POINTER(Implementation)),
        ("accelerator_count", c_size_t),
    ]


_OUT = POINTER(c_void_p)
_OPERANDS = [_OUT, c_size_t, _OUT, c_size_t]

FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "cosoc_error": (c_char_p, []),
    "cosoc_session_open": (c_int, [POINTER(Options), _OUT]),
    "cosoc_session_close": (None, [c_void_p]),
    "cosoc_session_client": (c_int, [c_void_p, POINTER(ClientOptions), _OUT]),
    "cosoc_session_calibrate": (c_int, [c_void_p]),
    "cosoc_session_costs": (c_char_p, [c_void_p]),
    "cosoc_session_save_costs": (c_int, [c_void_p]),
    "cosoc_device_remove": (c_int, [c_void_p, c_char_p]),
    "cosoc_device_add": (c_int, [c_void_p, c_char_p]),
    "cosoc_model_load": (c_int, [c_void_p, c_char_p, POINTER(ModelOptions), _OUT]),
    "cosoc_model_close": (None, [c_void_p]),
    "cosoc_model_description": (c_char_p, [c_void_p]),
    "cosoc_model_run": (c_int, [c_void_p, POINTER(Buffer), c_size_t, POINTER(Buffer), c_size_t]),
    "cosoc_model_report": (c_char_p, [c_void_p]),
    "cosoc_model_tensor": (c_int, [c_void_p, c_char_p, Buffer]),
    "cosoc_model_submit": (c_int, [c_void_p, *_OPERANDS, _OUT, c_size_t, _OUT]),
    "cosoc_client_close": (None, [c_void_p]),
    "cosoc_client_wait": (c_int, [c_void_p]),
    "cosoc_client_now_ns": (c_int64, [c_void_p]),
    "cosoc_memory_allocate": (c_int, [c_void_p, POINTER(TensorType), _OUT]),
    "cosoc_memory_wrap": (c_int, [c_void_p, POINTER(TensorType), c_void_p, c_size_t, _OUT]),
    "cosoc_memory_storage": (Buffer, [c_void_p]),
    "cosoc_memory_close": (None, [c_void_p]),
    "cosoc_call_prepare": (c_int, [c_void_p, c_char_p, c_char_p, POINTER(Signature), _OUT]),
    "cosoc_call_prepare_function": (c_int, [c_void_p, POINTER(Kernel), POINTER(Signature), _OUT]),
    "cosoc_call_reason": (c_char_p, [c_void_p]),
    "cosoc_call_close": (None, [c_void_p]),
    "cosoc_call_run": (c_int, [c_void_p, c_void_p, *_OPERANDS]),
    "cosoc_call_submit": (c_int, [c_void_p, c_void_p, *_OPERANDS, _OUT, c_size_t, _OUT]),
    "cosoc_graph_make": (c_int, [c_void_p, c_char_p, _OUT]),
    "cosoc_graph_close": (None, [c_void_p]),
    "cosoc_graph_add": (c_int, [c_void_p, c_char_p, c_void_p, *_OPERANDS, POINTER(c_size_t)]),
    "cosoc_graph_precede": (c_int, [c_void_p, c_size_t, c_size_t]),
    "cosoc_graph_submit": (c_int, [c_void_p, _OUT, c_size_t, _OUT]),
    "cosoc_graph_dot": (c_char_p, [c_void_p]),
    "cosoc_future_wait": (c_int, [c_void_p]),
    "cosoc_future_ended": (c_int, [c_void_p]),
    "cosoc_future_close": (None, [c_void_p]),
}
"""Result and arguments of every function."""


def find_library(soc: Path | None, library: Path | None) -> Path:
    """The given library, or the one that a build wrote beside its `soc.json`.

    Raises:
        CosocError: there is none; the message says how to build it.
    """
    if library is None:
        if soc is None:
            raise CosocError("which build of the runtime? Give soc=DIR, the directory of a build, or library=PATH to libcosoc.so")
        if not soc.exists():
            raise CosocError(f"there is no build {soc}; make one with `./dev scons board=sim`, or name the directory of another")
        directory = soc if soc.is_dir() else soc.parent
        library = directory / "lib" / "libcosoc.so"
    if not library.is_file():
        raise CosocError(f"no runtime library {library}; build one with `./dev scons board=sim`, or give library=PATH")
    return library


class Library:
    """The loaded library: its functions, its errors, and the closing of what it gives.

    Attributes:
        functions: those of `cosoc/cosoc.h`.
    """

    def __init__(self, path: Path) -> None:
        """Loads it.

        Raises:
            CosocError: the file is not a library for this machine.
        """
        try:
            self.functions = ctypes.CDLL(str(path))
        except OSError as error:
            raise CosocError(f"cannot load {path}: {error}") from error
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(self.functions, name)
            function.restype, function.argtypes = result, arguments
        self._thread = threading.local()
        self._waiting: deque[tuple[str, c_void_p]] = deque()

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function that may fail.

        Raises:
            CosocError: it failed; or a kernel calls, while the runtime waits for it.
        """
        if self.in_kernel:
            raise CosocError("a kernel computes on its operands; it cannot call the runtime, which may be waiting for it")
        self._close_waiting()
        if getattr(self.functions, name)(*arguments) != 0:
            raise CosocError(self.functions.cosoc_error().decode())

    @property
    def in_kernel(self) -> bool:
        """Whether this thread runs a kernel for the runtime."""
        return getattr(self._thread, "depth", 0) > 0

    @contextmanager
    def kernel(self) -> Iterator[None]:
        """This thread runs a kernel: garbage that it collects is closed later, since the runtime may hold its locks."""
        self._thread.depth = getattr(self._thread, "depth", 0) + 1
        try:
            yield
        finally:
            self._thread.depth -= 1

    def close(self, name: str, handle: c_void_p, _keeps: object = None) -> None:
        """Closes what the library gave, or leaves that to the next call."""
        if self.in_kernel:
            self._waiting.append((name, handle))
            return
        self._close_waiting()
        getattr(self.functions, name)(handle)

    def _close_waiting(self) -> None:
        while self._waiting:
            name, handle = self._waiting.popleft()
            getattr(self.functions, name)(handle)


class Handle:
    """Something that the library gave, closed with this object or before.

    Args:
        close: name of the function that closes it.
        keeps: what must live until then.
    """

    def __init__(self, library: Library, close: str, pointer: c_void_p, keeps: object = None) -> None:
        self._pointer = pointer
        self._finalizer = weakref.finalize(self, library.close, close, pointer, keeps)

    def use(self, what: str) -> c_void_p:
        """The pointer.

        Raises:
            CosocError: it is closed.
        """
        if not self._finalizer.alive:
            raise CosocError(f"{what} is closed")
        return self._pointer

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Closes it, once."""
        self._finalizer()

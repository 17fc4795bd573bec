"""The shared library of the runtime and the types of its C interface (`cosoc/cosoc.h`)."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import ClassVar


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
    ]


class Buffer(Structure):
    """`cosoc_buffer`: host memory."""

    _fields_: ClassVar = [("data", c_void_p), ("bytes", c_size_t)]


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


def load_library(path: Path) -> ctypes.CDLL:
    """Loads the library and declares its functions.

    Raises:
        CosocError: the file is not a library for this machine.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise CosocError(f"cannot load {path}: {error}") from error
    library.cosoc_error.restype = c_char_p
    library.cosoc_session_open.argtypes = [POINTER(Options), POINTER(c_void_p)]
    library.cosoc_session_close.argtypes = [c_void_p]
    library.cosoc_session_close.restype = None
    library.cosoc_model_load.argtypes = [c_void_p, c_char_p, POINTER(c_void_p)]
    library.cosoc_model_close.argtypes = [c_void_p]
    library.cosoc_model_close.restype = None
    library.cosoc_model_description.argtypes = [c_void_p]
    library.cosoc_model_description.restype = c_char_p
    library.cosoc_model_run.argtypes = [c_void_p, POINTER(Buffer), c_size_t, POINTER(Buffer), c_size_t]
    library.cosoc_model_report.argtypes = [c_void_p]
    library.cosoc_model_report.restype = c_char_p
    library.cosoc_model_tensor.argtypes = [c_void_p, c_char_p, Buffer]
    for name in ("cosoc_session_open", "cosoc_model_load", "cosoc_model_run", "cosoc_model_tensor"):
        getattr(library, name).restype = c_int
    return library


def check(library: ctypes.CDLL, status: int) -> None:
    """Raises what the last call of this thread reported.

    Raises:
        CosocError: `status` is not 0.
    """
    if status != 0:
        raise CosocError(library.cosoc_error().decode())

"""Sessions and models, over the C interface."""

from __future__ import annotations

import ctypes
import json
import os
import weakref
from collections.abc import Mapping, Sequence
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt

from cosoc.runtime.library import Buffer, CosocError, Options, check, find_library, load_library

Array = npt.NDArray[Any]


class TaskRecord(TypedDict):
    """What happened to one node in a run; times count from the opening of the session."""

    name: str
    op: str
    device: str
    start_ns: int
    end_ns: int
    cycles: int
    commands: int
    reason: str


class RunSummary(TypedDict):
    """What happened in a run as a whole."""

    start_ns: int
    end_ns: int
    peak_memory_bytes: int
    quarantined: list[str]


class TensorInfo(TypedDict):
    """What a tensor is; scale and zero point count for int8 and int16 only: real = scale * (stored - zero point)."""

    dtype: str
    shape: list[int]
    scale: float
    zero_point: int
    constant: bool


class Session:
    """One SoC under one scheduler.

    Args:
        soc: `soc.json` or the directory of a build; mode `cpu` does without when `library` is given.
        mode: `cpu`, `rtl`, `functional`, `model` (durations only, outputs are 0) or `board`.
        policy: `RR`, `RANDOM`, `MET`, `EFT`, `ETF`, `HEFT_RT`, `HEFT`, `ENERGY` or `FAIR`, or the path of a shared object with one.
        trace: file for a trace that the Perfetto UI opens.
        library: path of `libcosoc.so`; default: `lib/libcosoc.so` beside `soc.json`.
        memory_bytes: device memory of mode `cpu`.
        cpu_cores: cores to schedule on; default: the SoC's.
        keep_tensors: lets `Model.tensor` read intermediate tensors.

    Raises:
        CosocError: whatever is missing or does not fit.
    """

    def __init__(
        self,
        *,
        soc: str | os.PathLike[str] | None = None,
        mode: str = "functional",
        policy: str = "EFT",
        trace: str | os.PathLike[str] | None = None,
        library: str | os.PathLike[str] | None = None,
        memory_bytes: int = 0,
        cpu_cores: int | None = None,
        keep_tensors: bool = False,
    ) -> None:
        soc_path = None if soc is None else Path(soc)
        self._library = load_library(find_library(soc_path, None if library is None else Path(library)))
        options = Options(
            mode=mode.encode(),
            soc=None if soc_path is None else os.fsencode(soc_path),
            policy=policy.encode(),
            trace=None if trace is None else os.fsencode(trace),
            memory_bytes=memory_bytes,
            cpu_cores=-1 if cpu_cores is None else cpu_cores,
            keep_tensors=keep_tensors,
        )
        self._handle = c_void_p()
        check(self._library, self._library.cosoc_session_open(byref(options), byref(self._handle)))
        self._finalizer = weakref.finalize(self, self._library.cosoc_session_close, self._handle)

    def load(self, bundle: str | os.PathLike[str]) -> Model:
        """Loads a bundle's directory.

        Raises:
            CosocError: the bundle is malformed, does not fit memory, or a node has no device.
        """
        if not self._finalizer.alive:
            raise CosocError("the session is closed")
        handle = c_void_p()
        check(self._library, self._library.cosoc_model_load(self._handle, os.fsencode(bundle), byref(handle)))
        return Model(self._library, handle)

    def close(self) -> None:
        """Closes the session; its models keep working until they are closed too."""
        self._finalizer()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Model:
    """A bundle in device memory; made by `Session.load`.

    Attributes:
        name: the graph's name.
        inputs: names of the input tensors, in order.
        outputs: names of the output tensors, in order.
        tensors: what every tensor is, by name.
    """

    def __init__(self, library: ctypes.CDLL, handle: c_void_p) -> None:
        self._library = library
        self._handle = handle
        self._finalizer = weakref.finalize(self, library.cosoc_model_close, handle)
        description = json.loads(library.cosoc_model_description(handle))
        self.name: str = description["name"]
        self.inputs: list[str] = description["inputs"]
        self.outputs: list[str] = description["outputs"]
        self.tensors: dict[str, TensorInfo] = description["tensors"]

    def run(self, inputs: Mapping[str, Array] | Sequence[Array]) -> list[Array]:
        """Runs once, on arrays by name or in order; the outputs in order.

        Raises:
            CosocError: names, shapes or dtypes differ from the graph's, or the run failed.
        """
        self._check_open()
        given = self._by_order(inputs)
        arrays = [self._checked(name, array) for name, array in zip(self.inputs, given, strict=True)]
        results = [self._empty(name) for name in self.outputs]
        check(
            self._library,
            self._library.cosoc_model_run(self._handle, _buffers(arrays), len(arrays), _buffers(results), len(results)),
        )
        return results

    def report(self) -> list[TaskRecord]:
        """What happened to each node in the last run, in the graph's order."""
        return cast(list[TaskRecord], self._report()["tasks"])

    def summary(self) -> RunSummary:
        """What happened in the last run as a whole."""
        report = self._report()
        del report["tasks"]
        return cast(RunSummary, report)

    def tensor(self, name: str) -> Array:
        """A tensor of the last run, int8 and int16 values as stored; intermediate ones need a session with `keep_tensors`.

        Raises:
            CosocError: there is no such tensor, or its memory is shared.
        """
        self._check_open()
        if name not in self.tensors:
            raise CosocError(f"graph {self.name} has no tensor {name}")
        array = self._empty(name)
        check(self._library, self._library.cosoc_model_tensor(self._handle, name.encode(), _buffer(array)))
        return array

    @property
    def feature_maps(self) -> list[str]:
        """Names of the int8 and int16 tensors that nodes make, in the graph's order; shapes are (N, H, W, C)."""
        return [name for name, info in self.tensors.items() if info["dtype"] in ("int8", "int16") and not info["constant"]]

    def close(self) -> None:
        """Gives the model's device memory back."""
        self._finalizer()

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise CosocError(f"model {self.name} is closed")

    def _report(self) -> dict[str, Any]:
        self._check_open()
        return cast(dict[str, Any], json.loads(self._library.cosoc_model_report(self._handle)))

    def _by_order(self, inputs: Mapping[str, Array] | Sequence[Array]) -> list[Array]:
        if isinstance(inputs, Mapping):
            if set(inputs) != set(self.inputs):
                raise CosocError(f"graph {self.name} has the inputs {', '.join(self.inputs)}; given are {', '.join(inputs)}")
            return [inputs[name] for name in self.inputs]
        if len(inputs) != len(self.inputs):
            raise CosocError(f"graph {self.name} has {len(self.inputs)} inputs ({', '.join(self.inputs)}); given are {len(inputs)}")
        return list(inputs)

    def _checked(self, name: str, array: Array) -> Array:
        expected = self.tensors[name]
        array = np.asarray(array)
        if array.dtype != np.dtype(expected["dtype"]) or list(array.shape) != expected["shape"]:
            raise CosocError(
                f"input {name} of graph {self.name} is {expected['dtype']}{expected['shape']}; "
                f"given is {array.dtype}{list(array.shape)}"
            )
        return np.ascontiguousarray(array)

    def _empty(self, name: str) -> Array:
        tensor = self.tensors[name]
        return np.empty(tensor["shape"], np.dtype(tensor["dtype"]))


def _buffer(array: Array) -> Buffer:
    return Buffer(array.ctypes.data, array.nbytes)


def _buffers(arrays: Sequence[Array]) -> ctypes.Array[Buffer]:
    return (Buffer * len(arrays))(*(_buffer(array) for array in arrays))

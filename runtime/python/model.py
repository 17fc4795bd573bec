"""Models, over the C interface."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from ctypes import c_void_p
from typing import Any, TypedDict, cast

import numpy as np

from cosoc.runtime.client import Future, submit_run
from cosoc.runtime.device_array import DeviceArray
from cosoc.runtime.library import Buffer, CosocError, Handle, Library
from cosoc.runtime.tensors import Array, as_array, like


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


class Model:
    """A bundle in device memory; made by `Session.load`.

    Attributes:
        name: the graph's name.
        inputs: names of the input tensors, in order.
        outputs: names of the output tensors, in order.
        tensors: what every tensor is, by name.
        any_batch: whether `run` takes any number of samples, the first axis of all inputs and outputs.
    """

    def __init__(self, library: Library, handle: c_void_p) -> None:
        self._library = library
        self._handle = Handle(library, "cosoc_model_close", handle)
        description = json.loads(library.functions.cosoc_model_description(handle))
        self.name: str = description["name"]
        self.inputs: list[str] = description["inputs"]
        self.outputs: list[str] = description["outputs"]
        self.any_batch: bool = description["any_batch"]
        self.tensors: dict[str, TensorInfo] = description["tensors"]

    def run(self, inputs: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
        """Runs on NumPy arrays or torch tensors by name or in order; the outputs in order, tensors if any input is one.

        Where `any_batch` is true, any number of samples is cut into batches of the graph's size, the last one filled up. As many
        run at a time as there are devices, or memory for; `report`, `summary` and `tensor` tell of the last of them.

        Raises:
            CosocError: names, shapes or dtypes differ from the graph's, or the run failed.
        """
        given = self._by_order(inputs)
        arrays = [self._checked(name, as_array(value)) for name, value in zip(self.inputs, given, strict=True)]
        samples = {len(array) for array in arrays} if self.any_batch else set()
        if len(samples) > 1:
            raise CosocError(f"inputs of graph {self.name} have batches of {sorted(samples)}; give as many samples of each")
        results = [self._empty(name, *samples) for name in self.outputs]
        self._library.call("cosoc_model_run", self._open(), _buffers(arrays), len(arrays), _buffers(results), len(results))
        return like(results, given)

    def __call__(self, *inputs: Any) -> Any:
        """Runs once, as `run`; the output, or a tuple of the outputs if there are several."""
        results = self.run(inputs)
        return results[0] if len(results) == 1 else tuple(results)

    def submit(self, inputs: Sequence[DeviceArray], outputs: Sequence[DeviceArray], after: Sequence[Future] = ()) -> Future:
        """Submits a run on device arrays; it starts when all of `after` have ended well.

        Calls of clients may follow it. The operands stay in use until it has ended.

        Raises:
            CosocError: the model is closed, or an operand is none. What is wrong besides makes the future fail.
        """
        return submit_run(self._library, self._open(), inputs, outputs, after)

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
        model = self._open()
        if name not in self.tensors:
            raise CosocError(f"graph {self.name} has no tensor {name}")
        array = self._empty(name)
        self._library.call("cosoc_model_tensor", model, name.encode(), _buffer(array))
        return array

    @property
    def feature_maps(self) -> list[str]:
        """Names of the int8 and int16 tensors that nodes make, in the graph's order; shapes are (N, H, W, C)."""
        return [name for name, info in self.tensors.items() if info["dtype"] in ("int8", "int16") and not info["constant"]]

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle.closed

    def close(self) -> None:
        """Gives the model's device memory back."""
        self._handle.close()

    def _open(self) -> c_void_p:
        return self._handle.use(f"model {self.name}")

    def _report(self) -> dict[str, Any]:
        return cast(dict[str, Any], json.loads(self._library.functions.cosoc_model_report(self._open())))

    def _by_order(self, inputs: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
        if isinstance(inputs, Mapping):
            if set(inputs) != set(self.inputs):
                raise CosocError(f"graph {self.name} has the inputs {', '.join(self.inputs)}; given are {', '.join(inputs)}")
            return [inputs[name] for name in self.inputs]
        if len(inputs) != len(self.inputs):
            raise CosocError(f"graph {self.name} has {len(self.inputs)} inputs ({', '.join(self.inputs)}); given are {len(inputs)}")
        return list(inputs)

    def _checked(self, name: str, array: Array) -> Array:
        expected = self.tensors[name]
        first = 1 if self.any_batch and array.ndim and len(array) else 0
        if array.dtype != np.dtype(expected["dtype"]) or list(array.shape[first:]) != expected["shape"][first:]:
            raise CosocError(
                f"input {name} of graph {self.name} is {expected['dtype']}{expected['shape']}; "
                f"given is {array.dtype}{list(array.shape)}" + (", of which the first may differ" if self.any_batch else "")
            )
        return np.ascontiguousarray(array)

    def _empty(self, name: str, *samples: int) -> Array:
        """Room for a tensor, or for so many of its samples."""
        tensor = self.tensors[name]
        return np.empty([*samples, *tensor["shape"][len(samples) :]], np.dtype(tensor["dtype"]))


def _buffer(array: Array) -> Buffer:
    return Buffer(array.ctypes.data, array.nbytes)


def _buffers(arrays: Sequence[Array]) -> ctypes.Array[Buffer]:
    return (Buffer * len(arrays))(*(_buffer(array) for array in arrays))

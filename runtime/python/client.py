"""Calls of kernels one by one, with futures, over the C interface."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_char_p, c_void_p
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from cosoc.runtime.device_array import DeviceArray, Type, handles
from cosoc.runtime.kernel import PythonKernel
from cosoc.runtime.library import CosocError, Handle, Implementation, Kernel, Library, Signature, TensorType
from cosoc.runtime.tensors import as_array


class Future:
    """The end of a submitted call or run; may be forgotten before."""

    def __init__(self, library: Library, handle: c_void_p, kernels: Sequence[PythonKernel] = ()) -> None:
        self._library = library
        self._handle = Handle(library, "cosoc_future_close", handle)
        self._kernels = kernels

    @property
    def handle(self) -> c_void_p:
        """For calls that follow."""
        return self._handle.use("the future")

    @property
    def done(self) -> bool:
        """Whether the call has ended, well or not."""
        return bool(self._library.functions.cosoc_future_ended(self.handle))

    def wait(self) -> None:
        """Blocks until the call has ended.

        Raises:
            CosocError: it failed, or a call that it follows; from the exception of a Python kernel, if that was it.
        """
        with_cause(self._kernels, lambda: self._library.call("cosoc_future_wait", self.handle))


def with_cause(kernels: Sequence[PythonKernel], body: Callable[[], None]) -> None:
    """Runs a body whose failure may be that of a Python kernel."""
    try:
        body()
    except CosocError as error:
        for kernel in kernels:
            if (cause := kernel.take_error(str(error))) is not None:
                raise error from cause
        raise


def followed(after: Sequence[Future]) -> tuple[ctypes.Array[c_void_p], int]:
    for future in after:
        if not isinstance(future, Future):
            raise CosocError(f"after: futures are expected; given is {type(future).__name__}")
    return (c_void_p * len(after))(*(future.handle for future in after)), len(after)


def submit_run(
    library: Library, model: c_void_p, inputs: Sequence[DeviceArray], outputs: Sequence[DeviceArray], after: Sequence[Future]
) -> Future:
    """A run of a model."""
    handle = c_void_p()
    operands = (*handles(inputs, "inputs"), *handles(outputs, "outputs"))
    library.call("cosoc_model_submit", model, *operands, *followed(after), byref(handle))
    return Future(library, handle)


class Call:
    """A kernel for operands of fixed types; made by `Client.prepare` or `Client.kernel`.

    Attributes:
        reason: why no accelerator can run it; empty when one can.
        kernels: the Python kernel that it calls, if it calls one.
    """

    def __init__(self, client: Client, handle: c_void_p, kernel: PythonKernel | None = None) -> None:
        self._client = client
        self._library = client.library
        self._handle = Handle(self._library, "cosoc_call_close", handle)
        self.kernels = () if kernel is None else (kernel,)
        self.reason: str = self._library.functions.cosoc_call_reason(handle).decode()

    @property
    def handle(self) -> c_void_p:
        """For graphs."""
        return self._handle.use("the call")

    def run(self, inputs: Sequence[DeviceArray], outputs: Sequence[DeviceArray]) -> None:
        """A call from start to end.

        Raises:
            CosocError: operands of other types, or the kernel failed.
        """
        operands = (*handles(inputs, "inputs"), *handles(outputs, "outputs"))
        arguments = (self._client.handle, self.handle, *operands)
        with_cause(self.kernels, lambda: self._library.call("cosoc_call_run", *arguments))

    def submit(self, inputs: Sequence[DeviceArray], outputs: Sequence[DeviceArray], after: Sequence[Future] = ()) -> Future:
        """Submits a call that starts when all of `after` have ended well. The operands stay in use until it has ended.

        Raises:
            CosocError: the client is closed, or an operand is none. What is wrong besides makes the future fail.
        """
        operands = (*handles(inputs, "inputs"), *handles(outputs, "outputs"))
        handle = c_void_p()
        arguments = (self._client.handle, self.handle, *operands, *followed(after))
        self._library.call("cosoc_call_submit", *arguments, byref(handle))
        return Future(self._library, handle, self.kernels)


class Client:
    """An application of a session; made by `Session.client`. It may be used by several threads.

    Attributes:
        name: in traces and messages.
    """

    def __init__(self, library: Library, handle: c_void_p, name: str) -> None:
        self.library = library
        self.name = name
        # Functions of kernels live until the client's calls have ended.
        self._kernels: list[PythonKernel] = []
        self._handle = Handle(library, "cosoc_client_close", handle, self._kernels)

    @property
    def handle(self) -> c_void_p:
        """For calls."""
        return self._handle.use(f"client {self.name}")

    def empty(
        self, shape: Sequence[int] | int, dtype: npt.DTypeLike = np.float32, *, scale: float = 1.0, zero_point: int = 0
    ) -> DeviceArray:
        """Zeroed device memory; float32, complex64, int32, int16 or int8, the last two of rank 4 with scale and zero point.

        Raises:
            CosocError: an unknown dtype, an extent below 1, or memory is short.
        """
        extents = (int(shape),) if isinstance(shape, int | np.integer) else tuple(int(extent) for extent in shape)
        kind = Type(dtype, extents, scale, zero_point)
        handle = c_void_p()
        self.library.call("cosoc_memory_allocate", self.handle, byref(kind.native()), byref(handle))
        return DeviceArray(self.library, handle, kind)

    def copy(self, values: Any, *, scale: float = 1.0, zero_point: int = 0) -> DeviceArray:
        """Device memory with a copy of an array or tensor."""
        array = as_array(values)
        result = self.empty(array.shape, array.dtype, scale=scale, zero_point=zero_point)
        result.array[...] = array
        return result

    def wrap(self, values: Any) -> DeviceArray:
        """The memory of a NumPy array or torch tensor itself. CPU cores work on it in place, accelerators on a copy.

        Raises:
            CosocError: the array is not contiguous, or read-only, or a feature map whose pixels take no multiple of 16 bytes.
        """
        array = as_array(values)
        if not array.flags.c_contiguous or not array.flags.writeable:
            raise CosocError(f"only a writeable C-contiguous array can be wrapped; strides are {array.strides}: use copy")
        kind = Type(array.dtype, array.shape)
        handle = c_void_p()
        self.library.call("cosoc_memory_wrap", self.handle, byref(kind.native()), array.ctypes.data, array.nbytes, byref(handle))
        return DeviceArray(self.library, handle, kind, array)

    def prepare(
        self,
        operation: str,
        inputs: Sequence[DeviceArray],
        outputs: Sequence[DeviceArray],
        /,
        *,
        name: str | None = None,
        devices: Sequence[str] | None = None,
        **attributes: Any,
    ) -> Call:
        """A kernel of the library for operands of the types of these.

        Args:
            operation: as in bundles, such as `fft`, `zip`, `gemm`, `conv2d`.
            name: in traces and messages; default: the operation.
            devices: kinds of devices that may run it, such as `["cpu", "fft"]`; default: all.
            attributes: those of the operation, such as `direction="forward"`.

        Raises:
            CosocError: an unknown operation or attribute, types that do not fit, or no device can run it.
        """
        handle = c_void_p()
        signature = _signature(inputs, outputs, name, devices)
        text = json.dumps(attributes).encode()
        self.library.call("cosoc_call_prepare", self.handle, operation.encode(), text, byref(signature), byref(handle))
        return Call(self, handle)

    def kernel(
        self,
        function: Callable[..., object],
        inputs: Sequence[DeviceArray],
        outputs: Sequence[DeviceArray],
        *,
        name: str | None = None,
        operations: int = 0,
        accelerators: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> Call:
        """A Python function as a kernel of CPU cores: `function(*inputs, *outputs)` on NumPy views, the inputs read-only.

        It may run on any thread of the runtime. An exception fails the call. It cannot call the runtime, and the views are
        its own only until it returns.

        Args:
            operations: arithmetic operations of a call, for its expected time.
            accelerators: kernels of the library that do the same on accelerators, by their kinds: `{"zip": {"kernel": "zip",
                "operation": "mul"}}` has the kernel's name, and its attributes as `prepare` takes them.

        Raises:
            CosocError: such a kernel does not exist, or is for operands of other types.
        """
        title = name if name is not None else str(getattr(function, "__name__", "function"))
        kernel = PythonKernel(self.library, function, [array.type for array in inputs], [array.type for array in outputs])
        signature = _signature(inputs, outputs, title, None)
        handle = c_void_p()
        others = (Implementation * len(accelerators))(*map(_implementation, accelerators.items()))
        native = Kernel(title.encode(), kernel.native, None, operations, others, len(others))
        self.library.call("cosoc_call_prepare_function", self.handle, byref(native), byref(signature), byref(handle))
        self._kernels.append(kernel)
        return Call(self, handle, kernel)

    def wait(self) -> None:
        """Blocks until all calls so far have ended.

        Raises:
            CosocError: one of them failed; the first such error since the last wait.
        """
        self.library.call("cosoc_client_wait", self.handle)

    @property
    def now_ns(self) -> int:
        """The session's clock, which counts from its opening."""
        return int(self.library.functions.cosoc_client_now_ns(self.handle))

    def close(self) -> None:
        """Blocks until the client's calls have ended."""
        self._handle.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _implementation(item: tuple[str, Mapping[str, Any]]) -> Implementation:
    device, attributes = item
    if "kernel" not in attributes:
        raise CosocError(f"accelerators: for {device} the name of a kernel is expected under 'kernel'; given is {dict(attributes)}")
    others = {name: value for name, value in attributes.items() if name != "kernel"}
    return Implementation(device.encode(), attributes["kernel"].encode(), json.dumps(others).encode())


def _signature(
    inputs: Sequence[DeviceArray], outputs: Sequence[DeviceArray], name: str | None, devices: Sequence[str] | None
) -> Signature:
    handles(inputs, "inputs")
    handles(outputs, "outputs")
    types = [(TensorType * len(arrays))(*(array.type.native() for array in arrays)) for arrays in (inputs, outputs)]
    kinds = None if devices is None else (c_char_p * len(devices))(*(device.encode() for device in devices))
    wrapped = any(array.is_wrapped for array in (*inputs, *outputs))
    title = None if name is None else name.encode()
    count = 0 if devices is None else len(devices)
    return Signature(types[0], len(inputs), types[1], len(outputs), title, kinds, count, wrapped)

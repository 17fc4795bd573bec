"""Memory that CPU cores and accelerators share, seen as NumPy arrays and torch tensors without copies."""

from __future__ import annotations

import ctypes
import math
from ctypes import c_char, c_int64, c_void_p
from typing import Any

import numpy as np
import numpy.typing as npt

from cosoc.runtime.library import CosocError, Handle, Library, TensorType
from cosoc.runtime.tensors import Array, as_tensor

PIXEL_WORD_BYTES = 16
"""Every pixel of a feature map takes a multiple of this."""


def view_storage(address: int, size: int, dtype: npt.DTypeLike, shape: tuple[int, ...], owner: object) -> Array:
    """The stored values as an array that keeps `owner`; feature maps (int8 or int16 of rank 4) have padding behind each pixel."""
    data = (c_char * size).from_address(address)
    data._owner = owner  # type: ignore[attr-defined]
    kind = np.dtype(dtype)
    flat: Array = np.frombuffer(memoryview(data), np.uint8)
    if len(shape) != 4 or kind.kind != "i" or kind.itemsize > 2:
        return flat.view(kind).reshape(shape)
    pitch = size // math.prod(shape[:3])
    strides = (shape[1] * shape[2] * pitch, shape[2] * pitch, pitch, kind.itemsize)
    return np.ndarray(shape, kind, flat, strides=strides)


class Type:
    """What lies in memory: dtype, shape, and for int8 and int16 scale and zero point."""

    def __init__(self, dtype: npt.DTypeLike, shape: tuple[int, ...], scale: float = 1.0, zero_point: int = 0) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = shape
        self.scale = scale
        self.zero_point = zero_point

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    def native(self) -> TensorType:
        """As `cosoc_type`."""
        extents = (c_int64 * len(self.shape))(*self.shape)
        return TensorType(self.dtype.name.encode(), extents, len(self.shape), self.scale, self.zero_point)


class DeviceArray:
    """An array in device memory, or one of the program's own (`Client.wrap`); made by a `Client`.

    Attributes:
        type: dtype, shape, scale and zero point.
        is_wrapped: whether it is memory of the program.
    """

    def __init__(self, library: Library, handle: c_void_p, kind: Type, keeps: object = None) -> None:
        self._handle: Handle | None = Handle(library, "cosoc_memory_close", handle, keeps)
        self._library = library
        self.type = kind
        self.is_wrapped = keeps is not None

    @property
    def handle(self) -> c_void_p:
        """For calls.

        Raises:
            CosocError: it is closed.
        """
        if self._handle is None:
            raise CosocError(f"the device array {self.type} is closed")
        return self._handle.use(f"the device array {self.type}")

    @property
    def array(self) -> Array:
        """A NumPy array over the memory, which lives as long as any such view.

        Raises:
            CosocError: the device array is closed.
        """
        storage = self._library.functions.cosoc_memory_storage(self.handle)
        return view_storage(storage.data, storage.bytes, self.type.dtype, self.type.shape, self._handle)

    @property
    def tensor(self) -> Any:
        """A torch tensor over the memory."""
        return as_tensor(self.array)

    def close(self) -> None:
        """Nothing can be done with it any more. The memory is given back when no call and no view uses it."""
        self._handle = None

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        array = self.array
        if dtype is None or np.dtype(dtype) == array.dtype:
            return array.copy() if copy else array
        if copy is False:
            raise ValueError(f"a {self.type} as {np.dtype(dtype)} needs a copy")
        return array.astype(dtype)

    def __repr__(self) -> str:
        return f"DeviceArray({self.type})"


def handles(arrays: object, what: str) -> tuple[ctypes.Array[c_void_p], int]:
    """Device arrays for a call.

    Raises:
        CosocError: something else is among them.
    """
    if isinstance(arrays, DeviceArray) or not isinstance(arrays, list | tuple):
        raise CosocError(f"{what}: a list of device arrays is expected; given is {type(arrays).__name__}")
    for array in arrays:
        if not isinstance(array, DeviceArray):
            raise CosocError(
                f"{what}: a device array is expected, as Client.empty, copy and wrap make it; given is {type(array).__name__}"
            )
    return (c_void_p * len(arrays))(*(array.handle for array in arrays)), len(arrays)

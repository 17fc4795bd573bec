"""NumPy arrays and torch tensors over the same memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from cosoc.runtime.library import CosocError

Array = npt.NDArray[Any]


def is_torch(value: object) -> bool:
    """Whether a value is a torch tensor; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def as_array(value: Any) -> Array:
    """A NumPy array over the memory of an array or of a torch tensor on the CPU, without a copy; other values are converted.

    Raises:
        CosocError: a tensor on another device, or of a type that NumPy has not.
    """
    if not is_torch(value):
        return np.asarray(value)
    if value.device.type != "cpu":
        raise CosocError(f"the tensor is on {value.device}; give one on the CPU, as tensor.cpu() makes it")
    try:
        array: Array = value.detach().resolve_conj().resolve_neg().numpy()
    except TypeError as error:
        raise CosocError(
            f"NumPy has no type like {value.dtype}; convert the tensor to float32, complex64, int32, int16 or int8"
        ) from error
    return array


def as_tensor(array: Array) -> Any:
    """A torch tensor over the memory of an array."""
    import torch

    return torch.from_numpy(array)


def like(arrays: list[Array], given: Iterable[object]) -> list[Any]:
    """Arrays as they are, or as torch tensors over the same memory if any of `given` is one."""
    return [as_tensor(array) for array in arrays] if any(is_torch(value) for value in given) else list(arrays)

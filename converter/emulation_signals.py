"""Operations on signals as an FFT and a ZIP accelerator compute them, bit by bit; transforms that none may run are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosoc.converter.errors import EmulationError
from cosoc.converter.ir import Graph, Node
from cosoc.gateware.arith.golden import complex_multiply
from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.golden import split_real, transform
from cosoc.gateware.zip import golden as zip_golden
from cosoc.gateware.zip.config import ZIPOperation

Array = NDArray[Any]

MIN_COLUMNS, MAX_COLUMNS = 4, 32
"""Columns of a matrix that one frame has, by the driver's choice (software/drivers/fft/call.cpp)."""


def accelerated(config: FFTConfig, node: Node, x: Array) -> bool:
    """Whether an accelerator may run a node, whose first operand is given."""
    if node.op not in ("fft", "fft_multiply"):
        return node.devices != ("cpu",)
    return "fft" in node.devices and interleave_of(config, x, node.attributes.get("axis", x.ndim - 1)) is not None


def fft(config: FFTConfig, graph: Graph, node: Node, x: Array) -> Array:
    """One axis transformed; with the bits of an accelerator of these parameters where one may run the node."""
    axis, inverse = node.attributes.get("axis", x.ndim - 1), node.attributes["direction"] == "inverse"
    interleave_log2 = interleave_of(config, x, axis) if "fft" in node.devices else None
    if interleave_log2 is None:
        result: Array = (torch.fft.ifft if inverse else torch.fft.fft)(torch.from_numpy(x), dim=axis).numpy()
        return result
    rows = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    found = transform(rows.reshape(-1, rows.shape[-1]), inverse, interleave_log2=interleave_log2, config=config)
    return np.ascontiguousarray(np.moveaxis(found.reshape(rows.shape), -1, axis))


def interleave_of(config: FFTConfig, x: Array, axis: int) -> int | None:
    """log2 of the columns that pass through the accelerator together, on which some roundings depend; None where it takes none."""
    columns = x[(0,) * (axis + 1)].size
    if columns == 1:
        return 0
    together = min(columns & -columns, MAX_COLUMNS, (1 << config.max_log2) // x.shape[axis])
    return together.bit_length() - 1 if together >= MIN_COLUMNS else None


def rfft(config: FFTConfig, graph: Graph, node: Node, x: Array) -> Array:
    """The last axis of a real signal transformed, likewise."""
    if "fft" not in node.devices:
        result: Array = torch.fft.rfft(torch.from_numpy(x)).numpy()
        return result
    halves = np.ascontiguousarray(x).view(np.complex64)
    bins = split_real(transform(halves.reshape(-1, halves.shape[-1]), inverse=False, config=config))
    return bins.reshape(*x.shape[:-1], -1)


def fft_multiply(config: FFTConfig, graph: Graph, node: Node, x: Array, factor: Array) -> Array:
    """A transform, and its product with a tensor of the same shape or of the last axes."""
    product: Array = complex_multiply(
        fft(config, graph, node, x),
        np.ascontiguousarray(np.broadcast_to(factor, x.shape)),
        conjugate=node.attributes["operation"] == "conjugate_mul",
    )
    return product


def zip_signals(config: FFTConfig, graph: Graph, node: Node, *operands: Array) -> Array:
    """Element-wise arithmetic."""
    name = node.attributes["operation"].upper()
    if name == "SCALE":
        raise EmulationError(f"node {node.name}: zip with a constant factor is not emulated")
    operation = ZIPOperation[f"REAL_{name}" if operands[0].dtype == np.float32 else name]
    return zip_golden.apply(operation, *operands)


OPERATIONS: dict[str, Callable[..., Array]] = {"fft": fft, "rfft": rfft, "fft_multiply": fft_multiply, "zip": zip_signals}

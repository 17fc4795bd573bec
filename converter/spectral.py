"""Convolutions along rows with many taps as products of spectra, on FFT and ZIP, where the cost model says that it pays."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.fx import GraphModule, Node
from torch.nn.functional import pad

from cosoc.converter import fx
from cosoc.converter.bundle import Bundle
from cosoc.converter.checks import Inputs
from cosoc.converter.dense.linear import widened
from cosoc.converter.estimate import estimate
from cosoc.converter.lower import lower
from cosoc.converter.passes import passes, run_passes
from cosoc.converter.placement import kernel_obstacle
from cosoc.converter.quantize import Quantized
from cosoc.converter.rewrite import prepared
from cosoc.converter.signals import Transforms
from cosoc.gateware.fft.config import MIN_LOG2, NumberFormat
from cosoc.gateware.zip.config import MAX_REPEATED_BYTES

aten = torch.ops.aten

ROWS = (aten.conv1d.default, aten.conv1d.padding)
IMAGES = (aten.conv2d.default, aten.conv2d.padding)

MIN_TAPS = 12
"""Of convolutions for which both ways are timed; with fewer, transforms never pay."""

MAX_CHANNELS = 8
"""Input channels of a group: each takes a product and a sum of spectra of its own."""


MAX_SPECTRUM = 1 << 20
"""Elements of a spectrum that is there for every pair of frames."""

COMPLEX_BYTES = 8


@dataclass(frozen=True)
class Rows:
    """A convolution along the last axis.

    Attributes:
        weight: float32 (Cout, Cin/groups, K).
        bias: float32 (Cout,), or none.
        padding: zeros before and after.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: int
    padding: tuple[int, int]
    dilation: int
    groups: int

    @property
    def taps(self) -> int:
        """K."""
        return self.weight.shape[2]

    @property
    def span(self) -> int:
        """Samples from the first tap to the last one."""
        return (self.taps - 1) * self.dilation + 1

    def positions(self, samples: int) -> int:
        """Places of the kernel on so many samples, with stride 1."""
        return samples + sum(self.padding) - self.span + 1


def rows_of(module: GraphModule, node: Node) -> Rows | None:
    """What a node computes, where it is a float convolution along rows with constant weights."""
    if node.target not in (*ROWS, *IMAGES) or node.meta["val"].dtype != torch.float32:
        return None
    bound, axes = fx.arguments(node), 1 if node.target in ROWS else 2
    weight, bias = (fx.tensor_of(module, bound[name]) for name in ("weight", "bias"))
    if weight is None or (bound["bias"] is not None and bias is None) or len(fx.shape(node)) != axes + 2:
        return None
    stride, dilation = widened(bound["stride"], axes), widened(bound["dilation"], axes)
    if isinstance(bound["padding"], str):
        extra = [d * (k - 1) if bound["padding"] == "same" else 0 for d, k in zip(dilation, weight.shape[2:], strict=True)]
        padding = [(amount // 2, amount - amount // 2) for amount in extra]
    else:
        padding = [(amount, amount) for amount in widened(bound["padding"], axes)]
    if axes == 2 and (weight.shape[2], stride[0], padding[0]) != (1, 1, (0, 0)):
        return None
    return Rows(weight.reshape(*weight.shape[:2], -1), bias, stride[-1], padding[-1], dilation[-1], bound["groups"])


class Direct(nn.Module):
    """A convolution as it is, (B, Cin, T) to (B, Cout, T')."""

    weight: torch.Tensor

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.rows = rows
        self.register_buffer("weight", rows.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.rows
        x = pad(x, rows.padding) if rows.padding[0] != rows.padding[1] else x
        amount = rows.padding[0] if rows.padding[0] == rows.padding[1] else 0
        return nn.functional.conv1d(x, self.weight, rows.bias, rows.stride, amount, rows.dilation, rows.groups)


class Spectral(nn.Module):
    """The same by overlapping frames of `length` samples, of which the first `length - span + 1` results are kept.

    The weights are real, so two frames are transformed at once: as real and imaginary part.

    Args:
        repeats: the spectrum is kept once, not for all `size[0]` samples and their pairs of frames.
        size: of the input, (B, Cin, T).
    """

    spectrum: torch.Tensor
    shift: torch.Tensor

    def __init__(self, rows: Rows, length: int, size: tuple[int, int, int], repeats: bool) -> None:
        super().__init__()
        self.rows, self.length = rows, length
        outputs, inputs, _ = rows.weight.shape
        spread = torch.zeros(outputs, inputs, length, dtype=torch.float64)
        spread[..., : rows.span : rows.dilation] = rows.weight.double()
        # PyTorch's convolution does not turn its kernel round.
        spectrum = torch.fft.fft(spread).conj().resolve_conj().to(torch.complex64)
        pairs = pairs_of(rows.positions(size[2]), length - rows.span + 1)
        copies = () if repeats else (size[0], pairs)
        by_input = spectrum.transpose(0, 1).reshape(inputs, *(1 for _ in copies), outputs, length)
        self.register_buffer("spectrum", by_input.expand(inputs, *copies, outputs, length).contiguous())
        if rows.bias is not None:
            self.register_buffer("shift", rows.bias.detach().reshape(-1, 1).clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 4:
            batch, channels, height, samples = x.shape
            result = self.filtered(x.transpose(1, 2).reshape(batch * height, channels, samples))
            return result.reshape(batch, height, *result.shape[1:]).transpose(1, 2)
        return self.filtered(x)

    def filtered(self, x: torch.Tensor) -> torch.Tensor:
        """(B, Cin, T) to (B, Cout, T')."""
        rows, length = self.rows, self.length
        batch, channels, samples = x.shape
        kept, positions = length - rows.span + 1, rows.positions(samples)
        pairs = pairs_of(positions, kept)
        whole = (2 * pairs - 1) * kept + length
        frames = pad(x, (rows.padding[0], whole - samples - rows.padding[0])).unfold(2, length, kept)
        numbers = frames.reshape(batch, channels, 2, pairs, length).permute(0, 3, 1, 4, 2).contiguous()
        spectra = torch.fft.fft(torch.view_as_complex(numbers))
        products = self.products(spectra.reshape(batch, pairs, rows.groups, -1, length))
        parts = torch.view_as_real(torch.fft.ifft(products))[:, :, :, :kept]
        result = parts.permute(0, 2, 4, 1, 3).reshape(batch, -1, 2 * pairs * kept)[:, :, : positions : rows.stride]
        return result if rows.bias is None else result + self.shift

    def products(self, spectra: torch.Tensor) -> torch.Tensor:
        """(B, pairs, groups, Cin/groups, length) by the spectrum, summed over the input channels: (B, pairs, Cout, length)."""
        outputs = self.rows.weight.shape[0] // self.rows.groups
        result: torch.Tensor | None = None
        for index, spectrum in enumerate(self.spectrum):
            operand = spectra[:, :, :, index]
            if outputs > 1:
                operand = operand.unsqueeze(3).expand(-1, -1, -1, outputs, -1)
            product = operand.reshape(*spectra.shape[:2], -1, self.length) * spectrum
            result = product if result is None else result + product
        assert result is not None
        return result


def repeated(rows: Rows, length: int, size: tuple[int, int, int], multiplies: bool) -> bool:
    """Whether a spectrum is there once, not for every pair of frames: FFT or ZIP repeats it, or the copies were too large.

    Args:
        multiplies: FFT itself does.
    """
    spectrum = rows.weight.shape[0] * length
    depthwise = rows.weight.shape[1] == 1 and rows.weight.shape[0] == rows.groups
    all_frames = spectrum * size[0] * pairs_of(rows.positions(size[2]), length - rows.span + 1)
    return (multiplies and depthwise) or spectrum * COMPLEX_BYTES <= MAX_REPEATED_BYTES or all_frames > MAX_SPECTRUM


def pairs_of(positions: int, kept: int) -> int:
    """Pairs of frames for so many results, of which each frame gives `kept`."""
    return -(-positions // (2 * kept))


def best_length(rows: Rows, samples: int, max_log2: int) -> int | None:
    """Points of the transforms that make least work; None where the longest is shorter than the kernel."""
    lengths = [1 << log2 for log2 in range(MIN_LOG2, max_log2 + 1) if 1 << log2 >= rows.span]
    positions = rows.positions(samples)
    return min(lengths, key=lambda length: pairs_of(positions, length - rows.span + 1) * length, default=None)


@dataclass
class SpectralConvolutions:
    """A rewrite of the float graph.

    Attributes:
        soc: directory of a build; its cost model decides.
        transforms: what its FFT computes.
        accelerators: that may run nodes.
        is_float: whether a node becomes float in any case; others only where c2d cannot take them.
        notes: a sentence on every convolution that was considered.
    """

    soc: Path
    transforms: Transforms
    accelerators: Collection[str]
    is_float: Callable[[Node], bool]
    notes: list[str] = field(default_factory=list)
    times: dict[object, tuple[int, int]] = field(default_factory=dict)

    def spectral_convolutions(self, module: GraphModule) -> None:
        """Replaces convolutions in place."""
        for node in list(module.graph.nodes):
            rows = rows_of(module, node)
            if rows is None or rows.taps < MIN_TAPS or rows.weight.shape[1] > MAX_CHANNELS:
                continue
            taken = not kernel_obstacle([1, rows.taps], [1, rows.stride], [0, *rows.padding], [1, rows.dilation])
            if self.is_float(node) or not taken:
                self.consider(module, node, rows)

    def consider(self, module: GraphModule, node: Node, rows: Rows) -> None:
        """Replaces one convolution where that is faster."""
        size = fx.shape(node.all_input_nodes[0])
        what = f"{fx.place(node)}, a convolution with {rows.taps} taps"
        length = best_length(rows, size[-1], self.transforms.config.max_log2)
        if length is None:
            longest = 1 << self.transforms.config.max_log2
            self.notes.append(f"{what}, stays one: the SoC's FFT has up to {longest} points, the kernel spans {rows.span}.")
            return
        single = (size[0] * (size[2] if len(size) == 4 else 1), size[1], size[-1])
        repeats = repeated(rows, length, single, bool(self.transforms.config.multiply))
        spectral, x = Spectral(rows, length, single, repeats).eval(), torch.zeros(size)
        key = (single, tuple(rows.weight.shape), rows.bias is None, rows.stride, rows.padding, rows.dilation, rows.groups)
        if key not in self.times:
            self.times[key] = self.time_ns(Direct(rows).eval(), torch.zeros(single)), self.time_ns(spectral, torch.zeros(single))
        direct_ns, spectral_ns = self.times[key]
        times = f"{spectral_ns / 1e6:.3g} ms by transforms of {length} points, {direct_ns / 1e6:.3g} ms without, by the cost model"
        if spectral_ns < direct_ns:
            self.notes.append(f"{what}, becomes transforms and a product, which FFT and ZIP can compute: {times}.")
            inline(module, node, prepared(spectral, (x,), integers=False)[0])
        else:
            self.notes.append(f"{what}, stays one: {times}.")

    def time_ns(self, module: nn.Module, x: torch.Tensor) -> int:
        """How long a module takes on the SoC, in float."""
        inputs: Inputs = (x,)
        graph, _ = prepared(module, inputs, integers=False)
        lowered, constants = lower("spectral", graph, [], Quantized.empty(), self.transforms.real)
        made = run_passes(lowered, passes(dict(constants), self.accelerators, {}, self.transforms))[-1][1]
        return estimate(Bundle(made, constants, ""), self.soc).total_ns


def spectral_of(
    soc: str | Path | None, transforms: Transforms, accelerators: Collection[str], is_float: Callable[[Node], bool]
) -> SpectralConvolutions | None:
    """The rewrite for a SoC; None without one, or without an FFT that computes in float32: integers lose more than PyTorch does."""
    if soc is None or not transforms.present or transforms.config.number_format != NumberFormat.FLOAT32:
        return None
    return SpectralConvolutions(Path(soc), transforms, accelerators, is_float)


def inline(module: GraphModule, node: Node, part: GraphModule) -> None:
    """Puts the operations of a module of one input and one output in the place of a node, which becomes the last of them."""
    values: dict[Node, Node] = {}
    (last,) = (source for source in part.graph.output_node().all_input_nodes)
    for inner in part.graph.nodes:
        if inner.op == "placeholder":
            values[inner] = node.all_input_nodes[0]
        elif inner.op == "get_attr":
            constant = fx.tensor_of(part, inner)
            assert constant is not None
            name = f"{node.name}_{str(inner.target).replace('.', '_')}"
            module.register_buffer(name, constant)
            with module.graph.inserting_before(node):
                values[inner] = module.graph.get_attr(name)
            values[inner].meta["val"] = constant
        elif inner.op == "call_function" and inner is not last:
            with module.graph.inserting_before(node):
                values[inner] = module.graph.node_copy(inner, lambda source: values[source])
            values[inner].meta = {**node.meta, "val": inner.meta["val"]}
    node.target = last.target
    node.args, node.kwargs = torch.fx.node.map_arg((last.args, last.kwargs), lambda source: values[source])

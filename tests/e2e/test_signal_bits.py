"""The emulation of transforms and complex arithmetic has the bits of the accelerators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cosoc.boards.platform import load_platform
from cosoc.boards.soc import SoC
from cosoc.converter import Bundle, ConversionError, convert, emulation
from cosoc.gateware.soc import SoCConfig
from cosoc.runtime import Session


class Filter(nn.Module):
    """Transforms along rows, and along columns of which frames have 4 and 8, with products between them."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = torch.fft.ifft(torch.fft.fft(x) * y)
        return rows.abs(), torch.fft.fft(rows, dim=1), torch.fft.ifft(rows[..., :4], dim=1)


class Spectra(nn.Module):
    """Windowed spectra of real signals."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        frames = torch.stft(x, 64, 32, window=torch.hann_window(64), center=False, return_complex=True)
        return frames, torch.fft.rfft(x[:, :32])


def on_accelerators(bundle: Bundle) -> Bundle:
    """Every node that FFT or ZIP can run runs there."""
    nodes = tuple(replace(node, devices=node.devices[-1:]) for node in bundle.graph.nodes)
    return replace(bundle, graph=replace(bundle.graph, nodes=nodes))


def require_bits(bundle: Bundle, soc: Path, mode: str, inputs: tuple[torch.Tensor, ...], folder: Path) -> None:
    """A run has the bits of the emulation."""
    arrays = [value.numpy() for value in inputs]
    expected = emulation.run(bundle, arrays)
    bundle.save(folder / mode)
    with Session(soc=soc, mode=mode) as session:
        model = session.load(folder / mode)
        found = model.run(arrays)
        assert {record["device"] for record in model.report()} >= {"fft0", "zip0"}
    for name, value in zip(bundle.graph.outputs, found, strict=True):
        assert value.tobytes() == expected[name].tobytes(), f"{name} in mode {mode}"


@pytest.mark.parametrize("mode", ["functional", "rtl"])
def test_transforms_and_products(build: Path, tmp_path: Path, mode: str) -> None:
    x, y = torch.randn(2, 2, 16, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    inputs = x, y
    bundle = on_accelerators(convert(Filter().eval(), inputs, precision="float"))
    assert [node.devices for node in bundle.graph.nodes if node.op == "fft"] == [("fft",)] * 4
    require_bits(bundle, build, mode, inputs, tmp_path)


def test_real_signals_where_the_soc_has_them(build: Path, tmp_path: Path) -> None:
    """The conversion follows the description of the SoC."""
    placed = SoC.place(SoCConfig.make({"fft": 1, "zip": 1}, {"fft_real_input": 1}), load_platform("sim"))
    (tmp_path / "soc.json").write_text(placed.json())
    (tmp_path / "lib").symlink_to(build / "lib")
    inputs = (torch.randn(2, 256, generator=torch.Generator().manual_seed(2)),)
    bundle = on_accelerators(convert(Spectra().eval(), inputs, precision="float", soc=tmp_path))
    assert [node.devices for node in bundle.graph.nodes if node.op == "rfft"] == [("fft",)] * 2
    require_bits(bundle, tmp_path, "functional", inputs, tmp_path)
    short = SoC.place(SoCConfig.make({"fft": 1, "zip": 1}, {"fft_real_input": 1, "fft_max_log2": 4}), load_platform("sim"))
    (tmp_path / "soc.json").write_text(short.json())
    bundle = convert(Spectra().eval(), inputs, precision="float", soc=tmp_path)
    transforms = [node for node in bundle.graph.nodes if node.op == "rfft"]
    lengths = {bundle.graph.tensors[node.inputs[0]].shape[-1]: node.devices for node in transforms}
    assert lengths == {64: ("cpu",), 32: ("cpu", "fft")}, "this FFT transforms up to 32 real samples"
    assert "or the SoC&#x27;s has shorter transforms only" in bundle.report
    plain = convert(Spectra().eval(), inputs, precision="float", soc=build)
    assert {node.op for node in plain.graph.nodes} & {"fft", "rfft"} == {"fft"}
    assert np.isfinite(emulation.run(plain, [inputs[0].numpy()])[plain.graph.outputs[0]]).all()
    with pytest.raises(ConversionError, match="is no build"):
        convert(Spectra().eval(), inputs, precision="float", soc=tmp_path / "nothing")

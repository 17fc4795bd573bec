"""Convolutions with many taps as products of spectra: the same results, only where it pays, on FFT and ZIP, and said why."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cosoc.boards.platform import load_platform
from cosoc.boards.soc import SoC
from cosoc.converter import Bundle, convert, emulation, spectral
from cosoc.converter.arithmetic import Kernels, arithmetic_of
from cosoc.converter.compare import disagreement
from cosoc.gateware.soc import SoCConfig
from cosoc.runtime import Session


@pytest.fixture
def pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transforms are always faster."""
    timed = lambda self, module, x: int(isinstance(module, spectral.Direct))  # noqa: E731
    monkeypatch.setattr(spectral.SpectralConvolutions, "time_ns", timed)


def soc_with(folder: Path, build: Path, **parameters: int) -> Path:
    """A SoC with these parameters beside the runtime of a build."""
    placed = SoC.place(SoCConfig.make({"c2d": 1, "fft": 1, "zip": 1}, parameters), load_platform("sim"))
    folder.mkdir(exist_ok=True)
    (folder / "soc.json").write_text(placed.json())
    (folder / "lib").symlink_to(build / "lib")
    return folder


def operations(bundle: Bundle) -> list[str]:
    return [node.op for node in bundle.graph.nodes if node.op in ("convolution", "conv2d", "fft", "fft_multiply", "zip")]


KINDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "depthwise": (lambda: nn.Conv1d(4, 4, 60, padding=20, groups=4), (2, 4, 900)),
    "strided, dilated": (lambda: nn.Conv1d(2, 6, 25, stride=3, dilation=2), (1, 2, 500)),
    "to several channels": (lambda: nn.Conv1d(1, 3, 33, padding="same", bias=False), (1, 1, 100)),
    "groups": (lambda: nn.Conv1d(4, 8, 64, padding="same", groups=2), (2, 4, 301)),
    "rows of images": (lambda: nn.Conv2d(3, 3, (1, 31), padding=(0, 15), groups=3), (2, 3, 5, 200)),
    "as long as a frame": (lambda: nn.Conv1d(1, 1, 64), (1, 1, 64)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_pytorchs(build: Path, pays: None, kind: str) -> None:
    make, shape = KINDS[kind]
    torch.manual_seed(3)
    model, x = make().eval(), torch.randn(shape)
    bundle = convert(model, x, precision="float", soc=build)
    assert "convolution" not in operations(bundle)
    assert operations(bundle).count("fft") == 2
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        expected = model(x)
    found = emulation.run(bundle, x.numpy())[bundle.graph.outputs[0]]
    assert disagreement(found, expected) < 1e-5


def test_the_kernel_that_stays(build: Path, pays: None, tmp_path: Path) -> None:
    """Few taps, many channels, two axes, computed weights, no FFT, or one that is too short or not exact enough."""
    x = torch.randn(1, 16, 300)
    for model in (nn.Conv1d(16, 16, 11, groups=16), nn.Conv1d(16, 4, 40), nn.ConvTranspose1d(16, 16, 40, groups=16)):
        assert "fft" not in operations(convert(model.eval(), x, precision="float", soc=build))
    image = torch.randn(1, 2, 40, 40)
    assert operations(convert(nn.Conv2d(2, 2, 20, groups=2).eval(), image, precision="float", soc=build)) == ["convolution"]
    filters = nn.Conv1d(16, 16, 40, groups=16).eval()
    assert operations(convert(filters, x, precision="float")) == ["convolution"], "no SoC"
    assert operations(convert(filters, x, precision="float", soc=build, accelerators=("c2d", "zip"))) == ["convolution"]
    short = soc_with(tmp_path / "short", build, fft_max_log2=5)
    bundle = convert(filters, x, precision="float", soc=short)
    assert operations(bundle) == ["convolution"]
    assert "a convolution with 40 taps, stays one: the SoC&#x27;s FFT has up to 32 points, the kernel spans 40." in bundle.report
    blocks = soc_with(tmp_path / "blocks", build, fft_number_format=1)
    assert operations(convert(filters, x, precision="float", soc=blocks)) == ["convolution"]


def test_the_cost_model_decides_and_the_report_says_so(build: Path, tmp_path: Path) -> None:
    """A long kernel on a long signal is faster as transforms in a run, too; a short one is not."""
    torch.manual_seed(1)
    cases = {}
    for name, taps, samples in (("long", 512, 16384), ("short", 12, 64)):
        model, x = nn.Sequential(nn.Conv1d(4, 4, taps, groups=4)).eval(), torch.randn(1, 4, samples)
        cases[name] = model, x, convert(model, x, precision="float", soc=build)
    model, x, bundle = cases["long"]
    assert operations(bundle) == ["fft", "zip", "fft"]
    assert "0, a convolution with 512 taps, becomes transforms and a product, which FFT and ZIP can compute: " in bundle.report
    assert " ms without, by the cost model." in bundle.report
    assert operations(cases["short"][2]) == ["convolution"]
    assert "0, a convolution with 12 taps, stays one: " in cases["short"][2].report
    spans = []
    for made in (bundle, convert(model, x, precision="float")):
        made.save(tmp_path / "bundle")
        with Session(soc=build, mode="functional") as session:
            loaded = session.load(tmp_path / "bundle")
            (found,) = loaded.run([x.numpy()])
            report = loaded.report()
        with torch.no_grad():
            assert disagreement(found, model(x)) < 1e-3
        spans.append(max(task["end_ns"] for task in report) - min(task["start_ns"] for task in report))
    assert spans[0] < spans[1]
    nodes = tuple(replace(node, devices=node.devices[-1:]) for node in bundle.graph.nodes)
    placed = replace(bundle, graph=replace(bundle.graph, nodes=nodes))
    placed.save(tmp_path / "bundle")
    with Session(soc=build, mode="functional") as session:
        loaded = session.load(tmp_path / "bundle")
        (found,) = loaded.run([x.numpy()])
        assert [task["device"] for task in loaded.report() if task["op"] in ("fft", "zip")] == ["fft0", "zip0", "fft0"]
    with torch.no_grad():
        assert disagreement(found, model(x)) < 1e-3


def test_in_an_int8_model_only_what_c2d_cannot_take(build: Path, pays: None) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.short, self.long = nn.Conv1d(2, 2, 100, groups=2), nn.Conv1d(2, 2, 200, groups=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.long(torch.relu(self.short(x)))
            return result

    torch.manual_seed(2)
    model, x = Two().eval(), torch.randn(1, 2, 500)
    bundle = convert(model, x, calibration=torch.randn(16, 2, 500), soc=build)
    assert operations(bundle) == ["conv2d", "fft", "zip", "fft"]
    with torch.no_grad():
        assert disagreement(emulation.run(bundle, x.numpy())[bundle.graph.outputs[0]], model(x)) < 0.1
    assert operations(convert(model, x, precision={"short": "float"}, soc=build)) == ["fft", "zip", "fft", "fft", "zip", "fft"]


def test_the_product_in_the_transform_where_fft_has_it(build: Path, pays: None, tmp_path: Path) -> None:
    soc = soc_with(tmp_path / "soc", build, fft_multiply=1, fft_max_log2=6)
    torch.manual_seed(4)
    model, x = nn.Conv1d(3, 3, 40, groups=3).eval(), torch.randn(2, 3, 400)
    bundle = convert(model, x, precision="float", soc=soc)
    assert operations(bundle) == ["fft_multiply", "fft"]
    assert {bundle.graph.tensors[node.inputs[0]].shape[-1] for node in bundle.graph.nodes if "fft" in node.op} == {64}
    bundle.save(tmp_path / "bundle")
    expected = emulation.run(bundle, x.numpy(), arithmetic=arithmetic_of(soc))
    with Session(soc=soc, mode="functional", keep_tensors=True) as session:
        loaded = session.load(tmp_path / "bundle")
        loaded.run([x.numpy()])
        assert {task["device"] for task in loaded.report() if "fft" in task["op"]} == {"fft0"}
        for node in bundle.graph.nodes:
            assert loaded.tensor(node.outputs[0]).tobytes() == np.asarray(expected[node.outputs[0]]).tobytes(), node.name
    with torch.no_grad():
        assert disagreement(expected[bundle.graph.outputs[0]], model(x)) < 1e-5


def test_complex_numbers_of_a_transposed_value() -> None:
    """`contiguous()` before view_as_complex is no identity."""

    class Turned(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.view_as_complex(x.transpose(1, 2).contiguous()).abs()

    x = torch.randn(3, 2, 5)
    bundle = convert(Turned().eval(), x, precision="float")
    found = emulation.run(bundle, x.numpy())[bundle.graph.outputs[0]]
    np.testing.assert_allclose(found, Turned()(x).numpy(), rtol=1e-6)


def test_on_the_rtl(build: Path, pays: None, tmp_path: Path) -> None:
    """The default FFT and ZIP, in RTL: every tensor has the bits of the emulation."""
    torch.manual_seed(6)
    model, x = nn.Conv1d(2, 2, 40, groups=2).eval(), torch.randn(1, 2, 200)
    bundle = convert(model, x, precision="float", soc=build)
    assert operations(bundle) == ["fft", "zip", "fft"]
    nodes = tuple(replace(node, devices=node.devices[-1:]) for node in bundle.graph.nodes)
    replace(bundle, graph=replace(bundle.graph, nodes=nodes)).save(tmp_path / "bundle")
    with Kernels(build) as kernels:
        expected = emulation.run(bundle, x.numpy(), arithmetic=arithmetic_of(build, kernels))
    with Session(soc=build, mode="rtl", keep_tensors=True) as session:
        loaded = session.load(tmp_path / "bundle")
        loaded.run([x.numpy()])
        assert [task["device"] for task in loaded.report() if task["op"] in ("fft", "zip")] == ["fft0", "zip0", "fft0"]
        for node in bundle.graph.nodes:
            assert loaded.tensor(node.outputs[0]).tobytes() == np.asarray(expected[node.outputs[0]]).tobytes(), node.name
    with torch.no_grad():
        assert disagreement(expected[bundle.graph.outputs[0]], model(x)) < 1e-5

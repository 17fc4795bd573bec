"""The emulation with the floats of a SoC: its FFT's parameters, and the runtime's kernels for dense tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from cosoc.boards.platform import load_platform
from cosoc.boards.soc import SoC
from cosoc.cli.main import app
from cosoc.converter import ConversionError, convert, emulation
from cosoc.converter.arithmetic import Kernels, arithmetic_of
from cosoc.gateware.soc import SoCConfig
from cosoc.runtime import Session

MODEL = """
import torch
from torch import nn
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.head = nn.Conv1d(3, 16, 5), nn.LayerNorm(28), nn.Linear(28, 40)
        self.cell = nn.GRU(40, 24, batch_first=True)
    def forward(self, x):
        y = self.cell(nn.functional.gelu(self.head(self.norm(self.first(x)))))[0]
        return torch.softmax(y, -1), torch.fft.fft(y).abs(), torch.fft.rfft(y[..., :17]).abs()
"""


@pytest.fixture
def model() -> nn.Module:
    names: dict[str, type[nn.Module]] = {}
    exec(MODEL, names)
    return names["Model"]().eval()


def test_every_bit_of_dense_operations(build: Path, tmp_path: Path, model: nn.Module) -> None:
    """Convolution, products, normalization, recurrence, transcendental functions, and transforms that no FFT takes."""
    x = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(1))
    bundle = convert(model, x, precision="float")
    bundle.save(tmp_path / "bundle")
    with Kernels(build) as kernels:
        arithmetic = arithmetic_of(build, kernels)
        expected = [emulation.run(bundle, x.numpy(), arithmetic=arithmetic) for _ in range(2)][1]
    with Session(soc=build, mode="functional", keep_tensors=True) as session:
        loaded = session.load(tmp_path / "bundle")
        loaded.run([x.numpy()])
        names = [name for node in bundle.graph.nodes for name in node.outputs]
        different = [name for name in names if loaded.tensor(name).tobytes() != expected[name].tobytes()]
    assert different == []


def test_the_number_format_of_the_transforms(build: Path, tmp_path: Path) -> None:
    placed = SoC.place(SoCConfig.make({"fft": 1, "zip": 1}, {"fft_number_format": 1, "fft_max_log2": 7}), load_platform("sim"))
    (tmp_path / "soc.json").write_text(placed.json())
    (tmp_path / "lib").symlink_to(build / "lib")

    class Filter(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
            rows = torch.fft.ifft(torch.fft.fft(x) * y)
            return rows, torch.fft.fft(x, dim=1)

    x, y = torch.randn(2, 2, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    bundle = convert(Filter().eval(), (x, y), precision="float", soc=tmp_path, force={"_fft_c2c": "fft", "mul": "zip"})
    inputs = [x.numpy(), y.numpy()]
    exact, blocks = emulation.run(bundle, inputs), emulation.run(bundle, inputs, arithmetic=arithmetic_of(tmp_path))
    bundle.save(tmp_path / "bundle")
    with Session(soc=tmp_path, mode="functional") as session:
        found = session.load(tmp_path / "bundle").run(inputs)
    for name, value in zip(bundle.graph.outputs, found, strict=True):
        assert value.tobytes() == blocks[name].tobytes() != exact[name].tobytes()


def test_check_with_the_kernels_of_a_build(build: Path, tmp_path: Path, model: nn.Module) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    convert(model, torch.randn(1, 3, 32), precision="float").save(tmp_path / "bundle")
    command = ["check", str(tmp_path / "bundle"), f"{tmp_path}/model.py:Model"]
    plain, kernels = (CliRunner().invoke(app, [*command, *more]) for more in ([], ["--soc", str(build)]))
    assert plain.exit_code == kernels.exit_code == 0, kernels.output
    assert plain.output != kernels.output, "PyTorch's operations are exact, the runtime's kernels differ in last bits"
    missing = CliRunner().invoke(app, [*command, "--soc", str(tmp_path / "none")])
    assert missing.exit_code == 1
    assert "no kernels of" in missing.output


def test_no_such_build(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="is no build"):
        arithmetic_of(tmp_path)

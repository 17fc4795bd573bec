"""The CPU's kernels with fewer instructions: on emulated processors without AVX2 and without AVX-512, beside this machine's."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cosoc.converter import Bundle, convert
from tests.converter.models import SmallResNet, samples
from tests.e2e.test_signal_bits import Filter
from tests.e2e.test_user_models import rows

Arrays = dict[str, np.ndarray[Any, Any]]

OLD = ["qemu-x86_64", "-cpu", "Nehalem"]
"""A processor with SSE4.2 only."""

WITH_AVX2 = ["qemu-x86_64", "-cpu", "Haswell"]
"""One with AVX2, but without AVX-512."""

RUN = """
import sys
import numpy as np
from numpy._core._multiarray_umath import __cpu_features__
from cosoc.runtime import Session
library, bundle, inputs, outputs = sys.argv[1:]
with Session(mode="cpu", library=library, cpu_cores=1, keep_tensors=True) as session:
    model = session.load(bundle)
    model.run(list(np.load(inputs).values()))
    made = [name for name, info in model.tensors.items() if not info["constant"] and name not in model.inputs]
    np.savez(outputs, **{name: model.tensor(name) for name in made})
print(__cpu_features__["AVX2"])
"""
"""Runs a bundle and writes every tensor that a node makes."""

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="AVX2 is x86's"),
    pytest.mark.timeout(300),
]


class Floats(nn.Module):
    """Layers and functions of dense tensors that are compiled for several instruction sets."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.depthwise = nn.Conv2d(8, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.pointwise, self.large = nn.Conv2d(32, 16, 1), nn.Conv2d(16, 8, 5, stride=2)
        self.gru, self.lstm = nn.GRU(16, 24, batch_first=True), nn.LSTM(24, 16, batch_first=True)
        self.head = nn.Linear(16, 40)
        self.halved = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        image = self.pointwise(torch.nn.functional.silu(self.depthwise(self.wide(x))))
        words = self.gru(image.flatten(2).transpose(1, 2)[:, :20])[0]
        words = self.lstm(words)[0]
        mixed = torch.nn.functional.scaled_dot_product_attention(words, words, words)
        scores = torch.softmax(self.head(torch.nn.functional.gelu(mixed)), -1)
        angles = torch.atan2(words, mixed) + torch.fmod(words, 0.3) + torch.nn.functional.softplus(mixed)
        small = torch.nn.functional.elu(self.halved(torch.sigmoid(x)))
        large = torch.nn.functional.interpolate(small, scale_factor=2.0, mode="bilinear")
        return self.large(torch.nn.functional.max_pool2d(image, 2, 1)), scores, angles, large, large.mean((2, 3))


def runs(
    bundle: Bundle, inputs: tuple[torch.Tensor, ...], build: Path, folder: Path, emulator: Sequence[str] = OLD
) -> tuple[Arrays, Arrays]:
    """Every tensor on this machine, and on the emulated one."""
    bundle.save(folder / "bundle")
    np.savez(folder / "inputs.npz", *(value.numpy() for value in inputs))
    (folder / "run.py").write_text(RUN)
    arguments = [folder / "run.py", build / "lib" / "libcosoc.so", folder / "bundle", folder / "inputs.npz"]
    own: list[Any] = [sys.executable]
    # The interpreter finds the environment by the name that it is called by.
    old: list[Any] = [*emulator, "-0", sys.executable, Path(sys.executable).resolve()]
    found = []
    for name, interpreter in (("own", own), ("old", old)):
        command = [*interpreter, *arguments, folder / f"{name}.npz"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
        assert done.returncode == 0, done.stderr
        if name == "own" and done.stdout.strip() != "True":
            pytest.skip("this machine has no AVX2")
        assert done.stdout.strip() == str(name == "own" or emulator == WITH_AVX2)
        found.append(dict(np.load(folder / f"{name}.npz")))
    return found[0], found[1]


@pytest.mark.parametrize(("make", "shape"), [(SmallResNet, (3, 24, 24)), (rows, (3, 40))], ids=["images", "rows"])
def test_integers_have_the_same_bits(build: Path, tmp_path: Path, make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    data = samples((2, *shape), 16, 0)
    bundle = convert(make().eval(), data[:2], calibration=data)
    own, old = runs(bundle, (data[:2],), build, tmp_path)
    assert len(own) == len(bundle.graph.nodes)
    assert [name for name, value in own.items() if value.tobytes() != old[name].tobytes()] == []


def test_signals_have_the_same_bits(build: Path, tmp_path: Path) -> None:
    x, y = torch.randn(2, 2, 16, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    own, old = runs(convert(Filter().eval(), (x, y), precision="float"), (x, y), build, tmp_path)
    assert [name for name, value in own.items() if value.tobytes() != old[name].tobytes()] == []


@pytest.mark.parametrize("emulator", [OLD, WITH_AVX2], ids=["without AVX2", "without AVX-512"])
def test_floats_differ_by_rounding(build: Path, tmp_path: Path, emulator: list[str]) -> None:
    """Products and sums in one instruction round once; without AVX2 there are none. Wider vectors sum in the same order."""
    torch.manual_seed(2)
    model, x = Floats().eval(), torch.randn(2, 8, 14, 14)
    own, old = runs(convert(model, x, precision="float"), (x,), build, tmp_path, emulator)
    different = [name for name, value in own.items() if value.tobytes() != old[name].tobytes()]
    assert len(different) > 5 or emulator != OLD, "both ran the same code"
    for name, value in own.items():
        np.testing.assert_allclose(old[name], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=name)


@pytest.mark.parametrize("emulator", [OLD, WITH_AVX2], ids=["without AVX2", "without AVX-512"])
def test_xnnpack_touches_nothing_beside_its_operands(build: Path, emulator: list[str]) -> None:
    """Its kernels for these processors read further behind the end of their operands than those for AVX-512."""
    command = [*emulator, build / "bin" / "test-software", "[xnnpack]"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All tests passed" in done.stdout

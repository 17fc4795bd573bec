"""Precision of layers: int16 and float inside int8 models, and the search for the cheapest assignment that keeps the accuracy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cosoc.converter import AccuracyWarning, ConversionError, emulation
from cosoc.converter.agreement import Likeness, checked_likeness, measured_likeness
from cosoc.converter.convert import Conversion, convert_in_detail
from cosoc.converter.search import Built, Search
from cosoc.runtime import Session
from tests.converter.models import Chain, Residual, converted, samples


class Counted(Search):
    """A search over made-up accuracies, which counts what it tries."""

    def __init__(self, gains: Mapping[tuple[str, str], float], least: float) -> None:
        super().__init__(lambda _: pytest.fail("nothing is built"), lambda _: 0.0, least, {})
        self.gains, self.asked = gains, set[tuple[tuple[str, str], ...]]()

    def result(self, raised: Mapping[str, str]) -> tuple[Built, float]:
        self.asked.add(tuple(sorted(raised.items())))
        return None, sum(self.gains.get(item, 0.0) for item in raised.items())  # type: ignore[return-value]


@pytest.mark.parametrize("needed", [1, 2, 3, 7, 16, 40])
def test_fewest_layers_in_few_evaluations(needed: int) -> None:
    order = [f"layer{index}" for index in range(40)]
    search = Counted({(name, "int16"): 1.0 for name in order}, float(needed))
    assert search.fewest(order, "int16", {}) == needed
    assert len(search.asked) <= 12
    assert Counted({}, 1.0).fewest(order, "int16", {}) is None


def test_lowering_keeps_what_is_needed() -> None:
    """Of four raised layers only b (int16 is enough for it) and d (which must be float) matter."""
    search = Counted({("b", "int16"): 1.0, ("b", "float"): 1.0, ("d", "float"): 1.0}, 2.0)
    assert search.lowered(dict.fromkeys("abcd", "float"), list("abcd")) == {"b": "int16", "d": "float"}


class Uneven(nn.Module):
    """One channel between the layers is 300 times larger than the others, yet these decide: eight bits cannot hold both."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8 * 36, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(torch.flatten(x, 1))  # type: ignore[no-any-return]

    @staticmethod
    def made() -> Uneven:
        torch.manual_seed(3)
        model = Uneven().eval()
        with torch.no_grad():
            model.first.weight[0] *= 300
            model.first.bias[0] *= 300
            model.second.weight[:, 0] /= 3000
        return model


def convert_uneven(**options: object) -> tuple[Conversion, torch.Tensor]:
    data = samples((1, 2, 12, 12), 64, 0)
    return convert_in_detail(Uneven.made(), data[:1], calibration=data, **options), data  # type: ignore[arg-type]


def worst(conversion: Conversion, data: torch.Tensor) -> float:
    """Noise of the results relative to their power."""
    found = emulation.run(conversion.bundle, data.numpy())[conversion.bundle.graph.outputs[0]]
    with torch.no_grad():
        expected = Uneven.made()(data).numpy()
    return float(np.square(found - expected).sum() / np.square(expected).sum())


def test_search_raises_what_loses() -> None:
    """int8 changes decisions on the calibration data; the search finds the few layers that must be wider, and says so."""
    conversion, data = convert_uneven(max_accuracy_drop=0.0)
    decision = conversion.decision
    assert decision is not None
    assert decision.int8_accuracy < decision.accuracy == decision.float_accuracy == 1.0
    assert 0 < len(decision.precision) < 3
    assert "int16" in decision.precision.values()
    assert "int16" in {tensor.dtype for tensor in conversion.bundle.graph.tensors.values()}
    assert "is int16: its int8 adds noise" in conversion.bundle.report.replace("&#x27;", "")
    with pytest.warns(AccuracyWarning, match=r"for \d\d of 64 calibration samples.*drop by up to .*max_accuracy_drop=0"):
        plain, _ = convert_uneven()
    assert plain.decision is None
    assert f"The accuracy may drop by up to {100 * (1 - decision.int8_accuracy):.1f} points" in plain.bundle.report
    assert worst(conversion, data) < worst(plain, data) / 4


def test_agreement_is_told() -> None:
    """Nobody asked for it: it is in the report, and a line of the command's where it is too low; only of scores."""
    told: list[str] = []
    data = samples((1, 2, 12, 12), 24, 0)
    report = convert_in_detail(Uneven.made(), data[:1], calibration=data, progress=told.append).bundle.report
    assert any(line.startswith("warning: The largest result is where the float model has it for ") for line in told)
    assert "of 24 calibration samples" in report
    good, data = Chain(nn.Flatten(), nn.Linear(9, 2)), samples((2, 1, 3, 3), 24, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AccuracyWarning)
        conversion, _ = converted(good, (2, 1, 3, 3))
        assert "has it for 16 of 16 calibration samples.<" in conversion.bundle.report
        for model in (nn.Conv2d(1, 2, 3), Chain(nn.Flatten(), nn.Linear(9, 1))):
            assert "calibration samples.<" not in converted(model, (1, 1, 3, 3))[0].bundle.report
            assert (
                " calibration samples the results differ from the float model&#x27;s by at most "
                in converted(model, (1, 1, 3, 3))[0].bundle.report
            )
        assert "has it for" not in converted(good, (2, 1, 3, 3), precision="float")[0].bundle.report


class Parts(nn.Module):
    """An image twice, its positions, and a row whose scale is another one."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.row = Uneven.made().first, nn.Conv2d(2, 1, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        image = self.image(x)
        return image, image.argmax(1), image, self.row(x).mean(2) * 1e-3


def test_likeness_of_results_that_are_no_scores() -> None:
    """Of all real outputs the worst one counts: its error is told, and its angle is where a warning starts."""
    torch.manual_seed(5)
    data = samples((1, 2, 6, 6), 24, 0)
    model = Parts().eval()
    conversion = convert_in_detail(model, data[:1], calibration=data)
    lowered = conversion.lowered, conversion.lowered_constants
    built = Built(conversion.steps, conversion.quantized, *lowered, conversion.bundle.graph, conversion.bundle.constants, [])
    batches = [(sample[None],) for sample in data]
    found = measured_likeness(conversion.module, built, batches)
    assert found is not None
    emulated = emulation.run(conversion.bundle, data.numpy())
    errors, cosines = [], []
    with torch.no_grad():
        expected = model(data)
    for name, reference in zip(
        [conversion.bundle.graph.outputs[index] for index in (0, 2)], (expected[0], expected[3]), strict=True
    ):
        one, other = emulated[name].astype(np.float64).ravel(), reference.double().numpy().ravel()
        errors.append(np.abs(one - other).max() / np.abs(other).max())
        cosines.append(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    assert found.samples == 24
    assert found.error == pytest.approx(max(errors), rel=1e-6)
    assert found.cosine == pytest.approx(min(cosines), abs=1e-9)
    told: list[str] = []
    assert "pass evaluate=" not in checked_likeness(Likeness(0.02, 0.995, 24), told.append)[0]
    assert told == []
    (note,) = checked_likeness(Likeness(0.31, 0.98, 24), told.append)
    assert note.startswith("On 24 calibration samples the results differ from the float model's by at most 31 % of the largest; ")
    assert told == [f"warning: {note}"]


def test_search_goes_to_float_when_it_must() -> None:
    """An evaluation that accepts no rounding at all: every layer ends in float."""
    data = samples((1, 2, 12, 12), 4, 1)
    with torch.no_grad():
        expected = Uneven.made()(data)

    def evaluate(model: object) -> float:
        assert callable(model)
        pieces = [model(data[index : index + 1]) for index in range(len(data))]
        return float(torch.allclose(torch.cat(pieces), expected, rtol=1e-4, atol=1e-4))

    conversion, _ = convert_uneven(evaluate=evaluate)
    assert conversion.decision is not None
    assert conversion.decision.accuracy == 1.0
    assert set(conversion.decision.precision.values()) == {"float"}
    assert not any(tensor.dtype == "int8" for tensor in conversion.bundle.graph.tensors.values())


def test_accuracy_that_int8_keeps() -> None:
    conversion, _ = convert_uneven(evaluate=lambda _: 0.5)
    assert conversion.decision is not None
    assert conversion.decision.precision == {}
    assert conversion.decision.evaluations == 2
    assert "no layer had to be raised" in conversion.bundle.report


MIXED = {"0": "int16", "2": "float"}


@pytest.mark.parametrize("precision", ["int16", MIXED, {"1.first": "int16"}, {"4": "int16"}])
def test_precisions_run_with_the_bits_of_the_emulation(precision: str | dict[str, str], build: Path, tmp_path: Path) -> None:
    """int16 beside int8 and float, with residuals and a linear head."""
    model = Chain(nn.Conv2d(3, 8, 3), Residual(8), nn.Conv2d(8, 6, 3, stride=2), nn.Flatten(), nn.Linear(6 * 16, 4))
    conversion, data = converted(model, (1, 3, 12, 12), precision=precision)
    bundle = conversion.bundle
    dtypes = {tensor.dtype for tensor in bundle.graph.tensors.values() if tensor.scale is not None}
    assert "int16" in dtypes
    assert ("int8" in dtypes) == (precision != "int16")
    expected = emulation.run(bundle, data.numpy())[bundle.graph.outputs[0]]
    bundle.save(tmp_path / "mixed")
    with Session(soc=build, mode="functional") as session:
        loaded = session.load(tmp_path / "mixed")
        found = np.concatenate([loaded.run([sample[None]])[0] for sample in data.numpy()])
    assert found.tobytes() == expected.tobytes()
    with torch.no_grad():
        exact = model(data).numpy()
    noise, signal = np.square(expected - exact).sum(), np.square(exact).sum()
    assert 10 * np.log10(signal / noise) > 20, "signal to noise of eight-bit layers in a row"
    if precision == "int16":
        plain = converted(model, (1, 3, 12, 12))[0].bundle
        eight = emulation.run(plain, data.numpy())[plain.graph.outputs[0]]
        assert noise < 0.5 * np.square(eight - exact).sum(), "weights have eight bits all the same"


def test_unknown_precision() -> None:
    with pytest.raises(ConversionError, match="unknown precision int4; known are int8, int16, float"):
        convert_uneven(precision={"first": "int4"})

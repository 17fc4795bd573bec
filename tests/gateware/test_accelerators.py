"""The list of accelerators: what tells them apart, and that each has all its parts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.accelerators import ACCELERATORS, MODULES
from cosoc.gateware.layout.page import CAPABILITIES

ROOT = Path(__file__).resolve().parents[2]


def test_no_two_are_alike() -> None:
    for attribute in ("name", "module", "title", "kind"):
        values = [getattr(accelerator, attribute) for accelerator in ACCELERATORS]
        assert len(set(values)) == len(values), attribute
    assert [accelerator.module for accelerator in ACCELERATORS] == list(MODULES)


@pytest.mark.parametrize("accelerator", ACCELERATORS, ids=lambda item: item.name)
def test_parts(accelerator: Accelerator) -> None:
    config = accelerator.config()
    assert len(dataclasses.fields(config)) <= CAPABILITIES
    assert accelerator.core(config) is not None
    assert accelerator.resources(config).lut > 0
    for part in ("driver", "model"):
        text = (ROOT / "software" / "drivers" / accelerator.module / f"{part}.hpp").read_text()
        assert f"class {accelerator.title}{part.title()} final" in text

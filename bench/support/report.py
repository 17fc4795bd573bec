"""Figures of a benchmark: the JSON that `scons bench` writes, and the table that it prints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

How = Literal["rtl", "model", "measured", "synthesis", "estimate"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number.

    Attributes:
        name: what it is, `resnet18.utilization`.
        goal: value to reach, if there is one.
        better: direction.
        peer: name and value of the same quantity elsewhere, from the same run if it is measured.
        how: where the number comes from.
    """

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower"]
    how: How
    goal: float | None = None
    peer: str | None = None


@dataclass
class Report:
    """All figures of one benchmark; `config` is what they depend on."""

    bench: str
    config: dict[str, object] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        """Adds a figure; names are unique."""
        if any(other.name == figure.name for other in self.figures):
            raise ValueError(f"{self.bench} has two figures {figure.name}")
        self.figures.append(figure)

    def write(self, folder: Path) -> Path:
        """Writes `<folder>/<bench>.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.bench}.json"
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        return path

    def print(self, console: Console) -> None:
        """Prints the table."""
        table = Table("figure", "value", "unit", "goal", "better", "peer", "how", title=self.bench, title_justify="left")
        for item in self.figures:
            goal = "" if item.goal is None else f"{item.goal:,g}"
            table.add_row(item.name, number(item.value), item.unit, goal, item.better, item.peer or "", item.how)
        console.print(table)


def number(value: float) -> str:
    """Four digits, and no exponent: `38,970`, `1.052`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

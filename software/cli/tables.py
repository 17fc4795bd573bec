"""Tables of what a run did."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from cosoc.converter import LayerError
from cosoc.runtime import TaskRecord

console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
"""Where everything is printed; a pipe or a file has no width of its own."""


def task_table(report: Sequence[TaskRecord]) -> Table:
    """Every node: where it ran, when, and how long on the accelerator."""
    table = Table(_name_column("node"), "operation", "ran on", title="one run")
    for column in ("start us", "end us", "accelerator cycles"):
        table.add_column(column, justify="right")
    for task in report:
        table.add_row(
            task["name"],
            task["op"],
            task["device"],
            f"{task['start_ns'] / 1000:.1f}",
            f"{task['end_ns'] / 1000:.1f}",
            cycles(task),
        )
    return table


def layer_table(report: Sequence[TaskRecord], errors: Sequence[LayerError]) -> Table:
    """Every layer of a network: where it ran, and how far its output is from PyTorch's.

    Args:
        report: of the last image.
        errors: over some images.
    """
    by_node = {error.node: error for error in errors}
    title = "layers: cycles of one image, errors against PyTorch float32"
    table = Table(_name_column("layer"), "operation", _name_column("source"), "ran on", title=title)
    for column in ("accelerator cycles", "largest error", "of its range"):
        table.add_column(column, justify="right")
    for task in report:
        error = by_node.get(task["name"])
        table.add_row(
            task["name"],
            task["op"],
            error.source if error else "",
            task["device"],
            cycles(task),
            f"{error.max_error:.4f}" if error else "",
            f"{error.relative_error:.2%}" if error else "",
        )
    total = sum(task["cycles"] for task in report)
    table.add_section()
    table.add_row("all", "", "", "", f"{total:,}", "", "")
    return table


def _name_column(title: str) -> Column:
    """A column of names: continued on the next line where they are too long, never cut off."""
    return Column(title, overflow="fold")


def cycles(task: TaskRecord) -> str:
    """Cycles of the accelerator; nothing for a CPU."""
    return f"{task['cycles']:,}" if task["commands"] else ""

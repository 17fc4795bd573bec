"""`cosoc calibrate`: measures kernels on this machine's devices, for the cost model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cosoc.cli.run import DEFAULT_SOC, SoCOption
from cosoc.cli.tables import console
from cosoc.runtime import MeasuredCost, Session


def command(
    costs: Annotated[Path, typer.Argument(help="file for the measured costs; what is in it already is kept and corrected")],
    soc: SoCOption = DEFAULT_SOC,
    mode: Annotated[str, typer.Option(help="cpu: this machine's cores; board: a board's cores and accelerators")] = "cpu",
) -> None:
    """Measures kernels of many shapes, prints how far estimates are off, and saves what sessions take into account."""
    with Session(soc=soc, mode=mode, costs=costs) as session:
        session.calibrate()
        session.save_costs()
        measured = session.measured_costs()
    console.print(cost_table(measured))
    console.print(f"{len(measured)} calls measured: {costs}; sessions read it with costs=, --costs or COSOC_COSTS")


def cost_table(costs: list[MeasuredCost]) -> Table:
    """Each call on each kind of device: estimated, measured, and the ratio by which the estimate is corrected."""
    table = Table("device", "call", title="costs")
    for column in ("estimate us", "measured us", "ratio"):
        table.add_column(column, justify="right")
    for cost in costs:
        estimate, measured = cost["estimate_ns"], cost["measured_ns"]
        table.add_row(
            cost["device"], short(cost["call"]), f"{estimate / 1000:.2f}", f"{measured / 1000:.2f}", f"{measured / estimate:.3f}"
        )
    return table


def short(call: str) -> str:
    """A call without its attributes: operation and types."""
    name, _, rest = call.partition(" {")
    return name + rest[rest.rfind("}") + 1 :] if rest else call

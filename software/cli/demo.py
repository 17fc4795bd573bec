"""`cosoc demo`: trained networks and a radar on the accelerators' RTL.

A network runs over its whole test set on the functional models of the accelerators and over some inputs on their RTL;
all bits are compared, with each other and with the converter's emulation. The radar application uses the FFT and ZIP.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from cosoc.apps.demonstration import Demonstration
from cosoc.cli.errors import UserError
from cosoc.cli.networks import run_network
from cosoc.cli.run import DEFAULT_SOC, POLICY_HELP, SoCOption
from cosoc.cli.tables import console

NETWORKS = ("digits", "speech", "detection")
RADAR = "radar"


def command(
    names: Annotated[list[str] | None, typer.Argument(help="digits, speech, detection, radar; by default digits and radar")] = None,
    soc: SoCOption = DEFAULT_SOC,
    samples: Annotated[int, typer.Option("--samples", "--images", min=1, help="inputs of a network to run in RTL")] = 20,
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "EFT",
) -> None:
    """Runs trained networks and a radar on the RTL of a SoC, and compares with PyTorch."""
    if not (soc / "soc.json").is_file():
        raise UserError(f"no SoC in {soc}; build it with ./dev scons board=sim c2d=1 fft=1 zip=1")
    chosen = names or ["digits", RADAR]
    if unknown := [name for name in chosen if name not in (*NETWORKS, RADAR)]:
        raise UserError(f"there is no demonstration {unknown[0]}; there are {', '.join((*NETWORKS, RADAR))}")
    folder = soc / "demo"
    folder.mkdir(exist_ok=True)
    for name in chosen:
        if name == RADAR:
            run_radar(soc, policy, folder / "radar.trace.json")
        else:
            shown = load(name)
            run_network(soc, shown, bundle(soc, shown), samples, policy, folder)
    console.print(f"\ntraces (open in ui.perfetto.dev)  {folder}/<name>.trace.json", soft_wrap=True)


def load(name: str) -> Demonstration:
    """The demonstration of an application; its data are made or read now."""
    make: Callable[[], Demonstration] = import_module(f"cosoc.apps.{name}.demonstration").demonstration
    return make()


def bundle(soc: Path, shown: Demonstration) -> Path:
    """Directory of the network's bundle, converted anew; with its report, what a user would look into."""
    path = soc / "demo" / f"{shown.name}.bundle"
    with console.status(f"converting {shown.name}"):
        shown.build_bundle().save(path)
    console.print(f"bundle {path} (graph.json, model.cpp, report.html)", soft_wrap=True)
    return path


def run_radar(soc: Path, policy: str, trace: Path) -> None:
    """The radar application, which checks its own result."""
    console.rule("pulse-Doppler radar on FFT and ZIP")
    program = soc / "bin/cosoc-radar"
    result = subprocess.run(
        [program, "--soc", soc, "--mode", "rtl", "--policy", policy, "--trace", trace], check=False, text=True, capture_output=True
    )
    console.print(result.stdout, end="", highlight=False)
    if result.returncode != 0:
        raise UserError(result.stderr.strip() or f"{program} failed with status {result.returncode}")

"""Writes the Verilog of one accelerator: `python -m cosoc.gateware conv2d output_lanes=8 --output conv2d.v`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.parameters import ParameterError
from cosoc.gateware.peripheral.verilog import peripheral_verilog


def main(arguments: list[str] | None = None) -> int:
    """Writes the file; returns the exit status."""
    modules = {accelerator.module: accelerator for accelerator in ACCELERATORS}
    parser = argparse.ArgumentParser(prog="cosoc.gateware", description="Verilog of one accelerator with its registers and DMA")
    parser.add_argument("module", choices=modules)
    parser.add_argument("parameters", nargs="*", metavar="name=value", help="parameters other than the defaults")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    accelerator = modules[options.module]
    try:
        config = accelerator.config(**_values(options.parameters, list(accelerator.config.__dataclass_fields__)))
    except ParameterError as error:
        parser.error(str(error))
    options.output.write_text(peripheral_verilog(accelerator, config))
    return 0


def _values(pairs: list[str], known: list[str]) -> dict[str, int]:
    values = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in known or not value.isdigit():
            raise ParameterError(f"{pair!r} is no parameter; expected name=number with a name of {', '.join(known)}")
        values[name] = int(value)
    return values


if __name__ == "__main__":
    sys.exit(main())

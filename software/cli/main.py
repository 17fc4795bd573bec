"""Entry point of `cosoc`: collects the commands and turns a user's mistake into one message and exit status 1."""

from __future__ import annotations

import sys

import typer

from cosoc.cli import calibrate, daemon, demo, run, trace
from cosoc.cli.errors import UserError
from cosoc.converter import BundleError, ConversionError
from cosoc.converter import cli as converter
from cosoc.runtime import CosocError

app = typer.Typer(
    name="cosoc",
    help="Run PyTorch models on a heterogeneous FPGA SoC.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
converter.register(app)
app.command("run")(run.command)
app.command("demo")(demo.command)
app.command("calibrate")(calibrate.command)
daemon.register(app)
app.add_typer(trace.app, name="trace")


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except (UserError, ConversionError, BundleError, CosocError) as error:
        print(f"cosoc: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

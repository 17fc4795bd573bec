"""Options of the build: declaration, help, validation, and the folder that belongs to their values."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from SCons.Environment import Environment
from SCons.Errors import UserError
from SCons.Variables import Variables

from cosoc.boards.platform import Platform, board_names, load_platform
from cosoc.boards.soc import SoC
from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.parameters import ParameterError, describe_allowed
from cosoc.gateware.soc import MAX_COUNT, SoCConfig

ROOT = Path(__file__).resolve().parent.parent
MODES = {
    "release": "optimized",
    "debug": "assertions, no optimization",
    "asan": "address and undefined-behaviour sanitizers",
    "tsan": "thread sanitizer",
}
DIGITS = "digits"


class OptionError(Exception):
    """An option that is not possible; the message names it, its value and what is allowed."""


@dataclass(frozen=True)
class Model:
    """The user's model: `source` is `digits`, a bundle directory or `path.py:Class`; shapes and files are the converter's."""

    source: str
    input: str
    weights: str
    calibration: str

    @property
    def is_bundle(self) -> bool:
        return self.source != DIGITS and ":" not in self.source

    def with_absolute_paths(self) -> Model:
        """The same model, for SConscript files: SCons reads each of them in its own folder."""
        path, colon, name = self.source.rpartition(":") if ":" in self.source else (self.source, "", "")
        source = self.source if self.source == DIGITS else f"{Path(path).resolve()}{colon}{name}"
        weights, calibration = (str(Path(file).resolve()) if file else "" for file in (self.weights, self.calibration))
        return Model(source, self.input, weights, calibration)


@dataclass(frozen=True)
class Options:
    """Values of all options, checked."""

    soc: SoC
    model: Model
    mode: str
    bench: str
    full: bool
    output: str
    variant: str

    @property
    def platform(self) -> Platform:
        return self.soc.platform

    @property
    def native(self) -> bool:
        return self.platform.architecture == "native"


@dataclass(frozen=True)
class _Option:
    """One option as help shows it; `default` is empty where there is none."""

    group: str
    name: str
    help: str
    allowed: str
    default: str


def bench_names() -> list[str]:
    """Benchmarks that there are: files of bench/ that are not private."""
    return sorted(path.stem for path in (ROOT / "bench").glob("*.py") if not path.stem.startswith("_"))


def declared(board: str) -> list[_Option]:
    """Every option in the order of the help; defaults of counts and parameters are those of `board`."""
    platform = load_platform(board)
    options = [
        _Option("SoC", "board", "what the SoC is built for", ", ".join(board_names()), "sim"),
        *(
            _Option("SoC", a.name, f"number of {a.title} accelerators", f"0..{MAX_COUNT}", str(platform.counts.get(a.name, 0)))
            for a in ACCELERATORS
        ),
    ]
    for accelerator in ACCELERATORS:
        options += [
            _Option(
                f"Parameters of {accelerator.title} accelerators",
                f"{accelerator.name}_{item.name}",
                item.metadata["help"],
                describe_allowed(item.metadata["allowed"]),
                str(platform.parameters.get(f"{accelerator.name}_{item.name}", item.default)),
            )
            for item in fields(accelerator.config)
        ]
    group = "Model"
    options += [
        _Option(group, "model", "model of the bundle", "digits, FILE.py:CLASS, or a bundle directory", DIGITS),
        _Option(
            group,
            "input",
            "shape of the input of FILE.py:CLASS",
            "sizes joined by x, such as 1x3x224x224; several inputs joined by a comma",
            "",
        ),
        _Option(group, "weights", "weights of FILE.py:CLASS", "a .safetensors file", ""),
        _Option(group, "calibration", "inputs that FILE.py:CLASS is quantized with", "a .npz or .npy file", ""),
    ]
    group = "Build"
    return [
        *options,
        _Option(
            group, "mode", "how C++ is compiled: " + "; ".join(f"{k}: {v}" for k, v in MODES.items()), ", ".join(MODES), "release"
        ),
        _Option(group, "bench", "which benchmark `scons bench` runs", ", ".join(["all", *bench_names()]), "all"),
        _Option(group, "full", "1: benchmarks run in RTL what they otherwise estimate", "0, 1", "0"),
        _Option(group, "output", "folder of everything that is generated", "a folder", "build"),
    ]


def read(arguments: Mapping[str, str]) -> Options:
    """The options of a command line.

    Raises:
        OptionError: an unknown option, a value that is not allowed, or a SoC that does not fit its board.
    """
    board = arguments.get("board", "sim")
    _check_choice("board", board, board_names())
    options = declared(board)
    variables = Variables(args=dict(arguments))
    for option in options:
        variables.Add(option.name, option.help, default=option.default, validator=_validator(option), subst=False)
    values = Environment(tools=[])
    try:
        variables.Update(values, dict(arguments))
    except UserError as error:
        raise OptionError(str(error)) from error
    if variables.UnknownVariables():
        raise OptionError(_unknown(next(iter(variables.UnknownVariables())), [option.name for option in options]))
    soc = _soc(values)
    model = Model(values["model"], values["input"], values["weights"], values["calibration"])
    _check_model(model)
    _check_output(values["output"])
    return Options(
        soc,
        model.with_absolute_paths(),
        values["mode"],
        values["bench"],
        values["full"] == "1",
        values["output"],
        _variant(values, options),
    )


def help_text(board: str) -> str:
    """All options, grouped."""
    lines, group = [], ""
    for option in declared(board):
        if option.group != group:
            group = option.group
            lines.append(f"\n{group}:")
        default = f"; default {option.default}" if option.default else ""
        lines.append(f"  {option.name + '=':<24}{option.help}\n{'':26}({option.allowed}{default})")
    return "\n".join(lines) + "\n"


def _validator(option: _Option) -> Any:
    """Checks for SCons: numbers of counts and parameters, and the choices that help lists."""

    def check(name: str, value: str, _values: object) -> None:
        number = name in _numbers()
        if number and not re.fullmatch(r"\d+", str(value)):
            raise UserError(f"option {name}={value} is not possible; allowed: {option.allowed}")
        if number and int(value) not in _numbers()[name]:
            raise UserError(f"option {name}={value} is not possible; allowed: {option.allowed}")
        if name in ("mode", "bench", "full") and value not in option.allowed.split(", "):
            raise UserError(f"option {name}={value} is not possible; allowed: {option.allowed}")
        if name == "input" and value and not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*(,[1-9]\d*(x[1-9]\d*)*)*", value):
            raise UserError(f"option input={value} is not possible; allowed: {option.allowed}")
        if name in ("weights", "calibration") and value and not Path(value).is_file():
            raise UserError(f"option {name}={value}: there is no such file")
        if name == "output" and not value:
            raise UserError("option output= names no folder; the default is output=build")

    return check


def _numbers() -> dict[str, Any]:
    """Allowed values of the options that are numbers."""
    allowed: dict[str, Any] = {accelerator.name: range(MAX_COUNT + 1) for accelerator in ACCELERATORS}
    for accelerator in ACCELERATORS:
        allowed |= {f"{accelerator.name}_{item.name}": item.metadata["allowed"] for item in fields(accelerator.config)}
    return allowed


def _soc(values: Any) -> SoC:
    counts = {accelerator.name: int(values[accelerator.name]) for accelerator in ACCELERATORS}
    parameters = {name: int(values[name]) for name in _numbers() if name not in counts}
    try:
        return SoC.place(SoCConfig.make(counts, parameters), load_platform(values["board"]))
    except ParameterError as error:
        raise OptionError(str(error)) from error


def _check_choice(name: str, value: str, allowed: list[str]) -> None:
    if value not in allowed:
        raise OptionError(f"option {name}={value} is not possible; allowed: {', '.join(allowed)}")


def _check_output(output: str) -> None:
    """The folder is there or can be made; nothing is made yet."""
    folder = ROOT / output
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise OptionError(f"option output={output} is not possible: {existing} is no folder that you may write to")


def _check_model(model: Model) -> None:
    own = {"input": model.input, "weights": model.weights, "calibration": model.calibration}
    given = [name for name, value in own.items() if value]
    if ":" in model.source:
        path = model.source.rpartition(":")[0]
        if not Path(path).is_file():
            raise OptionError(f"option model={model.source}: there is no file {path}")
        if not model.input:
            raise OptionError(f"option model={model.source} needs the shape of its input, such as input=1x3x224x224")
        return
    if given:
        raise OptionError(f"option {given[0]}= belongs to model=FILE.py:CLASS; here is model={model.source}")
    if model.is_bundle and not (Path(model.source) / "graph.json").is_file():
        raise OptionError(
            f"option model={model.source} is not possible; allowed: digits, FILE.py:CLASS, or a directory with a graph.json"
        )


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}=? " if close else ""
    return f"unknown option {name}=; {hint}The options are {', '.join(known)}; `scons -h` explains them"


def _variant(values: Any, options: list[_Option]) -> str:
    """Folder of a configuration: the counts by name, and a hash of every other value that is not a default.

    A kind that the board does not have by default, and this configuration neither, is not named.
    """
    usual = load_platform(values["board"]).counts
    counts = [f"{a.name}{int(values[a.name])}" for a in ACCELERATORS if a.name in usual or int(values[a.name])]
    shown = {"board", "bench", "full", "output", *(accelerator.name for accelerator in ACCELERATORS)}
    other = {o.name: values[o.name] for o in options if o.name not in shown and values[o.name] != o.default}
    parts = [values["board"], *counts]
    if other:
        parts.append(hashlib.sha256(json.dumps(other, sort_keys=True).encode()).hexdigest()[:8])
    return "-".join(parts)

"""SCons tool: `env.Bundle(model)` makes a model bundle and returns its files.

A bundle does not depend on the SoC, so it is made once in `<output>/bundles/<name>` and copied into each configuration.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

BUNDLE_FILES = ("graph.json", "weights.safetensors", "model.cpp", "report.html")


def exists(_env: Any) -> bool:
    """The converter is a package of ours."""
    return True


def generate(env: Any) -> None:
    """Adds the method."""
    env.AddMethod(_bundle, "Bundle")


def _bundle(env: Any, model: Any) -> Any:
    """Files of the bundle of `model`, an `options.Model`."""
    if model.is_bundle:
        return [env.File(path.name, env.Dir(str(Path(model.source).resolve()))) for path in sorted(Path(model.source).iterdir())]
    if model.source == "digits":
        folder = env["OUTPUT"].Dir("bundles/digits")
        sources = env.Glob("#software/apps/digits/*.safetensors")
        return env.PythonRun(_files(folder), "cosoc.apps.digits.bundle", "--output ${TARGET.dir}", sources=sources)
    path, _, name = model.source.rpartition(":")
    folder = env["OUTPUT"].Dir(f"bundles/{name}-{hashlib.sha256(json.dumps(asdict(model)).encode()).hexdigest()[:8]}")
    shapes = " ".join(f"--input {shape}" for shape in model.input.split(","))
    arguments = f"convert {model.source} {shapes} --output ${{TARGET.dir}}"
    files = [path]
    for option, file in (("weights", model.weights), ("calibration", model.calibration)):
        if file:
            arguments += f" --{option} {file}"
            files.append(file)
    # A model may be spread over several files; those beside it count as its sources.
    sources = sorted({*files, *(str(other) for other in Path(path).parent.glob("*.py"))})
    modules = ["cosoc.converter"]
    return env.PythonRun(
        _files(folder), "cosoc.cli.main", arguments, modules=modules, sources=[env.File(str(Path(s).resolve())) for s in sources]
    )


def _files(folder: Any) -> list[Any]:
    return [folder.File(name) for name in BUNDLE_FILES]

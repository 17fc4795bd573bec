"""A bundle on disk: a directory with graph.json, weights.safetensors, model.cpp and report.html."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import safetensors.numpy

from cosoc.converter import spec
from cosoc.converter.errors import BundleError
from cosoc.converter.ir import DTYPES, SCHEMA_VERSION, Constants, Graph
from cosoc.converter.model_cpp import model_cpp

GRAPH, WEIGHTS, MODEL, REPORT = "graph.json", "weights.safetensors", "model.cpp", "report.html"
SCHEMA_FILE = Path(__file__).resolve().parent.parent / "runtime" / "schema" / "graph.schema.json"


@dataclass(frozen=True)
class Bundle:
    """A converted model.

    Attributes:
        graph: what is computed.
        constants: data of the constant tensors, by name.
        report: the page report.html.
    """

    graph: Graph
    constants: Constants = field(repr=False)
    report: str = field(repr=False)

    def save(self, path: str | Path) -> None:
        """Writes the directory, whole or not at all: under another name beside it, then renamed.

        Raises:
            BundleError: the path exists and is no bundle, or cannot be written.
        """
        path = Path(path)
        require_replaceable(path)
        weights = safetensors.numpy.save({name: np.require(data, requirements="C") for name, data in self.constants.items()})
        identity = {"file": WEIGHTS, "bytes": len(weights), "crc32": zlib.crc32(weights)}
        files = {
            GRAPH: (json.dumps({**self.graph.to_json(), "weights": identity}, indent=1) + "\n").encode(),
            WEIGHTS: weights,
            MODEL: model_cpp(self.graph).encode(),
            REPORT: self.report.encode(),
        }
        try:
            _write_directory(path, files)
        except OSError as error:
            raise BundleError(f"the bundle {path} cannot be written: {error.strerror}") from error

    @staticmethod
    def load(path: str | Path) -> Bundle:
        """Reads and checks a bundle: version, schema, sizes, checksum, types, and that the graph is valid.

        Raises:
            BundleError: the first thing that is wrong.
        """
        path = Path(path)
        if not path.is_dir():
            raise BundleError(f"{path} is no bundle: expected a directory with {GRAPH}, {WEIGHTS}, {MODEL} and {REPORT}")
        document = _read_graph(path / GRAPH)
        graph = Graph.from_json(document)
        try:
            if len(graph.tensors) != len(document["tensors"]):
                raise spec.SpecError("two tensors have the same name")
            spec.verify(graph)
        except spec.SpecError as error:
            raise BundleError(f"{path / GRAPH}: {error}") from error
        constants = _read_weights(path / WEIGHTS, document["weights"], graph)
        _read(path / MODEL)
        try:
            return Bundle(graph, constants, _read(path / REPORT).decode())
        except UnicodeDecodeError as error:
            raise BundleError(f"{path / REPORT}: not UTF-8; convert the model again") from error


@cache
def schema() -> Any:
    """The JSON schema of graph.json."""
    return json.loads(SCHEMA_FILE.read_text())


def require_replaceable(path: Path) -> None:
    """Only a bundle or an empty folder may be replaced by a bundle.

    Raises:
        BundleError: something else is there.
    """
    if path.exists() and not (path / GRAPH).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise BundleError(f"{path} exists and is no bundle; remove it, or choose another name")


def _write_directory(path: Path, files: dict[str, bytes]) -> None:
    """Puts a directory with these files in the place of what is there."""
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        fresh, old = work / "new", work / "old"
        fresh.mkdir()
        for name, data in files.items():
            (fresh / name).write_bytes(data)
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(fresh, path)
        except OSError:
            if old.exists():
                os.rename(old, path)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{file}: cannot be read ({error.strerror}); the bundle is incomplete: convert the model again"
        ) from error


def _read_graph(file: Path) -> dict[str, Any]:
    """graph.json, checked against the schema; the version comes first, since a newer schema may differ in everything else."""
    try:
        document = json.loads(_read(file))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file}: not valid JSON, perhaps truncated ({error}); convert the model again") from error
    version = document.get("schema") if isinstance(document, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            f"{file}: schema {version}; this version of cosoc reads {SCHEMA_VERSION}: update cosoc, or convert the model again"
        )
    # The deepest error is the one that names the place.
    mistake = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema()).iter_errors(document))
    if mistake is not None:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in mistake.absolute_path).lstrip(".")
        raise BundleError(f"{file}: {place or 'the document'}: {mistake.message[:200]}")
    assert isinstance(document, dict)
    return document


def _read_weights(file: Path, identity: dict[str, Any], graph: Graph) -> Constants:
    """The constants, when the file is the one that the graph was saved with and has every constant in its type."""
    data = _read(file)
    if len(data) != identity["bytes"]:
        raise BundleError(f"{file}: {len(data)} bytes, expected {identity['bytes']}; it is truncated or of another bundle")
    if zlib.crc32(data) != identity["crc32"]:
        raise BundleError(f"{file}: CRC-32 {zlib.crc32(data)}, expected {identity['crc32']}; it is corrupted or of another bundle")
    try:
        constants: Constants = safetensors.numpy.load(data)
    except Exception as error:  # the library raises several types for a malformed file
        raise BundleError(f"{file}: not a safetensors file ({error}); convert the model again") from error
    for tensor in graph.tensors.values():
        if not tensor.constant:
            continue
        found = constants.get(tensor.name)
        if found is None:
            raise BundleError(f"{file}: the constant {tensor.name} is missing; convert the model again")
        if found.shape != tensor.shape or found.dtype != DTYPES[tensor.dtype]:
            raise BundleError(f"{file}: {tensor.name} is {found.dtype} {found.shape}, expected {tensor.dtype} {tensor.shape}")
    return {name: data for name, data in constants.items() if name in graph.tensors}

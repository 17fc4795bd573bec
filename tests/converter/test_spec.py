"""The definition of operations on signals against the CPU's kernels: both accept the same nodes, and results are NumPy's."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.support.node import Array, run_node
from cosoc.converter import dense
from cosoc.converter.ir import Graph, Node, Tensor
from cosoc.converter.spec import OPERATIONS, SpecError, verify
from cosoc.converter.spec_signals import SIGNALS, ZIP_OPERANDS, ZIP_REAL
from cosoc.gateware.accelerators import MODULES
from cosoc.gateware.zip import golden
from cosoc.gateware.zip.config import ZIPOperation
from cosoc.runtime import CosocError


@dataclass(frozen=True)
class Case:
    """A node on graph inputs, and its result."""

    op: str
    attributes: dict[str, Any]
    inputs: tuple[Array, ...]
    output: Array

    def __str__(self) -> str:
        return f"{self.op}-{'-'.join(str(value) for value in self.attributes.values())}-{len(self.inputs[-1].shape)}"


def floats(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def complexes(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal((*shape, 2)).astype(np.float32).view(np.complex64)[..., 0]


def int16s(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(-(1 << 15), 1 << 15, shape).astype(np.int16)


def _signals() -> list[Case]:
    x, square, b = complexes(3, 8), complexes(4, 4), complexes(8, seed=2)
    forward = {"direction": "forward"}
    return [
        Case("fft", forward, (x,), np.fft.fft(x)),
        Case("fft", {"direction": "inverse", "axis": 0}, (x,), np.fft.ifft(x, axis=0)),
        Case("rfft", {}, (floats(3, 10),), np.fft.rfft(floats(3, 10))),
        Case("rfft", {}, (floats(7),), np.fft.rfft(floats(7))),
        Case("fft_multiply", {**forward, "operation": "mul"}, (x, x), np.fft.fft(x) * x),
        Case("fft_multiply", {**forward, "operation": "conjugate_mul"}, (x, b), np.fft.fft(x) * b.conj()),
        Case("fft_multiply", {**forward, "operation": "mul", "axis": 0}, (x, b), np.fft.fft(x, axis=0) * b),
        Case("gemm", {}, (x, complexes(8, 5)), x @ complexes(8, 5)),
        Case("gemm", {}, (floats(2, 3), floats(3, 4)), floats(2, 3) @ floats(3, 4)),
        Case("transpose", {}, (x,), x.T),
        Case("magnitude_squared", {}, (square,), np.abs(square) ** 2),
    ]


def _zips() -> list[Case]:
    a, b = complexes(3, 8), complexes(8, seed=2)
    cases = []
    for name, count in ZIP_OPERANDS.items():
        plain = ZIPOperation["MUL" if name == "scale" else name.upper()]
        factor = {"factor": [1.5, -0.5]} if name == "scale" else {}
        operands = [np.complex64(1.5 - 0.5j)] if name == "scale" else [b, a][: count - 1]
        values = (a, *(operands if name != "scale" else ()))
        cases.append(Case("zip", {"operation": name, **factor}, values, golden.apply(plain, a, *map(np.asarray, operands))))
        if name in ZIP_REAL:
            real = ZIPOperation[f"REAL_{plain.name}"]
            factor = {"factor": [-3.0, 0.0]} if name == "scale" else {}
            operands = [np.array(-3, np.float32)] if name == "scale" else [b.real.copy(), a.real.copy()][: count - 1]
            values = (a.real.copy(), *(operands if name != "scale" else ()))
            cases.append(Case("zip", {"operation": name, **factor}, values, golden.apply(real, a.real.copy(), *operands)))
    return cases


def _int16_zips() -> list[Case]:
    cases = []
    for name, count in ZIP_OPERANDS.items():
        plain = ZIPOperation["MUL" if name == "scale" else name.upper()]
        for numbers, axis in (("complex", (2,)), ("real", ())) if name in ZIP_REAL else (("complex", (2,)),):
            operation = plain if numbers == "complex" else ZIPOperation[f"REAL_{plain.name}"]
            a, b = int16s(3, 5, *axis), int16s(5, *axis, seed=2)
            factor = [700, -9] if axis else [700, 0]
            more = {"factor": factor} if name == "scale" else {}
            operands = [np.array(factor if axis else 700, np.int16)] if name == "scale" else [b, a][: count - 1]
            values = (a, *(operands if name != "scale" else ()))
            attributes = {"operation": name, "numbers": numbers, "shift": 11, **more}
            cases.append(Case("zip_int16", attributes, values, golden.apply_integers(operation, a, *operands, shift=11)))
    single = int16s(1, 2, seed=3)
    added = golden.apply_integers(ZIPOperation.ADD, int16s(6, 2), single, shift=0)
    return [*cases, Case("zip_int16", {"operation": "add", "numbers": "complex", "shift": 0}, (int16s(6, 2), single), added)]


CASES = [*_signals(), *_zips(), *_int16_zips()]


def graph_of(case: Case) -> Graph:
    arrays = {**{f"x{i}": array for i, array in enumerate(case.inputs)}, "output": case.output}
    tensors = {name: Tensor(name, str(array.dtype), array.shape) for name, array in arrays.items()}
    names = tuple(name for name in arrays if name != "output")
    return Graph("case", names, ("output",), tensors, (Node(case.op, case.op, names, ("output",), case.attributes),))


def run(build: Path, case: Case) -> Array:
    named = {f"x{i}": array for i, array in enumerate(case.inputs)}
    return run_node(build, case.op, case.attributes, named, case.output, device="cpu", mode="cpu")[1]


def typed(case: Case) -> Case:
    """NumPy computes some in double precision."""
    dtypes = {"float64": np.float32, "complex128": np.complex64}
    return replace(case, output=case.output.astype(dtypes.get(str(case.output.dtype), case.output.dtype)))


@pytest.mark.parametrize("case", [typed(case) for case in CASES], ids=str)
def test_what_the_definition_has_the_kernel_computes(build: Path, case: Case) -> None:
    verify(graph_of(case))
    found = run(build, case)
    if case.op.startswith("zip"):
        assert np.array_equal(found, case.output)
    else:
        assert np.allclose(found, case.output, rtol=0, atol=1e-4)


def _mistakes(case: Case) -> list[Case]:
    """One thing wrong in each: another output, one input more or less, a wrong dtype, attributes of all kinds."""
    wider = np.concatenate([case.output, case.output], axis=-1)
    wrong = [replace(case, output=wider), replace(case, output=np.zeros(case.output.shape, np.int32))]
    wrong += [
        replace(case, inputs=(*case.inputs, *case.inputs, *case.inputs)),
        replace(case, attributes={**case.attributes, "x": 1}),
    ]
    wrong.append(replace(case, inputs=(np.zeros(case.inputs[0].shape, np.int32), *case.inputs[1:])))
    if len(case.inputs) > 1:
        wrong.append(replace(case, inputs=case.inputs[:-1]))
        wrong.append(replace(case, inputs=(case.inputs[0], case.inputs[1].astype(np.bool_), *case.inputs[2:])))
        odd = np.zeros((*case.inputs[1].shape[:-1], case.inputs[1].shape[-1] + 1), case.inputs[1].dtype)
        wrong.append(replace(case, inputs=(case.inputs[0], odd, *case.inputs[2:])))
    for name, value in case.attributes.items():
        wrong.append(replace(case, attributes={key: item for key, item in case.attributes.items() if key != name}))
        bad = [-1, 70_000, "none"] if isinstance(value, int) else ["none", 3]
        wrong += [replace(case, attributes={**case.attributes, name: item}) for item in bad]
    return wrong


@pytest.mark.parametrize("op", SIGNALS)
def test_what_the_definition_refuses_the_kernel_refuses(build: Path, op: str) -> None:
    """But for an axis: the definition has an axis that the kernel makes up when it is not there."""
    cases = [typed(case) for case in CASES if case.op == op]
    assert cases, "no case of this operation"
    for case in {json.dumps(case.attributes): case for case in cases}.values():
        for wrong in _mistakes(case):
            accepted = []
            for attempt in (lambda wrong=wrong: verify(graph_of(wrong)), lambda wrong=wrong: run(build, wrong)):
                try:
                    attempt()
                    accepted.append(True)
                except (SpecError, CosocError):
                    accepted.append(False)
            shapes = [array.shape for array in wrong.inputs]
            assert accepted[0] == accepted[1], (wrong.attributes, shapes, wrong.output.shape, accepted)


def test_every_operation_has_a_definition(build: Path) -> None:
    """But for an accelerator's own that no model is converted to, which nothing else names."""
    case = Case("no such", {}, (floats(2),), floats(2))
    with pytest.raises(CosocError) as caught:
        run(build, case)
    known = set(str(caught.value).rpartition("there are ")[2].split(", "))
    defined = {*OPERATIONS, *dense.OPERATIONS}
    assert defined <= known
    assert known - defined <= set(MODULES)

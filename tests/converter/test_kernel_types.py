"""The converter knows which element types the kernels compute: a model that needs another one is refused, no bundle is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.support.dense_calls import Apply
from cosoc.converter import Bundle, ir
from cosoc.converter.dense.elementwise import BINARY, UNARY
from cosoc.converter.dense.operation import OPERATIONS, TORCH_DTYPES
from cosoc.converter.dense.reductions import POSITIONS, REDUCTIONS
from cosoc.runtime import CosocError, Session
from tests.converter.test_bad_models import message

PARAMETERS = {"softplus": [1.0, 2.0], "elu": [1.0, 1.0, 1.0], "leaky_relu": [0.5], "clamp": [-1.0, 1.0]}
WINDOWS = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1], "ceil": False, "counts_padding": True}
Shapes = list[tuple[int, ...]]
PLANE: Shapes = [(3, 4)]

CALLS: list[tuple[str, dict[str, Any], Shapes]] = [
    *(("unary", {"operation": name, "parameters": PARAMETERS.get(name, [])}, PLANE) for name in UNARY),
    *(("binary", {"operation": name}, PLANE * 2) for name in BINARY),
    *(("reduce", {"operation": name, "axes": [1], "keep": False}, PLANE) for name in (*REDUCTIONS, *POSITIONS, "prod")),
    *(("cumulate", {"operation": name, "axis": 1}, PLANE) for name in ("sum", "prod")),
    *(("cast", {"dtype": dtype}, PLANE) for dtype in TORCH_DTYPES),
    *(
        ("pad", {"before": [0, 1], "after": [0, 1], "mode": mode, "value": 0}, PLANE)
        for mode in ("constant", "reflect", "circular")
    ),
    *(("pool", {"kind": kind, "size": [2, 2]}, [(1, 2, 4, 4)]) for kind in ("max", "average")),
    ("pool", {"kind": "max", "divisor": 0, "positions": True, **WINDOWS}, [(1, 2, 4, 4)]),
    ("softmax", {"axis": 1, "logarithm": False}, PLANE),
    ("normalize", {"axes": 1, "groups": 0, "epsilon": 1e-5}, PLANE),
    ("sort", {"axis": 1, "descending": False}, PLANE),
    ("matmul", {"transposed": False}, [(4, 4), (4, 4)]),
    ("strided", {"strides": [1, 3], "offset": 0, "shape": [3, 4]}, PLANE),
    ("concatenate", {"axis": 0}, PLANE * 2),
    ("where", {}, PLANE * 3),
    ("take", {"axis": 0}, [(3, 4), (2,)]),
    ("gather", {"axis": 1}, [(3, 4), (3, 2)]),
    *(("scatter", {"axis": 1, "accumulate": adds}, [(3, 4), (3, 2), (3, 2)]) for adds in (False, True)),
    *(("put", {"accumulate": adds}, [(3, 4), (2,), (2, 4)]) for adds in (False, True)),
]
"""Operations on small tensors."""


@pytest.fixture(scope="module")
def session(build: Path) -> Iterator[Session]:
    with Session(soc=build, mode="cpu", cpu_cores=1) as opened:
        yield opened


def graph_of(op: str, attributes: dict[str, Any], inputs: list[ir.Tensor]) -> ir.Graph | None:
    """A graph of one operation; None where PyTorch has none for these types."""
    operands = [torch.empty(tensor.shape, dtype=TORCH_DTYPES[tensor.dtype], device="meta") for tensor in inputs]
    try:
        results = OPERATIONS[op].outputs(attributes, operands)
        dtypes = [next(name for name, dtype in TORCH_DTYPES.items() if dtype == value.dtype) for value in results]
    except (RuntimeError, TypeError, IndexError, ValueError, StopIteration):
        return None
    outputs = [ir.Tensor(f"y{i}", dtype, tuple(value.shape)) for i, (dtype, value) in enumerate(zip(dtypes, results, strict=True))]
    names = tuple(tensor.name for tensor in inputs), tuple(tensor.name for tensor in outputs)
    tensors = {tensor.name: tensor for tensor in (*inputs, *outputs)}
    return ir.Graph("one", *names, tensors, (ir.Node("node", op, *names, attributes),))


@pytest.mark.parametrize(("op", "attributes", "shapes"), CALLS)
def test_kernels_load_what_the_converter_makes(
    session: Session, tmp_path: Path, op: str, attributes: dict[str, Any], shapes: Shapes
) -> None:
    for dtypes in itertools.product(TORCH_DTYPES, repeat=len(shapes)):
        inputs = [ir.Tensor(f"x{i}", dtype, shape) for i, (dtype, shape) in enumerate(zip(dtypes, shapes, strict=True))]
        graph = graph_of(op, attributes, inputs)
        if graph is None:
            continue
        outputs = [graph.tensors[name] for name in graph.outputs]
        accepted = not OPERATIONS[op].problem(attributes, inputs, outputs)
        path = tmp_path / "-".join(dtypes)
        Bundle(graph, {}, "").save(path)
        try:
            session.load(path).close()
            loaded = True
        except CosocError:
            loaded = False
        assert loaded == accepted, dtypes


def test_the_message_says_what_is_missing() -> None:
    text = message(Apply(lambda p, i: p.scatter_add(1, i, p)), (torch.ones(2, 3) > 0, torch.zeros(2, 3, dtype=torch.int64)))
    assert "scatter_add.default  x1" in text
    assert "adding scatter has no kernel for bool" in text
    assert "convert its operands" in text

"""What the lowering of one ATen call may ask and do: operands as dense tensors or views of them, and new nodes.

Views cost nothing until a kernel reads them: reshaping, permuting, slicing and expanding only change how a value lies in its base
tensor, and a chain of them is one `strided` node at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.fx import GraphModule, Node

from cosoc.converter import fx, ir
from cosoc.converter.builder import Builder
from cosoc.converter.dense.operation import TORCH_DTYPES, dense_dtype
from cosoc.converter.dense.types import obstacle
from cosoc.converter.steps import UnsupportedError


class MissingValueError(UnsupportedError):
    """An operand whose own operation could not be converted: that one is reported."""


@dataclass(frozen=True)
class View:
    """A value as it lies in a dense tensor.

    Attributes:
        base: name of the tensor.
        shape: of the value.
        strides, offset: in elements of the base, row-major.
    """

    base: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def is_dense(self) -> bool:
        """Whether its elements follow each other in row-major order."""
        return not any(
            size != 1 and stride != step for size, stride, step in zip(self.shape, self.strides, row_major(self.shape), strict=True)
        )


Value = View | tuple["View | None", ...]
"""What a node of the float graph computes; None for an output that has no value in eval mode."""


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a dense tensor."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def shape_of(value: object) -> tuple[int, ...]:
    """Shape of a fake tensor.

    Raises:
        UnsupportedError: it depends on the data.
    """
    assert isinstance(value, torch.Tensor)
    try:
        return tuple(int(size) for size in value.shape)
    except Exception as error:
        raise UnsupportedError(
            "the shape of its result depends on the data", "use operations whose result has one shape, such as torch.where"
        ) from error


@dataclass
class DenseBuilder(Builder):
    """A graph under construction with dense values.

    Attributes:
        module: the float graph.
        real_transforms: transforms of real signals are `rfft`.
        views: the values of its nodes so far.
        dense: dense copies of views that were made already.
    """

    module: GraphModule | None = None
    real_transforms: bool = False

    def __post_init__(self) -> None:
        self.views: dict[Node, Value] = {}
        self.dense: dict[tuple[View, str], str] = {}

    def whole(self, name: str) -> View:
        """A tensor of the graph as a view of itself."""
        shape = self.tensors[name].shape
        return View(name, shape, row_major(shape))

    def view(self, node: Node) -> View:
        """The value of a node with one output, computed or constant."""
        if node not in self.views and node.op == "get_attr":
            assert self.module is not None
            value = fx.tensor_of(self.module, node)
            assert value is not None
            self.views[node] = self.whole(self.dense_constant(node.name, value))
        found = self.views.get(node)
        if not isinstance(found, View):
            raise MissingValueError("it reads a value that could not be converted", "see the operation that makes it")
        return found

    def dense_constant(self, name: str, value: torch.Tensor) -> str:
        """Adds a constant in the element type that computes it; its name."""
        data = value.detach().to(TORCH_DTYPES[dense_dtype(value.dtype)]).resolve_conj().resolve_neg()
        if 0 in data.shape:
            raise UnsupportedError("a tensor without elements", "leave it out")
        return self.constant(self.free(name), data.cpu().numpy())

    def number(self, value: complex | bool, dtype: str) -> str:
        """A number as a constant without axes; equal ones are shared."""
        name = f"{dtype}:{value}"
        if name not in self.tensors:
            self.constant(name, np.asarray(value, ir.DTYPES[dtype]))
        return name

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[tuple[str, tuple[int, ...], str]],
        attributes: dict[str, Any] | None = None,
        *,
        name: str,
        source: str,
    ) -> list[str]:
        """Adds a node; the names of its outputs, of which each is given by a wanted name, shape and dtype."""
        names = []
        for wanted, shape, dtype in outputs:
            if 0 in shape:
                raise UnsupportedError(f"a result of shape {shape} has no elements", "leave it out")
            if len(shape) > ir.MAX_RANK:
                raise UnsupportedError(f"a result of shape {shape} has more than {ir.MAX_RANK} axes", "merge some of them")
            names.append(self.declare(ir.Tensor(self.free(wanted), dtype, shape)).name)
        dtypes = [self.tensors[tensor].dtype for tensor in inputs]
        if why := obstacle(op, attributes or {}, dtypes):
            raise UnsupportedError(why, "convert its operands, with .float() for example")
        self.nodes.append(ir.Node(self.unique(name), op, tuple(inputs), tuple(names), attributes or {}, ("cpu",), source))
        return names

    def materialize(self, view: View, dtype: str, wanted: str, name: str, source: str) -> str:
        """The value as a dense tensor of a dtype and of its own shape; its name."""
        base = self.tensors[view.base]
        if view.base in self.constants and (view, dtype) not in self.dense:
            self._fold(view, dtype)
        if (view, dtype) in self.dense:
            return self.dense[view, dtype]
        if view == self.whole(view.base):
            result = view.base
        else:
            attributes = {"strides": list(view.strides), "offset": view.offset, "shape": list(view.shape)}
            outputs = [(f"{wanted}.dense", view.shape, base.dtype)]
            (result,) = self.emit("strided", [view.base], outputs, attributes, name=f"{name}.layout", source=source)
        self.dense[view, base.dtype] = result
        if dtype != base.dtype:
            outputs = [(f"{wanted}.{dtype}", view.shape, dtype)]
            (result,) = self.emit("cast", [result], outputs, {"dtype": dtype}, name=f"{name}.cast", source=source)
            self.dense[view, dtype] = result
        return result

    def _fold(self, view: View, dtype: str) -> None:
        """A view of a constant is another constant."""
        data = torch.from_numpy(self.constants[view.base])
        if view == self.whole(view.base) and self.tensors[view.base].dtype == dtype:
            self.dense[view, dtype] = view.base
            return
        value = data.as_strided(view.shape, view.strides, view.offset).to(TORCH_DTYPES[dtype])
        self.dense[view, dtype] = self.constant(self.free(view.base), value.contiguous().numpy())


@dataclass
class Call:
    """One ATen call of the float graph.

    Attributes:
        builder: the graph that it becomes part of.
        node: the call.
        arguments: by the names of ATen's schema, defaults filled in.
    """

    builder: DenseBuilder
    node: Node
    arguments: dict[str, Any]

    @property
    def label(self) -> str:
        """Name of the node in the bundle."""
        return fx.label(self.node)

    @property
    def source(self) -> str:
        """Line of the user's model."""
        return fx.source_line(self.node)

    def fake(self, index: int = 0) -> torch.Tensor:
        """The output without its data: shape and dtype."""
        value = self.node.meta["val"]
        result = value[index] if isinstance(value, tuple | list) else value
        assert isinstance(result, torch.Tensor)
        return result

    @property
    def dtype(self) -> str:
        """Element type of the first output."""
        return dense_dtype(self.fake().dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return shape_of(self.fake())

    def fake_argument(self, name: str) -> torch.Tensor:
        """A tensor argument without its data."""
        value = self.arguments[name].meta["val"]
        assert isinstance(value, torch.Tensor)
        return value

    def scaled(self, tensor: str, factor: complex, dtype: str) -> str:
        """A tensor times a number, on the way to the result."""
        product = self.step("binary", [tensor, self.operand(factor, dtype)], {"operation": "mul"}, self.shape_of(tensor), dtype)
        return product.base

    def view(self, name: str) -> View:
        """An operand, as it lies."""
        node = self.arguments[name]
        assert isinstance(node, Node)
        return self.builder.view(node)

    def operand(self, value: object, dtype: str | None = None) -> str:
        """A tensor or number as a dense tensor, of a dtype if one is given; its name."""
        if isinstance(value, Node):
            return self.dense(self.builder.view(value), dtype, value.name)
        if isinstance(value, View):
            return self.dense(value, dtype)
        if isinstance(value, bool | int | float | complex):
            return self.builder.number(value, dtype or dense_dtype(torch.tensor(value).dtype))
        raise UnsupportedError(f"an operand of type {type(value).__name__}", "use tensors and numbers")

    def dense(self, view: View, dtype: str | None = None, wanted: str | None = None) -> str:
        """A view as a dense tensor; its name."""
        dtype = dtype or self.builder.tensors[view.base].dtype
        return self.builder.materialize(view, dtype, wanted or view.base, self.label, self.source)

    def tensor(self, name: str, dtype: str | None = None) -> str:
        """An argument as a dense tensor; its name."""
        return self.operand(self.arguments[name], dtype)

    def constant(self, name: str) -> torch.Tensor | None:
        """The data of an argument that is a constant of the model."""
        node = self.arguments[name]
        if not isinstance(node, Node):
            return None
        view = self.builder.view(node)
        data = self.builder.constants.get(view.base)
        return None if data is None else torch.from_numpy(data).as_strided(view.shape, view.strides, view.offset)

    def shape_of(self, tensor: str) -> tuple[int, ...]:
        """Shape of a tensor of the graph."""
        return self.builder.tensors[tensor].shape

    def emit(self, op: str, inputs: Sequence[str], attributes: dict[str, Any] | None = None) -> View:
        """The node that computes the call's only output."""
        return self.step(op, inputs, attributes, self.shape, self.dtype, self.node.name)

    def step(
        self,
        op: str,
        inputs: Sequence[str],
        attributes: dict[str, Any] | None,
        shape: Sequence[int],
        dtype: str,
        wanted: str | None = None,
    ) -> View:
        """A node with one output on the way to the call's result."""
        outputs = [(wanted or f"{self.node.name}.{op}", tuple(shape), dtype)]
        (name,) = self.builder.emit(op, inputs, outputs, attributes, name=self.label, source=self.source)
        return self.builder.whole(name)

    def emit_all(self, op: str, inputs: Sequence[str], attributes: dict[str, Any] | None = None) -> tuple[View, ...]:
        """The node that computes all outputs of the call."""
        fakes = [value for value in self.node.meta["val"] if isinstance(value, torch.Tensor)]
        outputs = [(f"{self.node.name}.{index}", shape_of(value), dense_dtype(value.dtype)) for index, value in enumerate(fakes)]
        names = self.builder.emit(op, inputs, outputs, attributes, name=self.label, source=self.source)
        return tuple(self.builder.whole(name) for name in names)


LOWERINGS: dict[str, Callable[[Call], Value]] = {}
"""What every supported ATen operation becomes; filled by the modules of the families."""


def lowers(*names: str) -> Callable[[Callable[[Call], Value]], Callable[[Call], Value]]:
    """The decorated function lowers these ATen operations."""

    def register(function: Callable[[Call], Value]) -> Callable[[Call], Value]:
        for name in names:
            LOWERINGS[name] = function
        return function

    return register

"""A graph under construction: tensors, constants and nodes with unique names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosoc.converter import ir


@dataclass
class Builder:
    """Collects what a graph consists of."""

    tensors: dict[str, ir.Tensor] = field(default_factory=dict)
    constants: ir.Constants = field(default_factory=dict)
    nodes: list[ir.Node] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """A node name: the wanted one, with `#2` and so on where a module is called again."""
        self.names[name] = self.names.get(name, 0) + 1
        return name if self.names[name] == 1 else f"{name}#{self.names[name]}"

    def free(self, name: str) -> str:
        """A tensor name: the wanted one, with `.2` and so on where it is taken."""
        number, candidate = 1, name
        while candidate in self.tensors:
            number += 1
            candidate = f"{name}.{number}"
        return candidate

    def declare(self, tensor: ir.Tensor) -> ir.Tensor:
        """Adds a tensor to the graph."""
        self.tensors[tensor.name] = tensor
        return tensor

    def constant(self, name: str, data: NDArray[Any]) -> str:
        """Adds a constant to the graph; its name."""
        self.constants[name] = np.ascontiguousarray(data).reshape(data.shape)
        self.declare(ir.Tensor(name, str(data.dtype), tuple(data.shape), constant=True))
        return name

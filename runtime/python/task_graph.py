"""Graphs of named calls: built once, run again and again."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref, c_size_t, c_void_p
from dataclasses import dataclass

from cosoc.runtime.client import Call, Client, Future, followed
from cosoc.runtime.device_array import DeviceArray, handles
from cosoc.runtime.kernel import PythonKernel
from cosoc.runtime.library import CosocError, Handle


@dataclass(frozen=True)
class Node:
    """A task of one graph; made by `TaskGraph.add`."""

    graph: TaskGraph
    index: int

    def precede(self, *others: Node) -> Node:
        """The others start when this one has ended.

        Raises:
            CosocError: a task of another graph, or of one that has run.
        """
        for other in others:
            self.graph.order(self, other)
        return self

    def follow(self, *others: Node) -> Node:
        """This one starts when the others have ended.

        Raises:
            CosocError: as `precede`.
        """
        for other in others:
            other.precede(self)
        return self


class TaskGraph:
    """Calls of kernels by name, and which of them follow which. One thread builds it.

    After a mistake, which raises where it is made, the graph cannot run. After the first run nothing can be added.
    """

    def __init__(self, client: Client, name: str = "graph") -> None:
        self._library = client.library
        self._name = name
        self._kernels: list[PythonKernel] = []
        handle = c_void_p()
        self._library.call("cosoc_graph_make", client.handle, name.encode(), byref(handle))
        self._handle = Handle(self._library, "cosoc_graph_close", handle, self._kernels)

    def add(
        self, name: str, call: Call, inputs: Sequence[DeviceArray], outputs: Sequence[DeviceArray], after: Sequence[Node] = ()
    ) -> Node:
        """A call on these arrays, whose memory the graph keeps; it starts when all of `after` have ended.

        Raises:
            CosocError: a name that the graph has, arrays of other types than the call was prepared for.
        """
        index = c_size_t()
        operands = (*handles(inputs, "inputs"), *handles(outputs, "outputs"))
        self._library.call("cosoc_graph_add", self.handle, name.encode(), call.handle, *operands, byref(index))
        self._kernels.extend(call.kernels)
        return Node(self, index.value).follow(*after)

    def order(self, first: Node, second: Node) -> None:
        """The second task starts when the first one has ended."""
        if first.graph is not self or second.graph is not self:
            raise CosocError(f"graph {self._name}: a task of another graph")
        self._library.call("cosoc_graph_precede", self.handle, first.index, second.index)

    def submit(self, after: Sequence[Future] = ()) -> Future:
        """A run that starts when all of `after` and the graph's runs before it have ended. A mistake makes the future fail."""
        handle = c_void_p()
        self._library.call("cosoc_graph_submit", self.handle, *followed(after), byref(handle))
        return Future(self._library, handle, self._kernels)

    def run(self) -> None:
        """A run from start to end.

        Raises:
            CosocError: a task failed, or the graph has a mistake: no tasks, or tasks in a circle.
        """
        self.submit().wait()

    def dot(self) -> str:
        """The graph for Graphviz."""
        text: bytes = self._library.functions.cosoc_graph_dot(self.handle)
        return text.decode()

    @property
    def handle(self) -> c_void_p:
        """Of the library."""
        return self._handle.use(f"graph {self._name}")

    def close(self) -> None:
        """Blocks until its runs have ended."""
        self._handle.close()

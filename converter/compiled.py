"""A converted model as a callable that runs through the runtime, in any of its modes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from cosoc.converter import exported
from cosoc.converter.batches import batch_of
from cosoc.converter.builds import find_build
from cosoc.converter.bundle import Bundle
from cosoc.converter.checks import Inputs, check_inputs
from cosoc.converter.convert import Conversion, convert_in_detail, graph_output
from cosoc.converter.dense import as_array
from cosoc.converter.errors import ConversionError
from cosoc.converter.lower import output_nodes
from cosoc.runtime import Model, Session


class CompiledModule(torch.nn.Module):
    """A model that the runtime runs; made by `compile`.

    A call takes the tensors that the original takes, and returns what it returns, whatever the batch: the plan of the example's
    batch runs over pieces of that size. A model that mixes the samples of a batch is converted anew for each other size.

    Attributes:
        bundle: of the example's batch.
        session: in which it runs.
    """

    def __init__(
        self, model: torch.nn.Module, example_inputs: object, session: Session, mode: str, options: dict[str, Any]
    ) -> None:
        super().__init__()
        self._original = [model]  # a list, so that its parameters are not this module's
        self._inputs = check_inputs(example_inputs)
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="cosoc-")
        self._loaded: dict[tuple[torch.Size, ...], tuple[Conversion, Model]] = {}
        self.session = session
        self.mode = mode
        self.bundle: Bundle = self._load(self._inputs)[0].bundle
        with torch.no_grad():
            leaves, self._structure = torch.utils._pytree.tree_flatten(model(*self._inputs))
        self._leaves = [leaf.dtype if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]

    @property
    def plans(self) -> int:
        """Number of bundles that were loaded."""
        return len(self._loaded)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Runs the model.

        Raises:
            ConversionError: inputs that do not fit the example's but for the batch.
            CosocError: the runtime fails.
        """
        inputs = self._checked(inputs)
        values = iter(self._run(inputs))
        leaves = [next(values).to(leaf) if isinstance(leaf, torch.dtype) else leaf for leaf in self._leaves]
        return torch.utils._pytree.tree_unflatten(leaves, self._structure)

    def save(self, path: str | Path) -> None:
        """Writes the bundle of the example's batch, which takes any batch where samples do not depend on each other."""
        self.bundle.save(path)

    def report(self) -> list[Any]:
        """What happened to each node in the last run of the example's batch."""
        return list(self._load(self._inputs)[1].report())

    def _checked(self, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        found = [(value.dtype, tuple(value.shape)) for value in inputs if isinstance(value, torch.Tensor)]
        expected = [(value.dtype, tuple(value.shape)) for value in self._inputs]
        same = [dtype == other and size[1:] == wanted[1:] for (dtype, size), (other, wanted) in zip(found, expected, strict=False)]
        if len(found) != len(expected) or len(inputs) != len(expected) or not all(same) or any(0 in size for _, size in found):
            raise ConversionError(f"inputs {found}; expected {expected}, of which only the first axis, the batch, may differ")
        return inputs

    def _run(self, inputs: Inputs) -> list[torch.Tensor]:
        """All tensors among the results; the example's plan runs over pieces, where samples do not depend on each other."""
        cut = self.bundle.graph.any_batch and batch_of(inputs) is not None
        conversion, loaded = self._load(self._inputs if cut else inputs)
        graph = conversion.bundle.graph
        found = dict(zip(graph.outputs, loaded.run([as_array(value) for value in inputs]), strict=True))
        nodes = output_nodes(conversion.module)
        return [torch.from_numpy(found[graph_output(graph, conversion.module, node)]) for node in nodes]

    def _load(self, inputs: Inputs) -> tuple[Conversion, Model]:
        """The plan for inputs of these shapes."""
        key = tuple(value.shape for value in inputs)
        if key not in self._loaded:
            conversion = convert_in_detail(self._original[0], inputs, **self._options)
            folder = Path(self._folder.name) / f"{len(self._loaded)}.bundle"
            conversion.bundle.save(folder)
            self._loaded[key] = (conversion, self.session.load(folder))
        return self._loaded[key]


def compile(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: torch.Tensor | tuple[torch.Tensor, ...] | None = None,
    *,
    soc: str | Path | None = None,
    mode: str = "functional",
    policy: str = "EFT",
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> CompiledModule:
    """Converts a model and loads it: the result is called as the model is, and runs on the SoC.

    Args:
        model: in eval mode, or what torch.export made of it.
        example_inputs: fix shapes and dtypes, and the batch that runs at a time; see `convert`.
        soc: directory of a build, or options of one, such as "c2d=2 fft=1", that is made when it is not there or its sources have
            changed.
        mode: of the runtime: "cpu", "functional", "rtl", "model" or "board".
        policy: of the scheduler.
        progress: is told every step in a few words.
        options: of the conversion, such as `calibration` and `precision`: see `convert`.

    Raises:
        ConversionError: the model cannot be converted, or the SoC cannot be built.
        CosocError: the runtime refuses the SoC or the bundle.
    """
    tell = progress or (lambda _: None)
    build = find_build(soc, mode, tell)
    title = {"name": exported.name_of(model)} if isinstance(model, ExportedProgram) else {}
    module, inputs = exported.opened(model, example_inputs)
    session = Session(soc=build, mode=mode, policy=policy)
    return CompiledModule(module, inputs, session, mode, {**title, "soc": build, **options, "progress": progress})


def backend(
    module: GraphModule, example_inputs: Sequence[torch.Tensor | int], options: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """`torch.compile(model, backend="cosoc")`: each graph that PyTorch finds runs in float through the runtime.

    Parameters and buffers, which PyTorch passes as inputs, become constants of the bundle. `options`, which `torch.compile` passes
    on, are those of `compile`, such as `{"soc": "c2d=2 fft=1"}`.
    """
    chosen = {"precision": "float", "mode": "cpu", **(options or {})}
    compiled: dict[tuple[int, ...], tuple[CompiledModule, list[int]]] = {}

    def load(inputs: Sequence[torch.Tensor | int]) -> tuple[CompiledModule, list[int]]:
        """The graph for the sizes that PyTorch passes as numbers."""
        sizes = tuple(int(value) for value in inputs if not isinstance(value, torch.Tensor))
        if sizes not in compiled:
            frozen, varying = with_constants(module, inputs)
            examples = tuple(value for index in varying if isinstance(value := inputs[index], torch.Tensor))
            compiled[sizes] = compile(frozen.eval(), examples, **chosen), varying
        return compiled[sizes]

    def run(*inputs: torch.Tensor | int) -> Any:
        loaded, varying = load(inputs)
        return loaded(*(value.detach() for index in varying if isinstance(value := inputs[index], torch.Tensor)))

    # With sizes that vary there are no real inputs yet.
    if all(isinstance(value, torch.Tensor) for value in example_inputs):
        load(example_inputs)
    return run


def with_constants(module: GraphModule, example_inputs: Sequence[torch.Tensor | int]) -> tuple[GraphModule, list[int]]:
    """The graph with its parameters and sizes as constants, and the positions of the inputs that are left."""
    graph = torch.fx.Graph()
    frozen = GraphModule(module, graph)
    values: dict[Node, Any] = {}
    varying = []
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    for index, (node, example) in enumerate(zip(placeholders, example_inputs, strict=True)):
        if not isinstance(example, torch.Tensor):
            values[node] = int(example)
        elif isinstance(example, torch.nn.Parameter) or getattr(example, "_dynamo_static_input_type", None) is not None:
            name = f"constant_{index}"
            frozen.register_buffer(name, example.detach())
            values[node] = graph.get_attr(name)
        else:
            values[node] = graph.placeholder(node.name)
            varying.append(index)
    for node in module.graph.nodes:
        if node not in values:
            values[node] = graph.node_copy(node, lambda source: values[source])
    frozen.recompile()
    return frozen, varying

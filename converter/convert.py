"""From a PyTorch model to a bundle: the order of everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from cosoc.converter import dump as dumps
from cosoc.converter import emulation, exported, fx
from cosoc.converter.agreement import agreement, checked_agreement, warn
from cosoc.converter.arithmetic import Arithmetic
from cosoc.converter.batches import treats_samples_alone
from cosoc.converter.bundle import Bundle
from cosoc.converter.calibration import calibration_batches
from cosoc.converter.capture import one_thread
from cosoc.converter.checks import Inputs, check_inputs, check_model
from cosoc.converter.compare import LayerError, compare_module, disagreement
from cosoc.converter.dense import OPERATIONS, as_array
from cosoc.converter.errors import ConversionError
from cosoc.converter.estimate import estimate
from cosoc.converter.ir import Constants, Graph
from cosoc.converter.lower import lower, output_nodes, require_supported
from cosoc.converter.observe import Histogram
from cosoc.converter.passes import passes, run_passes
from cosoc.converter.quantize import Quantized, quantize
from cosoc.converter.report import report
from cosoc.converter.rewrite import prepared
from cosoc.converter.search import PRECISIONS, Built, Decision, Evaluate, choose_precisions
from cosoc.converter.signals import transforms_of
from cosoc.converter.spec import DEVICES
from cosoc.converter.spectral import spectral_of
from cosoc.converter.steps import Step
from cosoc.converter.support import analyse, fuse_clamps, set_precisions

COMPARED_BATCHES = 8
"""Batches of calibration data on which the report compares the int8 model with the float model."""


@dataclass(frozen=True)
class Conversion:
    """A bundle, and what it was made from.

    Attributes:
        bundle: the result.
        module: the float graph after all rewrites.
        steps: its operations, clamps fused.
        quantized: its scales, integer weights and corrected biases.
        lowered, lowered_constants: the integer graph before its passes: a node for every operation, nothing fused.
        errors: of every layer, on calibration data.
        decision: what was tried to keep the accuracy, when that was asked for.
    """

    bundle: Bundle
    module: GraphModule
    steps: list[Step]
    quantized: Quantized
    lowered: Graph
    lowered_constants: Constants
    errors: list[LayerError]
    decision: Decision | None = None


def convert(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: torch.Tensor | tuple[torch.Tensor, ...] | None = None,
    *,
    calibration: object = None,
    name: str | None = None,
    accelerators: Collection[str] = DEVICES[1:],
    force: Mapping[str, str] | None = None,
    precision: str | Mapping[str, str] = "int8",
    evaluate: Evaluate | None = None,
    max_accuracy_drop: float | None = None,
    soc: str | Path | None = None,
    dump: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Bundle:
    """Converts a model in eval mode to a bundle.

    Args:
        model: in eval mode, float32; or one that torchao's PT2E flow has quantized, whose scales and weights are taken over; or
            what torch.export made of such a model.
        example_inputs: fix shapes and dtypes, and the batch that runs at a time; one for each input. Exported programs have theirs.
        calibration: typical inputs, from which the scales of all activations come; see `calibration.calibration_batches`. Without
            it the example inputs serve, which suits tests only.
        name: of the graph; by default the model's class.
        accelerators: kinds that may run nodes of this bundle.
        force: node or module path -> "cpu" or "c2d": the only device that may run it.
        precision: "int8": convolutions, linear layers and what lies between them are quantized, all else is computed in float32;
            "float": everything is. "int16": as int8, but with activations of 16 bits, which c2d computes when it is built
            with c2d_activation_bits=16. A mapping gives nodes or module paths their precision, the rest is int8.
        evaluate: accuracy of a model, which is called with tensors as the given model is; more is better. With it, or with
            `max_accuracy_drop` alone, layers are raised to int16 or float until the accuracy is kept: see `search.py`.
        max_accuracy_drop: by how much the accuracy may be lower than the given model's, by default not at all. Without
            `evaluate`, accuracy is the share of calibration samples for which both models have the largest result at the
            same place. Without both, that share is measured on a part of the calibration data, and an `AccuracyWarning` tells
            where it is less than 99.7 %; of results that are not (N, classes) it is the cosine, below 0.99.
        soc: directory of a build, for which the report estimates times; signals are transformed as its fft can, and convolutions
            along rows become transforms where its cost model finds them faster: see `spectral.py`.
        dump: directory for the model as text after every step: see `dump.py`.
        progress: is told every step in a few words, and what would otherwise be a warning.

    Raises:
        ConversionError: anything about the arguments or the model that prevents the conversion.
    """
    return convert_in_detail(
        model,
        example_inputs,
        calibration=calibration,
        name=name,
        accelerators=accelerators,
        force=force,
        precision=precision,
        evaluate=evaluate,
        max_accuracy_drop=max_accuracy_drop,
        soc=soc,
        dump=dump,
        progress=progress,
    ).bundle


@one_thread()
def convert_in_detail(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: torch.Tensor | tuple[torch.Tensor, ...] | None = None,
    *,
    calibration: object = None,
    name: str | None = None,
    accelerators: Collection[str] = DEVICES[1:],
    force: Mapping[str, str] | None = None,
    precision: str | Mapping[str, str] = "int8",
    evaluate: Evaluate | None = None,
    max_accuracy_drop: float | None = None,
    soc: str | Path | None = None,
    dump: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Conversion:
    """Like `convert`, with the intermediate forms, for tests and analyses."""
    tell = progress or (lambda _: None)
    unknown = set(accelerators) - set(DEVICES[1:])
    if unknown:
        raise ConversionError(f"unknown accelerator {min(unknown)}; known are {', '.join(DEVICES[1:])}")
    title = name or (exported.name_of(model) if isinstance(model, ExportedProgram) else type(model).__name__)
    opened_model, example_inputs = exported.opened(model, example_inputs)
    inputs = check_inputs(example_inputs)
    model = check_model(opened_model)
    batches = calibration_batches(calibration, inputs)
    transforms = transforms_of(accelerators, soc)

    tell("exporting the model")
    stages: list[dumps.Stage] = []

    def record(step: str, graph: GraphModule) -> None:
        if dump is not None:
            stages.append((step, dumps.float_text(graph)))

    tell("looking for convolutions with many taps")
    spectral = spectral_of(soc, transforms, accelerators, lambda node: wanted_precision(precision)(node) == "float")
    module, given = prepared(
        model, inputs, record, integers=precision != "float", spectral=spectral.spectral_convolutions if spectral else None
    )
    tell("checking operations")
    require_known_paths(module, precision)
    wanted = wanted_precision(precision)
    require_supported(module, fuse_clamps(analyse(module, lambda node: wanted(node) == "float")))
    histograms: dict[str, Histogram] = {}

    def build(wanted: str | Mapping[str, str]) -> Built:
        """The graph with given precisions."""
        chosen = wanted_precision(wanted)
        steps = fuse_clamps(analyse(module, lambda node: chosen(node) == "float"))
        set_precisions(steps, chosen)
        quantized = quantize(module, steps, batches, tell, histograms, given)
        tell("lowering to integers")
        lowered, lowered_constants = lower(title, module, steps, quantized, transforms.real)
        constants = dict(lowered_constants)
        limited = {step.output.name for step in steps if any(map(math.isfinite, step.limits))}
        graphs = run_passes(lowered, passes(constants, accelerators, force or {}, transforms, limited))
        return Built(steps, quantized, lowered, lowered_constants, graphs[-1][1], constants, graphs)

    built = build(precision)
    decision: Decision | None = None
    if evaluate is not None or max_accuracy_drop is not None:
        measure, drop = evaluate or agreement(model, batches), 0.0 if max_accuracy_drop is None else max_accuracy_drop
        decision = choose_precisions(model, module, built, build, measure, drop, precision, batches, tell)
        built = decision.built
        if decision.accuracy < decision.float_accuracy - drop:
            warn(decision.notes[-1], progress)
    graph, constants = built.graph, built.constants
    if dump is not None:
        dumps.write(Path(dump), [*stages, *((name, dumps.graph_text(stage)) for name, stage in built.stages)])
    tell("trying batches of other sizes")
    graph = replace(graph, any_batch=treats_samples_alone(model, inputs))
    tell("comparing with the float model")
    if not built.steps:
        require_agreement(graph, constants, module, inputs)
    elif any(node.op in OPERATIONS for node in graph.nodes):
        # int8 hides whether the other operations are right: they are compared where nothing is int8.
        require_agreement(*lower(title, module, [], Quantized.empty(), transforms.real), module, inputs)
    notes = [*(spectral.notes if spectral else ()), *(decision.notes if decision else ())]
    if decision is None and built.steps and calibration is not None:
        notes += checked_agreement(model, module, built, batches, progress)
    errors = compare_module(graph, constants, module, batches[:COMPARED_BATCHES], Arithmetic(transforms.config))
    times = None if soc is None else estimate(Bundle(graph, constants, ""), Path(soc))
    bundle = Bundle(graph, constants, report(graph, errors, describe_calibration(calibration, batches), times, notes))
    return Conversion(bundle, module, built.steps, built.quantized, built.lowered, built.lowered_constants, errors, decision)


def wanted_precision(precision: str | Mapping[str, str]) -> Callable[[Node], str]:
    """The precision that is wanted for a node of the float graph; the last of the paths that fit counts.

    Raises:
        ConversionError: an unknown precision.
    """
    for wanted in [precision] if isinstance(precision, str) else precision.values():
        if wanted not in PRECISIONS:
            raise ConversionError(f"unknown precision {wanted}; known are {', '.join(PRECISIONS)}")
    if isinstance(precision, str):
        return lambda _: precision

    def of(node: Node) -> str:
        found = [wanted for path, wanted in precision.items() if fits(path, node)]
        return found[-1] if found else "int8"

    return of


def fits(path: str, node: Node) -> bool:
    """Whether a path names a node of the float graph, or a module that it belongs to."""
    return path == node.name or f"{fx.label(node)}.".startswith(f"{path}.")


def require_known_paths(module: GraphModule, precision: str | Mapping[str, str]) -> None:
    """Every path of a mapping names something.

    Raises:
        ConversionError: one does not.
    """
    nodes = [node for node in module.graph.nodes if node.op == "call_function"]
    for path in [] if isinstance(precision, str) else precision:
        if not any(fits(path, node) for node in nodes):
            labels = ", ".join(dict.fromkeys(map(fx.label, nodes)))
            raise ConversionError(
                f"precision: no node or module is named {path}; there are {labels} (batch norms are part of the layer before them)"
            )


MAX_DISAGREEMENT = 1e-3
"""Largest accepted difference of a float bundle from PyTorch on the example inputs, relative to the largest result. PyTorch's own
result may be rounded more coarsely, as a bfloat16 is: then the distance of two of its numbers is accepted."""

OTHER_DTYPES = (torch.float64, torch.complex128, torch.float16, torch.bfloat16, torch.complex32)
"""In which the converter computes nothing."""


def require_agreement(graph: Graph, constants: Constants, module: GraphModule, inputs: Inputs) -> None:
    """A graph without integers computes what PyTorch does.

    Raises:
        ConversionError: it does not, for the example inputs.
    """
    with torch.no_grad():
        expected = [value for value in torch.utils._pytree.tree_leaves(module(*inputs)) if isinstance(value, torch.Tensor)]
    found = emulation.run_graph(graph, constants, [as_array(value) for value in inputs])
    for node, value in zip(output_nodes(module), expected, strict=True):
        name = graph_output(graph, module, node)
        error = disagreement(found[name], value)
        limit = max(MAX_DISAGREEMENT, torch.finfo(value.dtype).eps if value.is_floating_point() else 0.0)
        if not error <= limit:
            raise ConversionError(
                f"output {fx.place(node)} differs from PyTorch by {error:g} of its largest value on the example inputs, more than "
                f"{limit:g}; {why_different(module)}"
            )


def why_different(module: GraphModule) -> str:
    """What explains a difference from PyTorch."""
    values = [leaf for node in module.graph.nodes for leaf in torch.utils._pytree.tree_leaves(node.meta.get("val"))]
    used = {value.dtype for value in values if isinstance(value, torch.Tensor)}
    others = [str(dtype) for dtype in OTHER_DTYPES if dtype in used]
    if not others:
        return "this is a defect of the converter: please report it with the model"
    return (
        f"the model computes in {' and '.join(others)}, the converter in float32 and complex64: convert the tensors with "
        ".float(), or keep this part of the model outside the converted module"
    )


def graph_output(graph: Graph, module: GraphModule, node: Node) -> str:
    """Name of the graph's output that has the value of an output node of the float graph."""
    order = list(dict.fromkeys(output_nodes(module)))
    return graph.outputs[order.index(node)]


def describe_calibration(calibration: object, batches: list[Inputs]) -> str:
    """Where the scales come from, for the report."""
    if calibration is None:
        return "Scales come from the example inputs only: pass calibration data for an accurate model."
    samples = sum(len(batch[0]) for batch in batches)
    return f"Scales come from {samples} samples of calibration data."

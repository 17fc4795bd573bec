"""Passes over the lowered graph, in order; the graph is verified after each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from cosoc.converter.errors import ConversionError
from cosoc.converter.fuse import fuse
from cosoc.converter.fuse_dense import fuse_dense
from cosoc.converter.fuse_signals import fuse_products, fuse_signals
from cosoc.converter.ir import Constants, Graph
from cosoc.converter.layouts import compose_layouts
from cosoc.converter.placement import apply_force, tag_devices
from cosoc.converter.signals import Transforms, tag_signals
from cosoc.converter.spec import SpecError, verify

Pass = tuple[str, Callable[[Graph], Graph]]
"""A pass over the lowered graph, with its name."""


def passes(
    constants: Constants,
    accelerators: Collection[str],
    force: Mapping[str, str],
    transforms: Transforms,
    limited: Collection[str] = (),
) -> list[Pass]:
    """Passes over the lowered graph, in order.

    Args:
        constants: of the graph; some are rescaled.
        transforms: what FFT computes.
        limited: the tensors whose values an activation limits.
    """
    return [
        ("fuse", partial(fuse, constants=constants, limited=limited)),
        ("compose_layouts", compose_layouts),
        ("fuse_dense", fuse_dense),
        ("fuse_signals", fuse_signals),
        ("fuse_products", partial(fuse_products, transforms=transforms)),
        ("tag_devices", partial(tag_devices, accelerators=accelerators)),
        ("tag_signals", partial(tag_signals, accelerators=accelerators, max_log2=transforms.config.max_log2)),
        ("apply_force", partial(apply_force, force=force)),
    ]


def run_passes(lowered: Graph, wanted: Sequence[Pass]) -> list[tuple[str, Graph]]:
    """The graph as it was lowered and after every pass; each of them is verified.

    Raises:
        ConversionError: a graph is not valid; the message names the pass that made it.
    """
    stages = [("lowered", verified("lowered", lowered))]
    for name, graph_pass in wanted:
        stages.append((name, verified(name, graph_pass(stages[-1][1]))))
    return stages


def verified(name: str, graph: Graph) -> Graph:
    """The graph that a step made, when it is valid."""
    try:
        verify(graph)
    except SpecError as error:
        raise ConversionError(
            f"the graph is not valid after the step {name}: {error}; this is a defect of the converter: "
            "please report it with the model"
        ) from error
    return graph

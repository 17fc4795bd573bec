"""What the user can change so that a model runs faster, or loses less: sentences for the report, the most rewarding first."""

from __future__ import annotations

from collections.abc import Sequence

from cosoc.converter.compare import LayerError
from cosoc.converter.estimate import Estimate
from cosoc.converter.figures import crossings, device_of, duration, macs
from cosoc.converter.ir import Graph, Node
from cosoc.converter.placement import obstacle

FEW_CHANNELS = 4
"""Input channels up to which a convolution keeps few multipliers of the accelerator busy."""

SHARE = 0.02
"""Part of the whole time from which a layer is worth a sentence."""

MOST = 6
"""Sentences at most."""


def advice(graph: Graph, errors: Sequence[LayerError], estimate: Estimate | None) -> list[str]:
    """Sentences, at least one."""
    found = [
        *slow_layers(graph, estimate),
        *kept_from_accelerators(graph, estimate),
        *curved_activations(graph),
        *shape(graph, estimate),
    ]
    weak = [error for error in errors if error.snr_db < 15]
    if weak:
        names = ", ".join(error.node for error in sorted(weak, key=lambda error: error.snr_db)[:3])
        found.append(
            f"{names}: the integers lose much there; calibrate with more typical data, or pass evaluate= to find what to widen."
        )
    if not found:
        offloaded = any(device_of(node, estimate) != "cpu" for node in graph.nodes)
        found.append(
            "Every layer that takes time may run on an accelerator. A larger or a second c2d shortens it further."
            if offloaded
            else "No layer is of a kind that accelerators compute, and none has much work."
        )
    if estimate is None:
        found.append("Pass soc= (--soc) to see the time of every layer, by the runtime's cost model.")
    return found[:MOST]


def slow_layers(graph: Graph, estimate: Estimate | None) -> list[str]:
    """The layers that take most of the time."""
    if estimate is None:
        return []
    total = max(1, sum(node.duration_ns for node in estimate.nodes.values()))
    nodes = sorted(
        (node for node in graph.nodes if node.name in estimate.nodes), key=lambda node: -estimate.nodes[node.name].duration_ns
    )
    lines = []
    for node in nodes[:2]:
        time = estimate.nodes[node.name]
        if time.duration_ns > 0.15 * total:
            lines.append(
                f"{node.name}{at(node)} takes {duration(time.duration_ns)} of {duration(total)} on {time.device}: look there first."
            )
    return lines


def kept_from_accelerators(graph: Graph, estimate: Estimate | None) -> list[str]:
    """Why layers with much work run on the CPU; equal reasons stand together."""
    total = max(1, sum(node.duration_ns for node in estimate.nodes.values())) if estimate else 0
    by_reason: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if device_of(node, estimate) != "cpu":
            continue
        time = estimate.nodes[node.name].duration_ns if estimate and node.name in estimate.nodes else 0
        heavy = time > SHARE * total if estimate else bool(macs(graph, node))
        if heavy and node.op not in ("quantize", "dequantize"):
            by_reason.setdefault(
                obstacle(graph, node) or "the runtime expects the CPU to be faster, or it was forced there", []
            ).append(node)
    return [
        f"{', '.join(node.name + at(node) for node in nodes[:3])}{f' and {len(nodes) - 3} more' if len(nodes) > 3 else ''} "
        f"on the CPU: {why}."
        for why, nodes in by_reason.items()
    ]


def curved_activations(graph: Graph) -> list[str]:
    """Functions that take the result of an int8 layer out of the integers."""
    made = {name: node.op for node in graph.nodes for name in node.outputs}
    curved = [node for node in graph.nodes if node.op == "unary" and made.get(node.inputs[0]) == "dequantize"]
    if not curved:
        return []
    names = ", ".join(f"{node.attributes['operation']} of {node.name}{at(node)}" for node in curved[:3])
    more = f" and {len(curved) - 3} more" if len(curved) > 3 else ""
    return [f"{names}{more} is computed in float: a ReLU, ReLU6 or Hardtanh there becomes part of the layer before it."]


def shape(graph: Graph, estimate: Estimate | None) -> list[str]:
    """What the shapes of the layers cost."""
    lines = []
    narrow = [
        node
        for node in graph.nodes
        if node.op == "conv2d" and "c2d" in node.devices and graph.tensors[node.inputs[0]].shape[3] <= FEW_CHANNELS
    ]
    work = sum(macs(graph, node) for node in graph.nodes)
    if narrow and sum(macs(graph, node) for node in narrow) > 0.1 * work:
        lines.append(f"{narrow[0].name} has few input channels, which keep few multipliers busy: a larger stride there is cheap.")
    count = crossings(graph, estimate)
    if count > 4:
        lines.append(f"{count} tensors cross between CPU and accelerators: keep operations of one device together.")
    return lines


def at(node: Node) -> str:
    """` (model.py:12)`, or nothing."""
    return f" ({node.source})" if node.source else ""

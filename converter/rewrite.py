"""Rewrites of the captured float graph before it is quantized. Each keeps the model's results, and that is checked after each."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node

from cosoc.converter import fx
from cosoc.converter.capture import capture
from cosoc.converter.checks import Inputs
from cosoc.converter.errors import ConversionError
from cosoc.converter.prequantized import Given, of_images, take_over
from cosoc.converter.rows import CLAMPS, ROW_CONVOLUTIONS, rows_as_images
from cosoc.converter.slices import trim_convolutions
from cosoc.converter.steps import output_first

aten = torch.ops.aten

CONVOLUTIONS = (*ROW_CONVOLUTIONS, aten.conv2d.default, aten.conv2d.padding, aten.conv_transpose2d.input)
"""Layers that take up a batch norm; so does a linear layer of (N, F)."""

IDENTITIES = (aten.clone.default, aten.contiguous.default, aten.alias.default, aten.detach.default, aten.dropout.default)
"""Operations that return their first argument: the graph is in eval mode, and memory formats are no part of it."""

TOLERANCE = 1e-4
"""Largest accepted change of the results by a rewrite, relative to the largest result: float32 rounding is far below."""


def remove_identities(module: GraphModule) -> None:
    """Dropout, contiguous() and the like vanish; a view may then need a copy, which reshape makes, but view_as_complex does not."""
    for node in list(module.graph.nodes):
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default
        lies_for_complex = any(user.target is aten.view_as_complex.default for user in node.users)
        if node.target in IDENTITIES and not fx.is_random(node) and not lies_for_complex:
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)


def fold_batch_norms(module: GraphModule) -> None:
    """Batch norm becomes part of the convolution or linear layer before it.

    `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta` is affine in every channel, so it scales the layer's weights and
    bias. Where the layer has other users, or there is none, it becomes a 1x1 depthwise convolution.
    """
    for node in list(module.graph.nodes):
        if node.target is not aten._native_batch_norm_legit_no_training.default or node.args[0].meta["val"].dtype != torch.float32:
            continue
        bound = fx.arguments(node)
        mean, variance = fx.tensor_of(module, bound["running_mean"]), fx.tensor_of(module, bound["running_var"])
        gamma, beta = fx.tensor_of(module, bound["weight"]), fx.tensor_of(module, bound["bias"])
        if mean is None or variance is None:
            continue
        factor = torch.rsqrt(variance.double() + bound["eps"])
        if gamma is not None:
            factor = factor * gamma.double()
        offset = -mean.double() * factor
        if beta is not None:
            offset = offset + beta.double()
        _apply_affine(module, node, factor, offset)


def _apply_affine(module: GraphModule, norm: Node, factor: torch.Tensor, offset: torch.Tensor) -> None:
    """Replaces a batch norm that computes `factor * x + offset` for every channel (float64, shape (C,))."""
    graph, layer = module.graph, norm.args[0]
    assert isinstance(layer, Node)
    results = [user for user in norm.users if user.target is operator.getitem and user.args[1] == 0]
    takes = layer.target in CONVOLUTIONS or (layer.target is aten.linear.default and len(fx.shape(layer)) == 2)
    if takes and len(layer.users) == 1:
        weight = fx.tensor_of(module, layer.args[1])
        bias_node = fx.arguments(layer)["bias"]
        bias = fx.tensor_of(module, bias_node)
        if weight is None or (bias_node is not None and bias is None):
            return
        scaled = output_first(layer, weight.double()) * factor.reshape(-1, *[1] * (weight.dim() - 1))
        folded = output_first(layer, scaled).contiguous()
        shift = offset if bias is None else offset + bias.double() * factor
        with graph.inserting_before(layer):
            new_weight = _constant(module, f"{layer.name}_folded_weight", folded.float())
            new_bias = _constant(module, f"{layer.name}_folded_bias", shift.float())
        layer.args = (layer.args[0], new_weight, new_bias, *layer.args[3:])
        layer.kwargs = {name: value for name, value in layer.kwargs.items() if name not in ("weight", "bias")}
        replacement = layer
    elif len(fx.shape(layer)) == 4:
        with graph.inserting_before(norm):
            weight_node = _constant(module, f"{norm.name}_weight", factor.float().reshape(-1, 1, 1, 1))
            bias_node = _constant(module, f"{norm.name}_bias", offset.float())
            replacement = graph.call_function(
                aten.conv2d.default, (layer, weight_node, bias_node, [1, 1], [0, 0], [1, 1], factor.numel())
            )
        replacement.meta = {**norm.meta, "val": layer.meta["val"]}
    else:
        return
    for result in results:
        result.replace_all_uses_with(replacement)


def _constant(module: GraphModule, name: str, value: torch.Tensor) -> Node:
    """A new buffer of the module, and the node that reads it, at the graph's insertion point."""
    module.register_buffer(name, value)
    node = module.graph.get_attr(name)
    node.meta["val"] = value
    return node


def clamp_before_max_pool(module: GraphModule) -> None:
    """`relu(max_pool(x))` becomes `max_pool(relu(x))`, which is the same since both are monotone; the clamp can then be fused."""
    for node in list(module.graph.nodes):
        pool = node.args[0] if node.target in CLAMPS else None
        if not isinstance(pool, Node) or pool.target is not aten.max_pool2d.default or len(pool.users) != 1:
            continue
        source = pool.args[0]
        assert isinstance(source, Node)
        if source.target not in (*CONVOLUTIONS, aten.add.Tensor) or len(source.users) != 1:
            continue
        node.replace_all_uses_with(pool)
        pool.prepend(node)
        node.args = (source, *node.args[1:])
        pool.args = (node, *pool.args[1:])
        pool.meta["val"], node.meta["val"] = node.meta["val"], source.meta["val"]


def linear_layers_of_images(module: GraphModule) -> None:
    """A linear layer over (N, H, W, C) becomes a convolution of one pixel; a feature map lies in that order anyway."""
    graph = module.graph
    for node in list(graph.nodes):
        if node.target is not aten.linear.default or len(fx.shape(node)) != 4 or node.meta["val"].dtype != torch.float32:
            continue
        source, bound, weight = node.args[0], fx.arguments(node), fx.tensor_of(module, node.args[1])
        if weight is None or not isinstance(source, Node):
            continue
        with graph.inserting_before(node):
            pixel = _constant(module, f"{node.name}_pixel", weight[:, :, None, None])
            image = graph.call_function(aten.permute.default, (source, [0, 3, 1, 2]))
            layer = graph.call_function(aten.conv2d.default, (image, pixel, bound["bias"], [1, 1], [0, 0], [1, 1], 1))
            result = graph.call_function(aten.permute.default, (layer, [0, 2, 3, 1]))
        image.meta = {**node.meta, "val": source.meta["val"].permute(0, 3, 1, 2)}
        layer.meta = {**node.meta, "val": node.meta["val"].permute(0, 3, 1, 2)}
        result.meta = {**node.meta}
        node.replace_all_uses_with(result)


def remove_assertions(module: GraphModule) -> None:
    """What torch.export assumed of the example holds for all inputs of its shapes and dtypes."""
    for node in list(module.graph.nodes):
        if node.op == "call_function" and fx.operation(node).startswith(("_assert", "sym_constrain_range")) and not node.users:
            module.graph.erase_node(node)


MAX_FOLDED = 2**24
"""Elements of the largest constant that folding makes."""


def fold_constants(module: GraphModule) -> None:
    """Operations on constants alone are computed now."""
    values: dict[Node, Any] = {}
    for node in list(module.graph.nodes):
        if node.op == "get_attr" and (constant_data := fx.tensor_of(module, node)) is not None:
            values[node] = constant_data
        if node.op != "call_function" or any(source not in values for source in node.all_input_nodes) or fx.is_random(node):
            continue
        arguments, keywords = torch.fx.node.map_arg((node.args, node.kwargs), lambda source: values[source])
        assert callable(node.target)
        with torch.no_grad():
            result: Any = node.target(*arguments, **keywords)
        if isinstance(result, torch.Tensor) and result.numel() > MAX_FOLDED:
            continue
        values[node] = result
    for node, value in values.items():
        if node.op == "call_function" and isinstance(value, torch.Tensor) and any(user not in values for user in node.users):
            with module.graph.inserting_before(node):
                constant = _constant(module, f"{node.name}_folded", value.clone(memory_format=torch.contiguous_format))
            constant.meta = {**node.meta}
            node.replace_all_uses_with(constant)


Rewrite = Callable[[GraphModule], None]
REWRITES: Sequence[Rewrite] = (
    remove_assertions,
    fold_constants,
    remove_identities,
    fold_batch_norms,
    trim_convolutions,
    rows_as_images,
    clamp_before_max_pool,
    linear_layers_of_images,
)
"""In the order in which they run."""


def results(module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """All output tensors of a module, whatever structure it returns them in."""
    with torch.no_grad():
        leaves = torch.utils._pytree.tree_leaves(module(*inputs))
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def difference(before: torch.Tensor, after: torch.Tensor) -> float:
    """Largest difference, relative to the largest magnitude or 1; what is not finite must be equal."""
    if not (before.is_floating_point() or before.is_complex()):
        return 0.0 if torch.equal(before, after) else float("inf")
    finite = torch.isfinite(before)
    if not torch.equal(finite, torch.isfinite(after)):
        return float("inf")
    magnitude = before[finite].abs().max().item() if finite.any() else 0.0
    error = (before[finite] - after[finite]).abs().max().item() if finite.any() else 0.0
    return error / max(1.0, magnitude)


Record = Callable[[str, GraphModule], None]
"""Is told the name of a step and the graph after it."""


def prepared(
    model: torch.nn.Module,
    inputs: Inputs,
    record: Record = lambda name, module: None,
    integers: bool = True,
    spectral: Rewrite | None = None,
) -> tuple[GraphModule, Given]:
    """The model's float graph after all rewrites, and what a model that PyTorch has quantized fixes.

    Args:
        integers: whether layers may become int8 or int16. Where none does, rows stay rows and linear layers products of
            matrices, as images they would be copied, and slices of convolutions stay views.
        spectral: makes transforms of convolutions along rows, where the model itself does not fix their integers.

    Raises:
        ConversionError: the model cannot be captured, or is quantized in another way than the accelerators compute.
    """
    module = capture(model, inputs)
    record("captured", module)
    given = take_over(module)
    steps = [step for step in REWRITES if integers or step not in (trim_convolutions, rows_as_images, linear_layers_of_images)]
    if given.weights:
        steps = [step for step in steps if step not in (trim_convolutions, linear_layers_of_images)]
    if spectral is not None and not given.weights:
        steps.insert(steps.index(fold_batch_norms) + 1, spectral)
    rewrite(module, inputs, record, steps)
    of_images(module, given)
    return module, given


def rewrite(module: GraphModule, inputs: Sequence[torch.Tensor], record: Record, steps: Sequence[Rewrite]) -> None:
    """Runs rewrites in place and compares the results on the example inputs after each, unless they are random.

    Raises:
        ConversionError: a rewrite changed the model's results by more than rounding.
    """
    # A model with random results is refused later, with all else that is not supported.
    compared = not any(fx.is_random(node) for node in module.graph.nodes)
    expected = results(module, inputs) if compared else []
    for step in steps:
        step(module)
        module.graph.eliminate_dead_code()
        module.graph.lint()
        module.recompile()
        for index, (before, after) in enumerate(zip(expected, results(module, inputs) if compared else [], strict=True)):
            error = difference(before, after)
            if not error <= TOLERANCE:
                raise ConversionError(
                    f"{step.__name__} changed output {index} of the model by {error:g} of its range, more than rounding explains; "
                    "this is a defect of the converter: please report it with the model"
                )
        record(step.__name__, module)

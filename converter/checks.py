"""What a model and its example inputs must be, and every misuse by its name, before any work is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.fx import GraphModule
from torch.nn.parameter import is_lazy

from cosoc.converter import fx
from cosoc.converter.errors import ConversionError
from cosoc.converter.plain_weights import with_plain_weights

Inputs = tuple[torch.Tensor, ...]


def check_inputs(example_inputs: object) -> Inputs:
    """The example inputs as a tuple of tensors.

    Raises:
        ConversionError: something else was given.
    """
    values = (example_inputs,) if isinstance(example_inputs, torch.Tensor) else example_inputs
    if not isinstance(values, tuple | list) or not values or not all(isinstance(value, torch.Tensor) for value in values):
        raise ConversionError("example_inputs must be a tensor or a non-empty tuple of tensors, one for each input of the model")
    for index, value in enumerate(values):
        if value.layout != torch.strided or value.is_quantized or (value.dtype.itemsize < 2 and value.is_floating_point()):
            kind = value.dtype if value.layout == torch.strided else value.layout
            raise ConversionError(
                f"example input {index} is {kind}; pass a dense tensor of real or complex numbers, integers or bools"
            )
        if 0 in value.shape or value.dim() > 8:
            raise ConversionError(
                f"example input {index} has shape {tuple(value.shape)}; expected at most 8 dimensions, none of them 0"
            )
        if value.device.type != "cpu":
            raise ConversionError(f"example input {index} is on {value.device}; pass a tensor on the CPU")
        if (value.is_floating_point() or value.is_complex()) and not torch.isfinite(value).all():
            raise ConversionError(f"example input {index} contains NaN or infinity")
    return tuple(value.detach() for value in values)


def check_model(model: object) -> nn.Module:
    """The model, when it is ready to be converted.

    Raises:
        ConversionError: not a module, in training mode, or with parameters that are no finite float32 and do not become such.
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ConversionError(f"{model.__name__} is a class; pass an instance of it: {model.__name__}()")
    if not isinstance(model, nn.Module):
        raise ConversionError(f"the model must be a torch.nn.Module, found {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise ConversionError(f"{type(model).__name__} is TorchScript; pass the torch.nn.Module that it was made of")
    empty = [name for name, value in model.named_parameters() if is_lazy(value)]
    if empty:
        raise ConversionError(f"parameters have no size yet: {shortened(empty)}; call the model once with an input")
    model = with_plain_weights(model)
    # An exported graph has no mode: its operations say how they compute.
    modules = [] if isinstance(model, GraphModule) else model.named_modules()
    training = [name or "the model itself" for name, module in modules if module.training]
    if training:
        raise ConversionError(f"the model is in training mode ({shortened(training)}); call model.eval() before converting it")
    state = [*model.named_parameters(), *model.named_buffers()]
    elsewhere = [f"{name} is on {value.device}" for name, value in state if value.device.type != "cpu"]
    if elsewhere:
        raise ConversionError(
            f"parameters must be on the CPU: {shortened(elsewhere)}; call model.cpu(), or load weights where there are none yet"
        )
    wrong = [f"{name} is {value.dtype}" for name, value in state if value.is_floating_point() and value.dtype != torch.float32]
    if wrong:
        raise ConversionError(f"parameters must be torch.float32: {shortened(wrong)}; call model.float()")
    broken = [name for name, value in state if not is_usable(model, name, value)]
    if broken:
        raise ConversionError(f"NaN or infinity in {shortened(broken)}; train the model again or load other weights")
    return model


def is_usable(model: nn.Module, name: str, value: torch.Tensor) -> bool:
    """Whether a model can compute with a parameter or buffer. A mask, which is a buffer, may have infinities."""
    if not (value.is_floating_point() or value.is_complex()):
        return True
    owner = model.get_submodule(name.rpartition(".")[0])
    mask = name in dict(model.named_buffers()) and not isinstance(owner, nn.modules.batchnorm._NormBase)
    return not bool(value.isnan().any() if mask else (~value.isfinite()).any())


def shortened(names: list[str], limit: int = 8) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def tensors(model: nn.Module, inputs: Inputs) -> list[torch.Tensor]:
    """Copies of all tensors that a model returns."""
    with torch.no_grad():
        leaves = torch.utils._pytree.tree_leaves(model(*inputs))
    found = [leaf.clone() for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if not found:
        raise ConversionError("the model returns no tensor; return what it computes")
    return found


def require_no_state(
    inputs: Inputs, used: Inputs, first: Sequence[torch.Tensor], second: Sequence[torch.Tensor], buffers: Iterable[str]
) -> None:
    """A model changes nothing, and gives the same results when it is called again.

    Args:
        used: copies of the inputs, which a call has seen.
        first, second: results of two calls.
        buffers: that a call changes.

    Raises:
        ConversionError: it does not.
    """
    changed = [str(index) for index, (value, after) in enumerate(zip(inputs, used, strict=True)) if not equal(value, after)]
    if changed:
        raise ConversionError(
            f"the model changes its input {', '.join(changed)} in place; write x = x + 1 instead of x += 1, and inplace=False "
            "for a layer that reads an input"
        )
    if (names := ", ".join(buffers)) or not all(equal(a, b) for a, b in zip(first, second, strict=True)):
        raise ConversionError(
            (f"the model changes its buffer {names}" if names else "the model gives other results when it is called again")
            + "; a converted model keeps no state: pass the state as an input and return the new one, and draw no random numbers"
        )


def equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors have the same values, of which some may be NaN."""
    return torch.equal(a, b) or (torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num()))


def check_constants(module: GraphModule) -> None:
    """No tensor that the model keeps, also as a plain attribute, has a NaN; infinities, as masks have them, are numbers.

    Raises:
        ConversionError: one does.
    """
    for node in module.graph.nodes:
        value = fx.tensor_of(module, node)
        if value is not None and (value.is_floating_point() or value.is_complex()) and value.isnan().any():
            readers = ", ".join(fx.place(user) for user in node.users)
            raise ConversionError(f"NaN in the constant {node.target}, which {readers} reads; load other values")

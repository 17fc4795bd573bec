"""Models that torchao's `quantize_` has changed: their weights are tensors of its own types, which become float32 again."""

from __future__ import annotations

import copy

from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from cosoc.converter.errors import ConversionError

TRAINING = "torchao.quantization.qat"
"""Package of the modules that quantize and dequantize while a model is trained."""


def with_plain_weights(model: nn.Module) -> nn.Module:
    """The model, or a copy with float32 in the place of quantized parameters and buffers.

    What `quantize_` says about activations, which it quantizes for each input anew, is lost: their scales come from calibration.

    Raises:
        ConversionError: a tensor that cannot be dequantized, or a module of quantization-aware training.
    """
    trained = [item for item in model.named_modules() if type(item[1]).__module__.startswith(TRAINING)]
    if trained:
        name, module = trained[0]
        raise ConversionError(
            f"the model is still prepared for quantization-aware training: {name or 'the model'} is a {type(module).__name__}; "
            'finish it with torchao.quantization.quantize_(model, QATConfig(base_config, step="convert")), or train with PT2E'
        )
    state = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    names = [name for name, value in state if is_traceable_wrapper_subclass(value)]
    if not names:
        return model
    model = copy.deepcopy(model)
    for name in names:
        path, _, attribute = name.rpartition(".")
        module = model.get_submodule(path)
        value = getattr(module, attribute)
        try:
            plain = value.dequantize().detach()
        except Exception as error:  # of whatever kind the tensor's class has for it
            raise ConversionError(
                f"{name} is a {type(value).__name__}, which cannot be dequantized; convert the model as it was before"
            ) from error
        delattr(module, attribute)
        module.register_buffer(attribute, plain)
    return model

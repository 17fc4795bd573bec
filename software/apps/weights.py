"""Weights of the applications' networks: what training writes and applications load."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors.torch import load_file, save_file
from torch import nn

Network = TypeVar("Network", bound=nn.Module)

COUNTER = "num_batches_tracked"
"""Counters of batches are not stored: only the training of batch norms without momentum uses them."""


def save(model: nn.Module, path: Path) -> None:
    """Writes a model's parameters and buffers as .safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items() if not name.endswith(COUNTER)}, path)


def load(model: Network, path: Path) -> Network:
    """The model in eval mode with the weights of a file.

    Raises:
        ValueError: the file is of another network.
    """
    missing, unexpected = model.load_state_dict(load_file(path), strict=False)
    wrong = [name for name in missing if not name.endswith(COUNTER)] + unexpected
    if wrong:
        raise ValueError(f"{path} does not fit {type(model).__name__}: {', '.join(wrong)}; train again")
    return model.eval()

"""What the commands read: the user's model, weights and data; and how they end on a user's mistake."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
import typer
from numpy.typing import NDArray
from torch.export import ExportedProgram

from cosoc.converter import exported
from cosoc.converter.capture import first_line, user_line
from cosoc.converter.errors import BundleError, ConversionError


def one_message(command: Callable[..., None]) -> Callable[..., None]:
    """A command that prints the message of a user's mistake and ends with status 1, without a traceback."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ConversionError, BundleError) as error:
            print(f"cosoc: {error}", file=sys.stderr)
            raise typer.Exit(1) from None

    return guarded


def load_name(text: str, expected: str) -> tuple[Path, ModuleType, str]:
    """The file, the module and the name that `path.py:Name` names; the module's code has run.

    Random numbers are the same ones each time: a model without `--weights` has the same ones in every command.

    Raises:
        ConversionError: no such file, or its code fails.
    """
    file, _, name = text.rpartition(":")
    path = Path(file)
    if not file or not name.isidentifier():
        raise ConversionError(f"{text} names no {expected}; expected path.py:Name, such as model.py:Model")
    if not path.is_file():
        raise ConversionError(f"there is no file {path}; expected path.py:Name, such as model.py:Model")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if specification is None or specification.loader is None:
        raise ConversionError(f"{path} is no Python file; expected path.py:Name, such as model.py:Model")
    # The model may import files that lie beside it; source lines and pickling need the module by name.
    sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module
    torch.manual_seed(0)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise failed(text, error) from error
    return path, module, name


def failed(text: str, error: Exception) -> ConversionError:
    """The user's code fails."""
    line = user_line(error)
    return ConversionError(
        f"{text} fails: {type(error).__name__}: {first_line(error)}"
        + (f"\n  at {line}" if line else "\n  expected a class or function that needs no arguments")
    )


def load_model(text: str) -> torch.nn.Module | ExportedProgram:
    """The model that `path.py:Name` names: a module, or a class or function that makes one without arguments; in eval mode.
    `path.pt2` is the file of an exported program.

    Raises:
        ConversionError: no such file or name, or its code fails.
    """
    if text.endswith(exported.SUFFIX):
        return exported.read(Path(text))
    path, module, name = load_name(text, "model")
    found = getattr(module, name, None)
    try:
        model = found() if callable(found) and not isinstance(found, torch.nn.Module) else found
    except Exception as error:
        raise failed(text, error) from error
    if not isinstance(model, torch.nn.Module):
        classes = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, torch.nn.Module)]
        raise ConversionError(f"{path} has no torch.nn.Module named {name}; it has {', '.join(sorted(classes)) or 'none at all'}")
    return model.eval()


def load_function(text: str) -> Callable[..., Any]:
    """The function that `path.py:name` names; where it fails, it does so with a ConversionError.

    Raises:
        ConversionError: no such file or function, or the file's code fails.
    """
    path, module, name = load_name(text, "function")
    found = getattr(module, name, None)
    if not callable(found):
        raise ConversionError(f"{path} has no function named {name}")
    function = cast(Callable[..., Any], found)

    @wraps(function)
    def guarded(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except ConversionError:
            raise
        except Exception as error:
            raise failed(text, error) from error

    return guarded


def load_weights(model: torch.nn.Module | ExportedProgram, path: Path) -> None:
    """Loads a .safetensors file into a model. Counters of batches may be missing: only training uses them.

    Raises:
        ConversionError: unreadable, or of another model, or the model is an exported program.
    """
    if isinstance(model, ExportedProgram):
        raise ConversionError(f"--weights {path} goes with path.py:Name; an exported program has its weights")
    try:
        state = safetensors.torch.load_file(path)
    except Exception as error:  # a missing file, or one of the library's own errors
        raise ConversionError(f"the weights {path} cannot be read: {first_line(error)}; expected a .safetensors file") from error
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ConversionError(f"the weights {path} do not fit the model: {error}") from error
    absent = [name for name in missing if not name.endswith("num_batches_tracked")]
    if absent or unexpected:
        parts = [f"missing {', '.join(absent)}"] * bool(absent) + [f"unknown {', '.join(unexpected)}"] * bool(unexpected)
        raise ConversionError(f"the weights {path} do not fit the model: {'; '.join(parts)}")


def load_arrays(path: Path) -> list[NDArray[Any]]:
    """Samples from a .npz file with one array for each input of the model, in their order, or from a .npy file.

    Raises:
        ConversionError: unreadable.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        return [loaded] if isinstance(loaded, np.ndarray) else [loaded[name] for name in loaded.files]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ConversionError(f"the calibration data {path} cannot be read: {first_line(error)}; expected .npz or .npy") from error


def require_count(path: Path, arrays: list[NDArray[Any]], count: int) -> None:
    """There is an array for each of `count` inputs.

    Raises:
        ConversionError: there are more or fewer.
    """
    if len(arrays) != count:
        raise ConversionError(f"the calibration data {path} has {len(arrays)} arrays; the model has {count} inputs")


def in_batches(
    path: Path, arrays: list[NDArray[Any]], inputs: tuple[torch.Tensor, ...]
) -> NDArray[Any] | Sequence[tuple[NDArray[Any], ...]]:
    """Samples of a file as `convert` takes them: an array alone, several ones in batches.

    Raises:
        ConversionError: the model has another number of inputs.
    """
    require_count(path, arrays, len(inputs))
    if len(arrays) == 1:
        return arrays[0]
    batch = len(inputs[0])
    count = min(len(array) for array in arrays) // batch
    return [tuple(array[index * batch : (index + 1) * batch] for array in arrays) for index in range(count)]


def random_input(shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Normally distributed numbers; integers are 0 and 1, which index every table of two rows."""
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(shape, generator=generator, dtype=dtype)
    return torch.randint(0, 2, shape, generator=generator).to(dtype)

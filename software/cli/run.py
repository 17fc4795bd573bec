"""`cosoc run`: a bundle on the accelerators, through the runtime."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from cosoc.cli.errors import UserError
from cosoc.cli.tables import console, task_table
from cosoc.runtime import Model, Session

DEFAULT_SOC = Path("build/sim-c2d1-fft1-zip1")
"""The build that `./dev scons` makes without options."""

POLICY_HELP = "RR, RANDOM, MET, EFT, ETF, HEFT_RT, HEFT, ENERGY, FAIR, or the path of a shared object with a policy"
"""Help of the option `--policy`."""

SEED_HELP = "of the policy RANDOM, and of others that draw random numbers"
"""Help of the option `--seed`."""

DEADLINE_HELP = "of each run or call, in seconds from its submission; ENERGY saves energy as long as it holds"
"""Help of the option `--deadline`."""

SoCOption = Annotated[Path, typer.Option("--soc", help="directory of a build, with soc.json")]


def command(
    bundle: Annotated[Path, typer.Argument(help="bundle, as `cosoc convert` writes it")],
    soc: SoCOption = DEFAULT_SOC,
    mode: Annotated[str, typer.Option(help="rtl, functional, model (durations only), cpu; board on a board")] = "functional",
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "EFT",
    input: Annotated[list[Path] | None, typer.Option(help="input as .npy, once for each; seeded random when absent")] = None,
    output: Annotated[Path | None, typer.Option(help="writes the outputs here as .npz")] = None,
    trace: Annotated[Path | None, typer.Option(help="writes a trace here that the Perfetto UI opens")] = None,
    costs: Annotated[Path | None, typer.Option(help="measured costs, as `cosoc calibrate` writes them")] = None,
    seed: Annotated[int, typer.Option(min=1, help=SEED_HELP)] = 1,
    deadline: Annotated[float | None, typer.Option(help=DEADLINE_HELP)] = None,
) -> None:
    """Runs a bundle once and prints where each node ran."""
    with Session(soc=soc, mode=mode, policy=policy, trace=trace, costs=costs, seed=seed, deadline=deadline) as session:
        model = session.load(bundle)
        inputs = [load_array(path) for path in input] if input else random_inputs(model)
        outputs = model.run(inputs)
        console.print(task_table(model.report()))
    for name, array in zip(model.outputs, outputs, strict=True):
        values = np.array2string(array.reshape(-1)[:8], precision=4, suppress_small=True)
        console.print(f"{name} {array.dtype}{list(array.shape)}: {values}{' ...' if array.size > 8 else ''}")
    if output is not None:
        save_arrays(output, dict(zip(model.outputs, outputs, strict=True)))


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Writes arrays by name as .npz; the file appears under its name only when it is complete."""
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write the outputs to {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def load_array(path: Path) -> NDArray[Any]:
    """Reads a .npy file without executing anything in it."""
    try:
        with path.open("rb") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise UserError(f"cannot read the input {path}: {error.strerror}; expected a .npy file") from error
    except (ValueError, EOFError) as error:
        raise UserError(f"the input {path} is no .npy file, or truncated; write it with numpy.save") from error
    return array


def random_inputs(model: Model) -> list[NDArray[Any]]:
    """Standard normal values, the same in every run; integers are 0 and 1, which index every table of two rows."""
    generator = np.random.default_rng(0)

    def random(shape: list[int], dtype: str) -> NDArray[Any]:
        if dtype in ("float32", "complex64"):
            values: NDArray[Any] = generator.standard_normal(shape, dtype=np.float32)
        else:
            values = generator.integers(0, 2, shape)
        return values.astype(dtype)

    return [random(model.tensors[name]["shape"], model.tensors[name]["dtype"]) for name in model.inputs]

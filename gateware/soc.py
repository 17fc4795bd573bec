"""What accelerators a SoC has: how many of each kind, and their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.parameters import Config, ParameterError
from cosoc.gateware.resources import Resources

MAX_COUNT = 16
"""Most accelerators of one kind; a board may allow fewer."""


@dataclass(frozen=True)
class Instance:
    """One accelerator of a SoC; `name` is its kind and a number, such as `c2d0`."""

    name: str
    accelerator: Accelerator
    config: Config


@dataclass(frozen=True)
class Group:
    """All accelerators of one kind: they share their parameters, hence one Verilog module."""

    accelerator: Accelerator
    count: int
    config: Config


@dataclass(frozen=True)
class SoCConfig:
    """The accelerators of a SoC, in the order of `accelerators.py`; independent of any board."""

    groups: tuple[Group, ...]

    @classmethod
    def make(cls, counts: Mapping[str, int], parameters: Mapping[str, int] | None = None) -> SoCConfig:
        """A SoC from the values of build options.

        Args:
            counts: accelerators by name (`{"c2d": 2}`); those that are not named are absent.
            parameters: values other than the defaults, by `<name>_<parameter>` (`{"c2d_output_lanes": 8}`).

        Raises:
            ParameterError: an unknown name, or a value that is not allowed; the message names it and what is allowed.
        """
        unread = dict(parameters or {})
        unknown = set(counts) - {accelerator.name for accelerator in ACCELERATORS}
        if unknown:
            known = ", ".join(accelerator.name for accelerator in ACCELERATORS)
            raise ParameterError(f"no accelerator {', '.join(sorted(unknown))}; there are {known}")
        groups = []
        for accelerator in ACCELERATORS:
            count = counts.get(accelerator.name, 0)
            if count not in range(MAX_COUNT + 1):
                raise ParameterError(f"{accelerator.name}={count} is not possible; allowed: 0..{MAX_COUNT}")
            own = {
                item.name: unread.pop(f"{accelerator.name}_{item.name}")
                for item in fields(accelerator.config)
                if f"{accelerator.name}_{item.name}" in unread
            }
            groups.append(Group(accelerator, count, accelerator.config(**own)))
        if unread:
            raise ParameterError(f"no parameter {', '.join(sorted(unread))} of any accelerator")
        return cls(tuple(groups))

    def present(self) -> Iterator[Group]:
        """Kinds of which there is at least one."""
        return (group for group in self.groups if group.count)

    def instances(self) -> Iterator[Instance]:
        """All accelerators, in the order of their addresses."""
        for group in self.groups:
            for number in range(group.count):
                yield Instance(f"{group.accelerator.name}{number}", group.accelerator, group.config)

    def resources(self) -> Resources:
        """Estimated FPGA resources of all accelerators."""
        return sum((group.accelerator.resources(group.config) * group.count for group in self.present()), Resources())

    def describe_counts(self) -> str:
        """The counts as they stand on a command line: `c2d=2 fft=1 zip=1`."""
        return " ".join(f"{group.accelerator.name}={group.count}" for group in self.groups)

"""Parameters of a block: frozen dataclasses whose fields carry their allowed values and their help.

One declaration serves the gateware, the golden model, the generated C++ header, the cost model and the options of the build
(`scons c2d_input_lanes=8`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any


class ParameterError(ValueError):
    """A parameter has a value that is not allowed; the message names it, the value and what is allowed."""


def parameter(default: int, *, allowed: Sequence[int], help: str) -> Any:
    """A field of a `Config`: an integer from `allowed` (a `range` or a list)."""
    return field(default=default, metadata={"allowed": allowed, "help": help})


def describe_allowed(allowed: Sequence[int]) -> str:
    """`1..7` or `64..1024 in steps of 8` for a range, `8, 16, 32` otherwise."""
    if isinstance(allowed, range):
        return f"{allowed[0]}..{allowed[-1]}" + (f" in steps of {allowed.step}" if allowed.step != 1 else "")
    return ", ".join(str(value) for value in allowed)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of every block's parameters: validates each field when it is made.

    Raises:
        ParameterError: a field is not among its allowed values.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            self._check(item, getattr(self, item.name))

    def _check(self, item: Field[Any], value: object) -> None:
        allowed = item.metadata["allowed"]
        if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
            raise ParameterError(
                f"{type(self).__name__}.{item.name} = {value!r} is not possible; allowed: {describe_allowed(allowed)}"
            )

    def hash(self) -> int:
        """32 bits that identify these values: what the CONFIG_HASH register holds."""
        text = json.dumps([type(self).__name__, asdict(self)], sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

"""What the rest of the system needs to know of the ZIP accelerator."""

from __future__ import annotations

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.zip.config import COMMAND, ZIPConfig, ZIPOperation

ACCELERATOR = Accelerator(
    name="zip",
    module="zip",
    title="ZIP",
    kind=3,
    config=ZIPConfig,
    command=COMMAND,
    enums=(ZIPOperation,),
)

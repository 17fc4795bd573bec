"""What the rest of the system needs to know of the FIR accelerator."""

from __future__ import annotations

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.fir.config import COMMAND, FIRConfig, FIROperation

ACCELERATOR = Accelerator(
    name="fir",
    module="fir",
    title="FIR",
    kind=4,
    config=FIRConfig,
    command=COMMAND,
    enums=(FIROperation,),
)

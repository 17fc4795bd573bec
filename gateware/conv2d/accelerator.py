"""What the rest of the system needs to know of the Conv2D accelerator."""

from __future__ import annotations

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.conv2d.config import COMMAND, Conv2DConfig, Conv2DOperation
from cosoc.gateware.conv2d.isa import INSTRUCTION_SET

ACCELERATOR = Accelerator(
    name="c2d",
    module="conv2d",
    title="Conv2D",
    kind=1,
    config=Conv2DConfig,
    command=COMMAND,
    enums=(Conv2DOperation,),
    instructions=INSTRUCTION_SET,
)

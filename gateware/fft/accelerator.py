"""What the rest of the system needs to know of the FFT accelerator."""

from __future__ import annotations

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.fft.config import COMMAND, FFTConfig, FFTOperation, NumberFormat

ACCELERATOR = Accelerator(
    name="fft",
    module="fft",
    title="FFT",
    kind=2,
    config=FFTConfig,
    command=COMMAND,
    enums=(FFTOperation, NumberFormat),
)

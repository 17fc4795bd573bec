"""A SoC in simulation: the ZCU102's addresses, interrupts, clock and memory ports, without its limits."""

from cosoc.boards.platform import Platform

PLATFORM = Platform(
    name="sim",
    title="the SoC as one Verilated model behind the runtime",
    counts={"c2d": 1, "fft": 1, "zip": 1},
    architecture="native",
    clock_hz=300_000_000,
    cpu_cores=4,
    memory_base=0,
    memory_bytes=256 << 20,
    memory_latency_ns=150,
    register_base=0xA000_0000,
    register_bytes=256 << 20,
    interrupts=(*range(89, 97), *range(104, 112)),
    memory_ports=("HP0", "HP3", "HP1"),
    device=None,
    rtl=True,
)

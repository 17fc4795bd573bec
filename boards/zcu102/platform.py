"""The AMD ZCU102: a Zynq UltraScale+ XCZU9EG with four Cortex-A53."""

from cosoc.boards.platform import Device, Platform
from cosoc.gateware.resources import Resources

PLATFORM = Platform(
    name="zcu102",
    title="AMD ZCU102 (XCZU9EG): Vivado scripts, device tree, software for aarch64, archive to deploy",
    counts={"c2d": 2, "fft": 1, "zip": 1},
    # 1,024 MACs per cycle in each of the two Conv2D.
    parameters={"c2d_output_lanes": 16, "c2d_pixel_lanes": 4, "c2d_memory_ports": 2},
    architecture="aarch64",
    clock_hz=300_000_000,
    cpu_cores=4,
    # Accelerators see DDR at the CPU's addresses; the base of the shared buffer is known when u-dma-buf has allocated it.
    memory_base=0,
    memory_bytes=256 << 20,
    memory_latency_ns=150,  # an estimate
    register_base=0xA000_0000,  # M_AXI_HPM0_FPD
    register_bytes=256 << 20,
    interrupts=(*range(89, 97), *range(104, 112)),  # pl_ps_irq0[7:0], pl_ps_irq1[7:0]
    # Of the pairs, HP0 and HP3 have the highest measured bandwidth; HP1 adds the most to those two, a fourth port nothing.
    memory_ports=("HP0", "HP3", "HP1"),
    device=Device(
        part="xczu9eg-ffvb1156-2-e",
        resources=Resources(lut=274_080, ff=548_160, dsp=2_520, bram36=912),
        usable=80,
    ),
    rtl=False,
)

"""The archive that goes to a ZCU102, and its README."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from cosoc.boards.soc import SoC
from cosoc.boards.zcu102.device_tree import MEMORY_NAME

_RUN = "cosoc-run"
"""The program that runs a bundle; the others are applications of their own."""

_README = """\
# cosoc for the ZCU102: @COUNTS@

| accelerator | registers | interrupt (SPI) | memory ports |
|---|---|---|---|
@TABLE@

All run at @CLOCK@ MHz. No part of this archive was run on a physical board, and the scripts were checked without Vivado: expect to
look at the first synthesis, its timing report above all.

## 1. Make the bitstream

On a machine with Vivado 2022.1 or later and the ZCU102's board files:

    cd vivado
    vivado -mode batch -source project.tcl

It writes `cosoc.bit.bin`, `cosoc.xsa`, `utilization.rpt` and `timing.rpt` into `vivado/`. Timing must be met: `timing.rpt` says so.

## 2. Copy to the board

The board runs Linux for aarch64 with glibc 2.36 and libstdc++ of g++ 12 or later (Debian 12, Ubuntu 24.04), the drivers
`uio_pdrv_genirq` and `u-dma-buf` (https://github.com/ikwzm/udmabuf), a device tree whose nodes carry symbols (`dtc -@`), and
`uio_pdrv_genirq.of_id=generic-uio` among the arguments of the kernel. The contiguous memory allocator needs
@MEMORY@ MiB (`cma=@CMA@M`).

    scp -r . root@board:/opt/cosoc
    ssh root@board cp /opt/cosoc/vivado/cosoc.bit.bin /lib/firmware/

## 3. Load the design

On the board, as root:

    modprobe uio_pdrv_genirq of_id=generic-uio
    modprobe u-dma-buf
    fpgautil -b /lib/firmware/cosoc.bit.bin -o /opt/cosoc/firmware/cosoc.dtbo

`ls /sys/class/uio` then shows @COUNT@ devices more, and `/dev/@BUFFER@` exists.

## 4. Run

    cd /opt/cosoc
@RUN@

Each program explains its options with `--help`. `soc.json` tells the runtime what the bitstream contains; the runtime compares
it with the registers of every accelerator and refuses a bitstream of another build.

## Contents

| | |
|---|---|
| `bin/`, `lib/` | programs and runtime |
| `soc.json`, `bundle/` | description of the SoC; the model |
| `firmware/` | device-tree overlay: source and compiled |
| `vivado/`, `verilog/` | project, block design and wrappers; the accelerators |
| `include/` | C++ headers of registers and commands |
"""


def readme(soc: SoC, programs: list[str]) -> str:
    """The steps on the board, for `programs` in bin/."""
    rows = [f"| {p.name} | {p.base:#x} | {p.interrupt} | {', '.join(p.memory_ports)} |" for p in soc.accelerators]
    megabytes = soc.platform.memory_bytes >> 20
    values = {
        "COUNTS": soc.config.describe_counts(),
        "TABLE": "\n".join(rows),
        "CLOCK": str(soc.platform.clock_hz // 1_000_000),
        "MEMORY": str(megabytes),
        "CMA": str(2 * megabytes),
        "COUNT": str(len(rows)),
        "BUFFER": MEMORY_NAME,
        "RUN": "\n".join(f"    bin/{name}{' bundle' if name == _RUN else ''} --soc soc.json --mode board" for name in programs),
    }
    text = _README
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def archive(folder: str, files: Mapping[str, Path]) -> bytes:
    """A .tar.gz of files, by their names below `folder`; equal content gives equal bytes, whenever and wherever it is made."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name in sorted(files):
            content = files[name].read_bytes()
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            entry.mode = 0o755 if name.startswith("bin/") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()

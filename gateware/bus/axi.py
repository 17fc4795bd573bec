"""AXI4 and AXI4-Lite as Amaranth signatures, seen from the manager.

Member names are the signal names of the AXI specification, in lower case, so that a port `m_axi` becomes `m_axi_awaddr` and so on.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

BOUNDARY_BYTES = 4096
"""No burst crosses a multiple of this."""

MAX_BURST_BEATS = 256


class Response(IntEnum):
    """BRESP and RRESP; bit 1 is set for errors."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class Burst(IntEnum):
    """AWBURST and ARBURST."""

    FIXED = 0
    INCR = 1
    WRAP = 2


CACHE_NORMAL = 0b0011
"""AxCACHE: normal memory, non-cacheable, bufferable, modifiable."""

PROT_DATA = 0b000
"""AxPROT: unprivileged, secure, data."""


def _address_channel(prefix: str, address_bits: int, id_bits: int) -> dict[str, wiring.Member]:
    return {
        f"{prefix}id": Out(id_bits),
        f"{prefix}addr": Out(address_bits),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}lock": Out(1),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}qos": Out(4),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


class AXI4(wiring.Signature):
    """An AXI4 manager.

    Args:
        address_bits, data_bits, id_bits: widths.
    """

    def __init__(self, *, address_bits: int = 64, data_bits: int = 128, id_bits: int = 4) -> None:
        self.address_bits = address_bits
        self.data_bits = data_bits
        self.id_bits = id_bits
        super().__init__(
            {
                **_address_channel("aw", address_bits, id_bits),
                "wdata": Out(data_bits),
                "wstrb": Out(data_bits // 8),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bid": In(id_bits),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                **_address_channel("ar", address_bits, id_bits),
                "rid": In(id_bits),
                "rdata": In(data_bits),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AXI4Lite(wiring.Signature):
    """An AXI4-Lite manager with 32 bits of data.

    Args:
        address_bits: width of the addresses.
    """

    def __init__(self, *, address_bits: int) -> None:
        self.address_bits = address_bits
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )

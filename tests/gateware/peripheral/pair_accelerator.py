"""An accelerator of two managers, for tests of what surrounds it."""

from dataclasses import dataclass
from typing import Any

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.parameters import Config, parameter
from tests.gateware.pair_core import PAIR, PairCore


@dataclass(frozen=True, kw_only=True)
class PairConfig(Config):
    """Announces two managers."""

    memory_ports: int = parameter(2, allowed=[1, 2], help="AXI managers")
    memory_port_bits: int = parameter(128, allowed=[32, 64, 128], help="bits of a manager's data")


class PairAccelerator(Accelerator):
    """Has its core here."""

    def core(self, config: Config) -> Any:
        return PairCore()


PAIR_ACCELERATOR = PairAccelerator(name="pair", module="pair", title="Pair", kind=201, config=PairConfig, command=PAIR, enums=())
PAIR_CONFIG = PairConfig()

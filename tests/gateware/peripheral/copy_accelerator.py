"""An accelerator made of the copying core, for tests of the peripheral."""

from typing import Any

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.parameters import Config
from cosoc.gateware.zip.config import ZIPConfig
from tests.gateware.copy_core import COPY, CopyCore


class CopyAccelerator(Accelerator):
    """Has its core here; its parameter is a stand-in."""

    def core(self, config: Config) -> Any:
        return CopyCore()


COPY_ACCELERATOR = CopyAccelerator(name="copy", module="copy", title="Copy", kind=200, config=ZIPConfig, command=COPY, enums=())
COPY_CONFIG = ZIPConfig(lanes=1)

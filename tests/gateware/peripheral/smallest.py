"""A small configuration of every accelerator, so that what surrounds its core can be tested quickly."""

from dataclasses import fields

from cosoc.gateware.accelerator import Accelerator
from cosoc.gateware.parameters import Config


def smallest(accelerator: Accelerator) -> Config:
    """Every parameter has the least value that is allowed."""
    return accelerator.config(**{item.name: min(item.metadata["allowed"]) for item in fields(accelerator.config)})

"""The list of accelerators: one line each. Build options, headers, boards, drivers and tests follow from it."""

from __future__ import annotations

import importlib

from cosoc.gateware.accelerator import Accelerator

MODULES = (
    "conv2d",
    "fft",
    "zip",
    "fir",
)
"""Folders of gateware/ with an `accelerator.py`, in the order of addresses."""

ACCELERATORS: tuple[Accelerator, ...] = tuple(
    importlib.import_module(f"cosoc.gateware.{module}.accelerator").ACCELERATOR for module in MODULES
)

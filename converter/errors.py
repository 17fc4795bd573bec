"""Errors of the converter: messages for the person at the keyboard."""

from __future__ import annotations


class ConversionError(Exception):
    """The model, its example inputs, its calibration data or an option cannot be used; the message says why and what to do."""


class BundleError(Exception):
    """A bundle cannot be read or written; the message names the file, what was expected and what was found."""


class EmulationError(Exception):
    """The inputs do not fit the graph, or the graph has an operation of another kind of model."""

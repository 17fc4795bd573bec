"""Python functions as kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from cosoc.runtime.device_array import Type, view_storage
from cosoc.runtime.library import KernelFunction, Library

MOST_ERRORS = 64
"""Of exceptions that nobody asked for."""


class PythonKernel:
    """A Python function that the library calls on threads of its own; ctypes takes the interpreter's lock for it.

    Attributes:
        native: what the library calls; lives as long as this object.
    """

    def __init__(self, library: Library, function: Callable[..., object], inputs: Sequence[Type], outputs: Sequence[Type]) -> None:
        self._library = library
        self._function = function
        self._inputs = inputs
        self._outputs = outputs
        self._errors: list[tuple[str, BaseException]] = []
        self.native = KernelFunction(self._run)

    def _run(self, _context: object, inputs: Any, outputs: Any, message: int, message_bytes: int) -> int:
        try:
            with self._library.kernel():
                views = []
                for types, buffers, writeable in ((self._inputs, inputs, False), (self._outputs, outputs, True)):
                    for i, kind in enumerate(types):
                        view = view_storage(buffers[i].data, buffers[i].bytes, kind.dtype, kind.shape, None)
                        view.flags.writeable = writeable
                        views.append(view)
                self._function(*views)
            return 0
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
            self._errors = [*self._errors[-MOST_ERRORS + 1 :], (text, error)]
            encoded = text.encode()[: message_bytes - 1] + b"\0"
            ctypes.memmove(message, encoded, len(encoded))
            return 1

    def take_error(self, message: str) -> BaseException | None:
        """The exception that a message of the runtime speaks of."""
        for i, (text, error) in enumerate(self._errors):
            if text in message:
                del self._errors[i]
                return error
        return None

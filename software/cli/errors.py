"""Mistakes of the user: one message on the command line, no traceback."""

from __future__ import annotations


class UserError(Exception):
    """What was expected, what was found, what to do."""

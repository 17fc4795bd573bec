"""The C++ runtime in Python: open a SoC, load a bundle, run it on NumPy arrays."""

from cosoc.runtime.library import CosocError
from cosoc.runtime.session import Model, RunSummary, Session, TaskRecord, TensorInfo

__all__ = ["CosocError", "Model", "RunSummary", "Session", "TaskRecord", "TensorInfo"]

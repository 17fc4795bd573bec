"""The C++ runtime in Python: open a SoC, run bundles or call kernels one by one, on NumPy arrays and torch tensors."""

from cosoc.runtime.client import Call, Client, Future
from cosoc.runtime.device_array import DeviceArray
from cosoc.runtime.library import CosocError
from cosoc.runtime.model import Model, RunSummary, TaskRecord, TensorInfo
from cosoc.runtime.session import MeasuredCost, Session
from cosoc.runtime.task_graph import TaskGraph

__all__ = [
    "Call",
    "Client",
    "CosocError",
    "DeviceArray",
    "Future",
    "MeasuredCost",
    "Model",
    "RunSummary",
    "Session",
    "TaskGraph",
    "TaskRecord",
    "TensorInfo",
]

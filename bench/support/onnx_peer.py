"""ONNX Runtime as a peer: a program of another Python, which has the packages `onnx`, `onnxruntime` and `safetensors`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PYTHON = os.environ.get("COSOC_ONNXRUNTIME", "")
"""That Python; empty where there is none."""

PACKAGES = "onnx onnxruntime safetensors"
ADVICE = f"without ONNX Runtime: `python -m venv V && V/bin/pip install {PACKAGES}`, and COSOC_ONNXRUNTIME=V/bin/python"


class OnnxRuntime:
    """A float bundle in ONNX Runtime, on one thread."""

    def __init__(self, bundle: Path) -> None:
        program = Path(__file__).with_name("onnx_network.py")
        self.process = subprocess.Popen(
            [PYTHON, str(program), str(bundle)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.sum_of_ones = self._number()
        """Of the outputs, for an input of ones."""

    def seconds(self) -> float:
        """Time of a run."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._number()

    def close(self) -> None:
        """Ends it."""
        self.process.communicate()

    def _number(self) -> float:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"ONNX Runtime in {PYTHON} ended; its message stands above")
        return float(line)

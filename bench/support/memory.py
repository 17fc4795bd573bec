"""The memory of a run, and what it cannot do without."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np

from cosoc.converter.ir import DTYPES, Graph, Node

MEASURE = """
import sys
import threading
import numpy as np
from cosoc.runtime import Session

def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon:")) * 1024

def watch():
    global largest
    while not done.wait(0.001):
        largest = max(largest, anonymous())

with Session(soc=sys.argv[1], mode="cpu", cpu_cores=1) as session:
    image = [np.zeros((1, 3, 224, 224), np.float32)]
    done = threading.Event()
    watcher = threading.Thread(target=watch)
    before = largest = anonymous()
    watcher.start()
    model = session.load(sys.argv[2])
    model.run(image)
    model.run(image)
    done.set()
    watcher.join()
    print(max(largest, anonymous()) - before)
"""
"""Calls of the runtime let the watcher work meanwhile."""

TIMEOUT = 300
"""Of a measurement, in s."""


def measured_bytes(build: Path, bundle: Path) -> int:
    """The most memory that loading a bundle and running it takes, in a process of its own, on one core.

    It counts pages that only this process has (`RssAnon`), looked at every millisecond, less those before the load; not
    those that are mapped from the bundle's file, which the system takes back when memory is short.
    """
    line = [sys.executable, "-c", MEASURE, str(build), str(bundle)]
    return int(subprocess.run(line, check=True, capture_output=True, text=True, timeout=TIMEOUT).stdout)


def live_bytes(graph: Graph) -> int:
    """The most bytes of inputs, outputs and intermediate tensors that have to exist at one time, node after node."""
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    last |= dict.fromkeys(graph.outputs, len(graph.nodes))

    def size(name: str) -> int:
        tensor = graph.tensors[name]
        return 0 if tensor.constant else math.prod(tensor.shape) * np.dtype(DTYPES[tensor.dtype]).itemsize

    alive = set(graph.inputs)
    most = 0
    for index, node in enumerate(graph.nodes):
        alive |= set(node.outputs)
        most = max(most, sum(map(size, alive)))
        alive = {name for name in alive if last.get(name, -1) > index}
    return most


def packed_bytes(graph: Graph) -> int:
    """Bytes of weights in the order in which the CPU's convolutions read them; docs/cpu-kernels.md."""
    return sum(packed_by(graph, node) for node in graph.nodes)


def packed_by(graph: Graph, node: Node) -> int:
    """Those of one node."""
    if node.op not in ("convolution", "conv2d"):
        return 0
    quantized = node.op == "conv2d"
    weight = graph.tensors[node.inputs[1]].shape
    kernel, depth = (weight[1:3], weight[3]) if quantized else (weight[2:], weight[1])
    channels, groups = weight[0] // node.attributes["groups"], node.attributes["groups"]
    plain = all(size == 3 for size in kernel) and len(kernel) == 2 and set(node.attributes["stride"]) == {1}
    winograd = plain and set(node.attributes["dilation"]) == {1} and depth >= 16 and channels >= 16
    taps = 16 if winograd else math.prod(kernel)
    if quantized:
        length = taps * whole(depth, 16) if winograd else whole(taps * depth, 16)
        return groups * whole(channels, 16) * length * 2
    if depth == 1 and channels < 6:
        return 0
    return groups * whole(channels, 6) * depth * taps * 4


def whole(count: int, of: int) -> int:
    """The next multiple."""
    return -(-count // of) * of

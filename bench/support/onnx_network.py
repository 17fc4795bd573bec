"""A float bundle as an ONNX network, timed by ONNX Runtime on one thread: a program for a Python that has them, and safetensors.

Usage: `python onnx_network.py BUNDLE`. It prints the sum of the outputs for an input of ones, then for every line of its input the
seconds of a run.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx  # type: ignore[import-not-found]
import onnxruntime  # type: ignore[import-not-found]
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file


def nodes_of(node: dict[str, Any], shapes: dict[str, list[int]]) -> list[Any]:
    """The same by ONNX's operators."""
    inputs, (output,), attributes = node["inputs"], node["outputs"], node["attributes"]
    if node["op"] == "convolution":
        window = {"strides": attributes["stride"], "dilations": attributes["dilation"], "pads": attributes["padding"] * 2}
        residual = bool(attributes.get("residual"))
        operands = inputs[:-1] if residual else inputs
        made = [helper.make_node("Conv", operands, [f"{output}.sums"], group=attributes["groups"], **window)]
        if residual:
            made.append(helper.make_node("Add", [f"{output}.sums", inputs[-1]], [f"{output}.added"]))
        last = made[-1].output[0]
        if "high" in attributes:
            made.append(helper.make_node("Clip", [last, "low", "high"], [output]))
        else:
            made.append(helper.make_node("Relu" if "low" in attributes else "Identity", [last], [output]))
        return made
    if node["op"] == "pool" and attributes["kind"] == "max":
        window = {"kernel_shape": attributes["kernel"], "strides": attributes["stride"], "pads": attributes["padding"] * 2}
        return [helper.make_node("MaxPool", inputs, [output], **window)]
    if node["op"] == "pool" and attributes["size"] == [1, 1]:
        return [helper.make_node("GlobalAveragePool", inputs, [output])]
    if node["op"] == "pool" and attributes["size"] == shapes[inputs[0]][2:]:
        return [helper.make_node("Identity", inputs, [output])]
    if node["op"] == "strided":
        return [helper.make_node("Flatten", inputs, [output])]
    if node["op"] == "matmul" and attributes["transposed"]:
        return [helper.make_node("Gemm", inputs, [output], transB=1)]
    if node["op"] == "unary" and attributes["operation"] == "relu":
        return [helper.make_node("Relu", inputs, [output])]
    raise SystemExit(f"{node['name']}: {node['op']} {attributes} has no translation to ONNX here")


def network_of(bundle: Path) -> Any:
    """The network in ONNX's format; ReLU6 is the only limit from above."""
    graph = json.loads((bundle / "graph.json").read_text())
    shapes = {tensor["name"]: tensor["shape"] for tensor in graph["tensors"]}
    constants = load_file(bundle / "weights.safetensors")
    if any("high" in node["attributes"] for node in graph["nodes"]):
        constants |= {"low": np.float32(0), "high": np.float32(6)}
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in graph[end]]
        for end in ("inputs", "outputs")
    ]
    nodes = [made for node in graph["nodes"] for made in nodes_of(node, shapes)]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(helper.make_graph(nodes, graph["name"], *ends, weights), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Builds, and runs when asked."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = network_of(Path(sys.argv[1]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    inputs = {entry.name: np.ones(entry.shape, np.float32)}
    print(float(session.run(None, inputs)[0].sum()), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        session.run(None, inputs)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()

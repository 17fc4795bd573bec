"""Transforms of real signals, transforms with a product, and int16: the golden models' bits in RTL and on the functional model."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from bench.support.node import Array, run_node
from cosoc.boards.platform import load_platform
from cosoc.boards.soc import SoC
from cosoc.converter import convert, emulation
from cosoc.converter.arithmetic import arithmetic_of
from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.arith import golden as arith
from cosoc.gateware.fft.config import FFTOperation, NumberFormat
from cosoc.gateware.fft.golden import execute, split_real
from cosoc.gateware.fft.transform import transform
from cosoc.gateware.layout.page import SLOT_BYTES, Error
from cosoc.gateware.soc import SoCConfig
from cosoc.gateware.zip.config import ZIPOperation
from cosoc.gateware.zip.golden import apply_integers
from cosoc.runtime import CosocError, Session
from tests.gateware.fft.commands import command as fft_command
from tests.gateware.fft.signals import white_noise
from tests.sim.soc_library import Soc, build_library

PARAMETERS = {
    "fft_max_log2": 4,
    "fft_number_format": int(NumberFormat.BLOCK_FLOATING_POINT),
    "fft_real_input": 1,
    "fft_multiply": 1,
    "zip_number_format": 1,
    "zip_lanes": 1,
}
"""Small, so that the RTL is quickly compiled; what is tested does not depend on the number format of the transform."""

CONFIG = SoCConfig.make({"fft": 2, "zip": 2}, PARAMETERS)
MODES = ("functional", "rtl")


@pytest.fixture(scope="module")
def soc(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SoC with these options, beside the runtime of the build under test."""
    folder = tmp_path_factory.mktemp("signal")
    placed = SoC.place(CONFIG, load_platform("sim"))
    description = json.loads(placed.json())
    instances = [
        (item.instance.name, item.instance.accelerator, item.instance.config, item.memory_ports) for item in placed.accelerators
    ]
    (folder / "rtl").mkdir()
    description["rtl"] = {"library": str(build_library(folder / "rtl", instances))}
    (folder / "soc.json").write_text(json.dumps(description))
    (folder / "lib").symlink_to(build / "lib")
    return folder


def same_bits(found: Array, expected: Array) -> bool:
    return np.array_equal(np.ascontiguousarray(found).view(np.uint8), np.ascontiguousarray(expected).view(np.uint8))


def fft_config() -> Any:
    (config,) = {item.config for item in CONFIG.instances() if item.accelerator.name == "fft"}
    return config


@pytest.mark.parametrize("length", [16, 32])
def test_real_signals(soc: Path, length: int) -> None:
    x = np.random.default_rng(1).standard_normal((3, length)).astype(np.float32)
    expected = split_real(transform(x.view(np.complex64), False, config=fft_config()))
    for mode in MODES:
        record, found = run_node(soc, "rfft", {}, {"x": x}, expected, device="fft", mode=mode)
        assert record["device"].startswith("fft"), mode
        assert same_bits(found, expected), mode
    _, found = run_node(soc, "rfft", {}, {"x": x}, expected, device="cpu", mode="cpu")
    assert np.allclose(found, np.fft.rfft(x.astype(float)), rtol=0, atol=1e-4)
    assert np.allclose(expected, np.fft.rfft(x.astype(float)), rtol=0, atol=1e-2)


@pytest.mark.parametrize(("inverse", "conjugate"), [(False, False), (True, True)])
def test_products(soc: Path, inverse: bool, conjugate: bool) -> None:
    """With operands of the same shape, and with one spectrum for all."""
    rng = np.random.default_rng(2)
    x = white_noise(rng, 4 * 16).reshape(4, 16)
    attributes = {
        "direction": "inverse" if inverse else "forward",
        "operation": "conjugate_mul" if conjugate else "mul",
    }
    for b in (white_noise(rng, 4 * 16).reshape(4, 16), white_noise(rng, 16)):
        transformed = transform(x, inverse, config=fft_config())
        expected = arith.complex_multiply(transformed, np.broadcast_to(b, x.shape).copy(), conjugate=conjugate)
        for mode in MODES:
            record, found = run_node(soc, "fft_multiply", attributes, {"x": x, "b": b}, expected, device="fft", mode=mode)
            assert record["commands"] == 1
            assert same_bits(found, expected), (mode, b.shape)
        _, found = run_node(soc, "fft_multiply", attributes, {"x": x, "b": b}, expected, device="cpu", mode="cpu")
        reference = (np.fft.ifft if inverse else np.fft.fft)(x.astype(complex)) * (b.conj() if conjugate else b)
        assert np.allclose(found, reference, rtol=0, atol=1e-4)


def test_convolution_in_two_passes(soc: Path) -> None:
    """A circular convolution: forward with the product, then inverse; on the RTL, against its definition."""
    rng = np.random.default_rng(3)
    x, h = (white_noise(rng, 16) for _ in range(2))
    spectrum = np.fft.fft(h.astype(complex)).astype(np.complex64)
    product = {"direction": "forward", "operation": "mul"}
    _, y = run_node(soc, "fft_multiply", product, {"x": x, "b": spectrum}, x, device="fft", mode="rtl")
    _, y = run_node(soc, "fft", {"direction": "inverse"}, {"x": y}, x, device="fft", mode="rtl")
    exact = [sum(complex(x[k]) * complex(h[n - k]) for k in range(16)) for n in range(16)]
    assert np.linalg.norm(y - exact) < 1e-3 * np.linalg.norm(exact)


class Spectra(nn.Module):
    """Transforms of real and of complex signals, one with a product."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("h", torch.from_numpy(white_noise(np.random.default_rng(5), 16)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.fft.rfft(x), torch.fft.ifft(torch.fft.fft(torch.view_as_complex(x.reshape(-1, 16, 2))) * self.h)


@pytest.mark.parametrize("mode", MODES)
def test_a_converted_model(soc: Path, tmp_path: Path, mode: str) -> None:
    """It has what the SoC has, and the emulation with the SoC's parameters the bits of the RTL."""
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    bundle = convert(Spectra().eval(), x, precision="float", soc=soc)
    signals = [node for node in bundle.graph.nodes if "fft" in node.op]
    assert [node.op for node in signals] == ["rfft", "fft_multiply", "fft"]
    nodes = tuple(replace(node, devices=node.devices[-1:]) for node in bundle.graph.nodes)
    replace(bundle, graph=replace(bundle.graph, nodes=nodes)).save(tmp_path / "bundle")
    expected = emulation.run(bundle, x.numpy(), arithmetic=arithmetic_of(soc))
    with Session(soc=soc, mode=mode, keep_tensors=True) as session:
        model = session.load(tmp_path / "bundle")
        model.run([x.numpy()])
        assert {task["device"][:3] for task in model.report() if "fft" in task["op"]} == {"fft"}
        for node in signals:
            assert same_bits(model.tensor(node.outputs[0]), expected[node.outputs[0]]), node.name


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_two_ffts_give_the_same_bits(soc: Path, inverse: bool) -> None:
    """Each of the two in turn, because the other one has left."""
    x = white_noise(np.random.default_rng(4), 5 * 16).reshape(5, 16)
    expected = transform(x, inverse, config=fft_config())
    attributes = {"direction": "inverse" if inverse else "forward"}
    for mode in MODES:
        for name, other in (("fft0", "fft1"), ("fft1", "fft0")):
            record, found = run_node(soc, "fft", attributes, {"x": x}, x, device="fft", mode=mode, without=[other])
            assert record["device"] == name
            assert same_bits(found, expected), (mode, name)


def int16(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).integers(-(1 << 15), 1 << 15, shape).astype(np.int16)


@pytest.mark.parametrize("operation", list(ZIPOperation), ids=lambda item: item.name.lower())
def test_int16(soc: Path, operation: ZIPOperation) -> None:
    """Every operation, with any bits and with the extremes; on CPU, functional model and RTL."""
    shape = (9, 8) if operation.real else (9, 8, 2)
    operands = [int16(seed, *shape) for seed in range(operation.operands)]
    for seed, operand in enumerate(operands):
        operand[:4] = np.random.default_rng(seed).choice([-32768, -1, 0, 0, 1, 2, 32767], operand[:4].shape)
    attributes = {
        "operation": operation.name.lower().removeprefix("real_"),
        "numbers": "real" if operation.real else "complex",
    }
    for shift, places in (
        (0, (("cpu", "cpu"),)),
        (31, (("cpu", "cpu"),)),
        (9, (("cpu", "cpu"), ("zip", "functional"), ("zip", "rtl"))),
    ):
        expected = apply_integers(operation, *operands, shift=shift)
        for device, mode in places:
            named = dict(zip("abc", operands, strict=False))
            _, found = run_node(soc, "zip_int16", {**attributes, "shift": shift}, named, expected, device=device, mode=mode)
            assert same_bits(found, expected), (shift, mode)


def test_an_operand_that_repeats_and_a_constant(soc: Path) -> None:
    a, b = int16(1, 6, 10, 2), int16(2, 10, 2)
    expected = apply_integers(ZIPOperation.CONJUGATE_MUL, a, np.broadcast_to(b, a.shape), shift=12)
    scaled = apply_integers(ZIPOperation.MUL, a, np.broadcast_to(np.array([300, -7], np.int16), a.shape), shift=9)
    product = {"operation": "conjugate_mul", "numbers": "complex", "shift": 12}
    scale = {"operation": "scale", "numbers": "complex", "shift": 9, "factor": [300, -7]}
    for device, mode in (("cpu", "cpu"), ("zip", "functional"), ("zip", "rtl")):
        _, found = run_node(soc, "zip_int16", product, {"a": a, "b": b}, expected, device=device, mode=mode)
        assert same_bits(found, expected), mode
        _, found = run_node(soc, "zip_int16", scale, {"a": a}, scaled, device=device, mode=mode)
        assert same_bits(found, scaled), mode


def test_two_zips_give_the_same_bits(soc: Path, tmp_path: Path) -> None:
    """The same product on both ZIPs at the same time, in RTL."""
    a, b = int16(7, 40, 2), int16(8, 40, 2)
    attributes = {"operation": "mul", "numbers": "complex", "shift": 13}
    nodes = [
        {"name": y, "op": "zip_int16", "inputs": ["a", "b"], "outputs": [y], "devices": ["zip"], "attributes": attributes}
        for y in ("y0", "y1")
    ]
    tensors = [{"name": name, "dtype": "int16", "shape": list(a.shape)} for name in ("a", "b", "y0", "y1")]
    graph = {"schema": 1, "name": "two", "inputs": ["a", "b"], "outputs": ["y0", "y1"], "tensors": tensors, "nodes": nodes}
    weights = safetensors.numpy.save({})
    graph["weights"] = {"file": "weights.safetensors", "bytes": len(weights), "crc32": zlib.crc32(weights)}
    (tmp_path / "weights.safetensors").write_bytes(weights)
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    with Session(soc=soc, mode="rtl", policy="RR") as session:
        model = session.load(tmp_path)
        results = model.run([a, b])
        assert {record["device"] for record in model.report()} == {"zip0", "zip1"}
    expected = apply_integers(ZIPOperation.MUL, a, b, shift=13)
    assert all(same_bits(found, expected) for found in results)


@pytest.fixture
def bare(soc: Path) -> Iterator[tuple[Soc, bytearray]]:
    """The first FFT behind its registers, and a memory of noise from address 0 on, which is its own."""
    (accelerator,) = (item for item in ACCELERATORS if item.name == "fft")
    noise = np.random.default_rng(6).standard_normal(1 << 14).astype(np.float32)
    memory = bytearray(noise.tobytes())
    device = Soc(Path(json.loads((soc / "soc.json").read_text())["rtl"]["library"]), accelerator, np.frombuffer(memory, np.uint8))
    yield device, memory
    device.close()


def transformed(fields: dict[str, int], memory: bytearray) -> bytearray:
    """What memory holds after a good command, but for the ring."""
    expected = bytearray(memory)
    assert execute(fields, expected, fft_config()) is Error.NONE
    return expected[SLOT_BYTES:]


BAD = {
    "opcode": ({"opcode": 2}, Error.BAD_OPCODE),
    "no frames": ({"frames": 0}, Error.BAD_LENGTH),
    "too short": ({"log2_length": 2}, Error.BAD_LENGTH),
    "too long": ({"log2_length": 5}, Error.BAD_LENGTH),
    "4 GiB": ({"frames": 1 << 25}, Error.BAD_LENGTH),
    "misaligned input": ({"in_address": 0x1008}, Error.MISALIGNED),
    "misaligned output": ({"out_address": 0x4004}, Error.MISALIGNED),
    "two columns": ({"log2_length": 3, "interleave_log2": 1}, Error.BAD_PARAMETER),
    "beyond memory": ({"in_address": 1 << 16}, Error.READ_RESPONSE),
}


def test_bad_commands_end_with_their_code(bare: tuple[Soc, bytearray]) -> None:
    """In RTL through the ring; nothing is written, and a good command follows each."""
    device, memory = bare
    good = fft_command(FFTOperation.FORWARD, 4, 3, 0x1000, 0x4000)
    for name, (fields, code) in BAD.items():
        before = memory[SLOT_BYTES:]
        assert device.run(good | fields)["error"] == code, name
        assert name == "beyond memory" or memory[SLOT_BYTES:] == before, name
        expected = transformed(good, memory)
        assert device.run(good)["error"] == Error.NONE, name
        assert memory[SLOT_BYTES:] == expected, name


@pytest.mark.parametrize("cycles", [10, 120, 200, 275, 340])
def test_a_soft_reset_in_mid_transfer(bare: tuple[Soc, bytearray], cycles: int) -> None:
    """While a command is fetched, read, computed and written; the next one has every bit right."""
    device, memory = bare
    device.submit(fft_command(FFTOperation.FORWARD, 4, 30, 0x1000, 0x8000))
    assert not device.advance(cycles)
    device.reset()
    good = fft_command(FFTOperation.INVERSE, 3, 5, 0x2000, 0x4000)
    expected = transformed(good, memory)
    assert device.run(good)["error"] == Error.NONE
    assert memory[SLOT_BYTES:] == expected


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "reason"),
    [
        ("rfft", {}, {"x": np.zeros((2, 100), np.float32)}, "a power of two of 16..32 real samples, not 100"),
        ("rfft", {}, {"x": np.zeros((2, 128), np.float32)}, "a power of two of 16..32 real samples, not 128"),
        (
            "fft_multiply",
            {"direction": "forward", "operation": "mul"},
            {"x": np.zeros((2, 48), np.complex64), "b": np.zeros(48, np.complex64)},
            "a power of two of 8..16 points, not 48",
        ),
    ],
)
def test_what_the_accelerator_cannot_do_runs_on_a_cpu(
    soc: Path, tmp_path: Path, op: str, attributes: dict[str, Any], inputs: dict[str, Array], reason: str
) -> None:
    """The report and the trace say why."""
    x = inputs["x"]
    output = np.empty((2, x.shape[1] // 2 + 1), np.complex64) if op == "rfft" else x
    trace = tmp_path / "trace.json"
    record, _ = run_node(soc, op, attributes, inputs, output, device=("fft", "cpu"), mode="functional", trace=trace)
    assert record["device"].startswith("cpu")
    assert reason in record["reason"]
    assert reason in trace.read_text()


def test_a_build_without_the_options_says_what_to_build(build: Path) -> None:
    x, y = np.zeros((2, 32), np.float32), np.zeros((2, 17), np.complex64)
    record, _ = run_node(build, "rfft", {}, {"x": x}, y, device=("fft", "cpu"), mode="functional")
    assert "fft_real_input=1" in record["reason"]
    a = np.zeros((4, 2), np.int16)
    attributes = {"operation": "add", "numbers": "complex", "shift": 0}
    with pytest.raises(CosocError, match="zip_number_format=1"):
        run_node(build, "zip_int16", attributes, {"a": a, "b": a}, a, device="zip", mode="functional")

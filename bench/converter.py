"""The converter: a zoo of public families of models in float, and what converting ResNet-18 takes and gives."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bench.support import zoo_sequences as sequences
from bench.support import zoo_vision as vision
from bench.support.report import Figure, Report
from cosoc.converter import ConversionError, convert
from cosoc.converter.compare import disagreement
from cosoc.converter.ir import DTYPES, Graph
from cosoc.runtime import CosocError, Session

MAX_ERROR = 1e-3
CONVERT_SECONDS = 10.0
CROSSINGS = 2

Inputs = tuple[torch.Tensor, ...]


def image(size: int = 32, channels: int = 3) -> Inputs:
    """A batch of two images."""
    return (torch.randn(2, channels, size, size),)


def words(count: int = 50, length: int = 12) -> Inputs:
    """A batch of two sentences."""
    return (torch.randint(1, count, (2, length)),)


ZOO: dict[str, tuple[Callable[[], nn.Module], Callable[[], Inputs]]] = {
    "resnet18": (vision.resnet18, lambda: image(64)),
    "resnext": (vision.resnext, image),
    "vgg": (vision.vgg, image),
    "mobilenet_v2": (lambda: vision.inverted_network(nn.ReLU6, None), image),
    "mobilenet_v3": (lambda: vision.inverted_network(nn.Hardswish, nn.Hardsigmoid), image),
    "efficientnet": (lambda: vision.inverted_network(nn.SiLU, nn.Sigmoid), image),
    "densenet": (vision.densenet, image),
    "squeezenet": (vision.squeezenet, image),
    "shufflenet": (vision.shufflenet, image),
    "inception": (vision.inception, image),
    "unet_transposed": (lambda: vision.UNet("transposed"), image),
    "unet_bilinear": (lambda: vision.UNet("bilinear"), image),
    "convnext": (vision.convnext, image),
    "autoencoder": (vision.Autoencoder, lambda: image(28, 1)),
    "yolo": (vision.YOLO, lambda: image(64)),
    "vit": (sequences.ViT, image),
    "swin": (sequences.Swin, image),
    "bert": (sequences.BERT, words),
    "gpt": (sequences.GPT, words),
    "lstm_tagger": (lambda: sequences.Tagger(nn.LSTM), lambda: words(40)),
    "gru_tagger": (lambda: sequences.Tagger(nn.GRU), lambda: words(40)),
    "tcn": (sequences.TCN, lambda: (torch.randn(2, 2, 50),)),
    "wavenet": (sequences.WaveNetBlock, lambda: (torch.randn(2, 8, 40),)),
    "fft_filter": (sequences.FFTFilter, lambda: (torch.randn(2, 4, 256),)),
    "spectral_convolution": (sequences.SpectralConv, lambda: (torch.randn(2, 4, 32),)),
    "stft_network": (sequences.STFTNet, lambda: (torch.randn(2, 1000),)),
    "pointnet": (sequences.PointNet, lambda: (torch.randn(2, 3, 30),)),
    "graph_network": (sequences.GraphNet, lambda: (torch.randn(10, 8), torch.randint(0, 10, (2, 30)))),
    "mixture_of_experts": (sequences.MixtureOfExperts, lambda: (torch.randn(6, 12),)),
    "recommender": (sequences.Recommender, lambda: (torch.randn(3, 5), torch.randint(0, 20, (3, 3)))),
}
"""Families of models, and inputs of a typical, small shape."""


def crossings(graph: Graph) -> int:
    """Places where values pass between the CPU and c2d, when every node that may run on c2d does."""
    placed = {name: "c2d" in node.devices for node in graph.nodes for name in node.outputs}
    placed |= dict.fromkeys(graph.inputs, False)
    edges = {(name, "c2d" in node.devices) for node in graph.nodes for name in node.inputs if name in placed}
    return sum(placed[name] != reader for name, reader in edges)


def disagreement_of(name: str, session: Session, folder: Path) -> float:
    """Largest relative difference of a model's outputs from PyTorch's, converted in float and run by the CPU kernels.

    Raises:
        ConversionError: it cannot be converted.
        CosocError: it cannot be run.
    """
    torch.manual_seed(0)
    make, example = ZOO[name]
    model, inputs = make().eval(), example()
    with torch.no_grad():
        expected = [value for value in torch.utils._pytree.tree_leaves(model(*inputs)) if isinstance(value, torch.Tensor)]
    bundle = convert(model, inputs, precision="float")
    bundle.save(folder / "model.bundle")
    loaded = session.load(folder / "model.bundle")
    arrays = [
        value.numpy().astype(DTYPES[bundle.graph.tensors[key].dtype]) for key, value in zip(loaded.inputs, inputs, strict=True)
    ]
    found = loaded.run(arrays)
    loaded.close()
    return max(disagreement(value, reference) for value, reference in zip(found, expected, strict=True))


def run(build: Path) -> Report:
    """Converts the zoo, and ResNet-18 as published."""
    report = Report("converter")
    good = 0
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, Session(soc=build, mode="cpu") as session:
        for name in ZOO:
            try:
                error = disagreement_of(name, session, Path(folder))
                good += error <= MAX_ERROR
                if error > MAX_ERROR:
                    failures[name] = f"differs by {error:g}"
            except (ConversionError, CosocError) as problem:
                failures[name] = str(problem).splitlines()[0]
    report.config["failures"] = failures
    zoo = Figure(
        name="zoo.models",
        value=good,
        unit=f"of {len(ZOO)} agree within {MAX_ERROR:g}",
        goal=len(ZOO),
        better="higher",
        how="measured",
    )
    report.add(zoo)
    torch.manual_seed(0)
    model, inputs = vision.resnet18().eval(), (torch.randn(1, 3, 224, 224),)
    for precision in ("float", "int8"):
        start = time.monotonic()
        bundle = convert(model, inputs, precision=precision)
        seconds = time.monotonic() - start
        figure = f"resnet18.{precision}.convert"
        report.add(
            Figure(
                name=figure,
                value=seconds,
                unit="s",
                goal=CONVERT_SECONDS,
                better="lower",
                peer="ExecuTorch 14-20 s",
                how="measured",
            )
        )
    report.add(
        Figure(
            name="resnet18.crossings",
            value=crossings(bundle.graph),
            unit="CPU <-> c2d",
            goal=CROSSINGS,
            better="lower",
            how="measured",
        )
    )
    return report

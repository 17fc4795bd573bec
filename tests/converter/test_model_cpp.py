"""model.cpp compiles without warnings, and builds the graph that `load_bundle` reads: the same constants, nodes and results."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from cosoc.converter import Bundle, model_cpp
from tests.converter.models import Residual, converted

ROOT = Path(__file__).resolve().parents[2]
COMPILE = [
    "g++",
    "-std=c++20",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-O0",
    *(f"-I{ROOT / part}" for part in ("runtime/include", "software")),
]

COMPARE = r"""
#include <algorithm>
#include <cstdio>
#include <span>
#include <vector>
#include <nlohmann/json.hpp>
#include "model.cpp"

/// Results of a run on this machine's CPU, for inputs that depend on their position only; empty when it fails.
std::vector<std::vector<std::byte>> results(const cosoc::Graph& graph) {
  cosoc::SessionOptions options;
  options.mode = cosoc::mode_of("cpu").value();
  options.cpu_cores = 1;
  auto session = cosoc::Session::open(options);
  auto model = session ? session->load(graph) : tl::make_unexpected(session.error());
  if (!model) return std::puts(model.error().message.c_str()), std::vector<std::vector<std::byte>>{};
  std::vector<std::vector<float>> given;
  std::vector<std::span<const std::byte>> inputs;
  for (const auto index : graph.inputs()) {
    auto& values = given.emplace_back(graph.tensors()[index].type.dense_bytes() / sizeof(float));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((i * 37) % 101) / 50.0F - 1.0F;
  }
  for (const auto& values : given) inputs.push_back(std::as_bytes(std::span(values)));
  std::vector<std::vector<std::byte>> found;
  for (const auto index : graph.outputs()) found.emplace_back(graph.tensors()[index].type.dense_bytes());
  std::vector<std::span<std::byte>> outputs(found.begin(), found.end());
  const auto status = model->run(inputs, outputs);
  if (!status) return std::puts(status.error().message.c_str()), std::vector<std::vector<std::byte>>{};
  return found;
}

/// Prints the first difference between the graph of model.cpp and that of graph.json.
int main(int, char** arguments) {
  const auto built = cosoc_model::build_model(arguments[1]);
  const auto loaded = cosoc::load_bundle(arguments[1]);
  if (!built) return std::puts(built.error().message.c_str()), 1;
  if (!loaded) return std::puts(loaded.error().message.c_str()), 1;
  if (built->name() != loaded->name() || built->nodes().size() != loaded->nodes().size()) return std::puts("size or name"), 1;
  for (const auto& expected : loaded->tensors()) {
    const auto index = built->find(expected.name);
    if (!index) return std::printf("no tensor %s\n", expected.name.c_str()), 1;
    const auto& found = built->tensors()[*index];
    const bool same = found.type == expected.type && std::ranges::equal(found.data, expected.data);
    if (!same) return std::printf("%s\n", expected.name.c_str()), 1;
  }
  if (built->any_batch() != loaded->any_batch()) return std::puts("any batch"), 1;
  const auto name = [](const cosoc::Graph& graph, std::size_t index) { return graph.tensors()[index].name; };
  for (std::size_t i = 0; i < loaded->nodes().size(); ++i) {
    const auto& found = built->nodes()[i];
    const auto& expected = loaded->nodes()[i];
    bool same = found.name == expected.name && found.devices == expected.devices && found.source == expected.source &&
                found.kernel->name() == expected.kernel->name() &&
                found.kernel->attributes() == expected.kernel->attributes() && found.inputs.size() == expected.inputs.size();
    for (std::size_t j = 0; same && j < found.inputs.size(); ++j) {
      same = name(*built, found.inputs[j]) == name(*loaded, expected.inputs[j]);
    }
    if (!same) return std::printf("node %s\n", expected.name.c_str()), 1;
  }
  const auto expected = results(*loaded);
  if (expected.empty() || results(*built) != expected) return std::puts("results"), 1;
  std::puts("same");
}
"""


class EveryOperation(nn.Module):
    """Every operation that the converter makes, and names that are keywords of C++."""

    def __init__(self) -> None:
        super().__init__()
        self.template = nn.Conv2d(2, 8, 3, padding=1)
        self.union = Residual(8)
        self.pools = nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2, 1))
        self.double_ = nn.Linear(8, 3)

    def forward(self, auto: torch.Tensor) -> torch.Tensor:
        return self.double_(self.pools(self.union(self.template(auto))).mean((2, 3)))


class Mixed(nn.Module):
    """int8 layers, tokens, transforms, complex arithmetic, operations with several outputs, integers, bools and numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.up = nn.Conv2d(2, 8, 3, padding=1), nn.ConvTranspose2d(8, 4, 2, 2)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.recurrent, self.encoder = nn.GRU(8, 5, batch_first=True), nn.LSTM(8, 4, proj_size=3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = torch.relu(self.conv(x))
        tokens = y.flatten(2).transpose(1, 2)
        tokens = tokens + self.second(torch.relu(self.first(tokens)))
        spectrum = torch.fft.fft(y.flatten(1)[:, :64] * torch.hann_window(64))
        values, places = tokens.topk(2, 1)
        states, last = self.recurrent(nn.functional.layer_norm(tokens, (8,)))
        chosen = torch.where(values > 0.5, values, places.float() * float(2**-20))
        # Of the encoder's three results one is read.
        return (
            *(self.up(y), (spectrum * spectrum.conj()).abs(), chosen, states.softmax(-1), last, places % 3, ~(values > 0)),
            self.encoder(tokens)[0],
        )


MODELS = {"int8": (EveryOperation, 'quoted "name" \\ ??/???/ é\n\x012'), "mixed": (Mixed, "mixed")}


@pytest.fixture(scope="module", params=MODELS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make, name = MODELS[request.param]
    path = tmp_path_factory.mktemp("model") / "every.bundle"
    converted(make(), (1, 2, 6, 6), name=name)[0].bundle.save(path)
    return path


def test_builds_the_graph_of_the_bundle(saved: Path, build: Path, tmp_path: Path) -> None:
    (tmp_path / "compare.cpp").write_text(COMPARE)
    libraries = [str(build / "lib" / "libcosoc.so"), f"-Wl,-rpath,{build / 'lib'}"]
    command = [*COMPILE, f"-I{saved}", str(tmp_path / "compare.cpp"), "-o", str(tmp_path / "compare"), *libraries]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    program = subprocess.run([str(tmp_path / "compare"), str(saved)], capture_output=True, text=True, timeout=300)
    assert program.stdout == "same\n"


def test_every_number_survives() -> None:
    """A float32 written as a decimal literal is the same float32."""
    for value in (0.1, 1 / 3, 1.17549435e-38, 3.4e38, 5.0, 1e-7):
        single = float(torch.tensor(value, dtype=torch.float32))
        literal = model_cpp.float_literal(single)
        assert literal.endswith("F")
        assert float(literal.removesuffix("F")) == single


def test_variables_are_identifiers_and_unique() -> None:
    variables = model_cpp.Variables()
    names = [variables[name] for name in ("a.b", "a_b", "a__b", "class", "3x", "", "graph", "é")]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.isascii() for name in names)
    assert not {"class", "graph"} & set(names)
    assert variables["a.b"] == names[0]


def test_text_is_that_of_the_saved_graph(saved: Path) -> None:
    bundle = Bundle.load(saved)
    assert (saved / "model.cpp").read_text() == model_cpp.model_cpp(bundle.graph)
    assert json.loads((saved / "graph.json").read_text())["name"] == bundle.graph.name

"""Complex numbers and transforms on dense tensors, as test_dense.py has other operations."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tests.converter.dense_models import Runner, complex_, real, whole


def test_complex_numbers(runner: Runner) -> None:
    a, b = complex_(3, 5), complex_(3, 5, seed=7)
    runner.check(lambda a, b: [a + b, a - b, a * b, a / b, a.conj() * b, a.abs(), a.angle(), a.real, a.imag, -a, a * 2j], a, b)
    runner.check(lambda a, b: [a.exp(), a.log(), a.sqrt(), 1 / a, a == b, a @ b.mT, torch.complex(a.real, b.imag)], a, b)
    runner.check(lambda a, b: [torch.vdot(a[0], b[0]), torch.dot(a[0], b[0]), torch.polar(a.real, b.real), a.sgn()], a, b)


def test_complex_numbers_as_truth_values(runner: Runner) -> None:
    """One is true where any of its parts is not zero."""
    z = torch.complex(whole(3, 9, low=0, high=2).float(), whole(3, 9, low=0, high=2, seed=1).float())
    runner.check(lambda z: [z.bool(), torch.logical_and(z, z.real), torch.logical_xor(z, z * 1j), torch.logical_or(z, z[:1])], z)


COMPLEX_FUNCTIONS = (
    "exp exp2 expm1 log log1p log2 log10 sqrt rsqrt reciprocal square sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "sigmoid neg abs angle sgn isnan isinf isfinite logical_not conj_physical"
).split()


def test_functions_of_complex_numbers(runner: Runner) -> None:
    """All that PyTorch has, also where numbers are real, imaginary or zero."""
    z = complex_(6, 7)
    z[0] = torch.tensor([0, 1, -0.5, 0.5j, -2j, 1 + 1j, 1e-3 - 2j])
    runner.check(lambda z: [getattr(torch, name)(z) for name in COMPLEX_FUNCTIONS if "log" not in name and name[0] != "r"], z)
    runner.check(lambda z: [getattr(torch, name)(z) for name in COMPLEX_FUNCTIONS] + [functional.silu(z)], z[1:])


def test_convolutions_of_complex_numbers(runner: Runner) -> None:
    torch.manual_seed(0)
    kinds = {"dtype": torch.complex64}
    runner.check(nn.Conv1d(4, 6, 3, groups=2, padding="same", **kinds), complex_(2, 4, 9))  # type: ignore[arg-type]
    runner.check(nn.Conv2d(2, 3, 3, 2, 1, bias=False, **kinds), complex_(1, 2, 7, 6))  # type: ignore[arg-type]
    runner.check(nn.ConvTranspose2d(2, 3, 3, 2, 1, 1, **kinds), complex_(2, 3, 4))  # type: ignore[arg-type]


def test_complex_numbers_alone(runner: Runner) -> None:
    """Without an axis."""
    runner.check(lambda a, b: [a + b, a * b, a.conj() * b], complex_(), complex_(seed=5))


def test_fourier_transforms(runner: Runner) -> None:
    fft, c, x = torch.fft, complex_(4, 6, 8), real(3, 5, 8)
    runner.check(lambda c: [fft.fft(c), fft.ifft(c, dim=1), fft.fft2(c), fft.ifft2(c, norm="ortho"), fft.fft(c, norm="forward")], c)
    runner.check(lambda x: [fft.rfft(x), fft.rfft2(x), fft.irfft(fft.rfft(x)), fft.irfft2(fft.rfft2(x)), fft.fft(x)], x)
    runner.check(lambda x: [fft.irfft(fft.rfft(x, dim=1), n=4, dim=1), fft.irfft(fft.rfft(x), n=5), fft.fftshift(fft.fft(x))], x)
    window = torch.hann_window(16)
    runner.check(lambda x: [torch.stft(x, 16, 4, window=window, return_complex=True)], real(2, 100))
    runner.check(lambda x: torch.stft(x, 16, 8, window=window, center=False, return_complex=True).abs(), real(100))


def test_correlations(runner: Runner) -> None:
    """The conjugate is part of the product, whichever operand it is; one that others read too, or that repeats first, is not."""
    fft, x, y = torch.fft, complex_(3, 16), complex_(3, 16, seed=2)
    for function in (
        lambda x, y: fft.ifft(fft.fft(x) * fft.fft(y).conj()),
        lambda x, y: fft.ifft(fft.fft(x).conj() * fft.fft(y)),
    ):
        graph = runner.check(function, x, y).graph
        assert [(node.op, node.attributes.get("operation")) for node in graph.nodes if node.op != "fft"] == [
            ("zip", "conjugate_mul")
        ]
        (product,) = [node for node in graph.nodes if node.op == "zip"]
        assert product.devices == ("cpu", "zip")
    graph = runner.check(lambda x, y: [x * y.conj(), y.conj() + 1j, x[:, :1] * 2 * y], x, y).graph
    assert "conjugate_mul" in {node.attributes.get("operation") for node in graph.nodes}
    shared = runner.check(lambda x, y: (lambda c: [x * c, c + y])(y.conj()), x, y).graph
    assert "conjugate_mul" not in {node.attributes.get("operation") for node in shared.nodes}
    row = runner.check(lambda x, y: [x.conj() * y[0], x[0].conj() * y], x, y).graph
    assert "conjugate_mul" not in {node.attributes.get("operation") for node in row.nodes}


def test_transforms_of_real_signals(runner: Runner) -> None:
    """As such where no accelerator has complex ones only."""
    fft, x, window = torch.fft, real(3, 5, 8), torch.hann_window(16)
    bundle = runner.check(
        lambda x: [fft.rfft(x), fft.rfft2(x), fft.rfft(x[..., :7]), fft.rfft(x, dim=1), fft.irfft(fft.rfft(x)), fft.fft(x)],
        x,
        accelerators=("c2d",),
    )
    assert [node.op for node in bundle.graph.nodes].count("rfft") == 4
    bundle = runner.check(lambda x: torch.stft(x, 16, 4, window=window, return_complex=True), real(2, 100), accelerators=("zip",))
    assert {node.op: node.devices for node in bundle.graph.nodes}["rfft"] == ("cpu",)
    assert {node.op: node.devices for node in bundle.graph.nodes}["zip"] == ("cpu", "zip")
    plain = runner.check(lambda x: torch.stft(x, 16, 4, window=window, return_complex=True), real(2, 100))
    assert "rfft" not in {node.op for node in plain.graph.nodes}

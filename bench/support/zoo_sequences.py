"""Compact definitions of the usual networks for sequences, signals and sets, and of vision transformers."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


class ViT(nn.Module):
    """Patches, a class token, positions, PyTorch's own encoder layers."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token, self.positions = nn.Parameter(torch.randn(1, 1, 32)), nn.Parameter(torch.randn(1, 17, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.patches(x).flatten(2).transpose(1, 2)
        y = torch.cat([self.token.expand(y.shape[0], -1, -1), y], 1) + self.positions
        return self.head(self.encoder(y)[:, 0])


class WindowAttention(nn.Module):
    """Swin's attention within windows that are shifted by half of their size, with a table of relative positions."""

    def __init__(self, width: int = 16, heads: int = 2, window: int = 4, shift: int = 2) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.norm, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads))
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        relative = at[:, :, None] - at[:, None] + window - 1
        self.register_buffer("index", relative[0] * (2 * window - 1) + relative[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, height, width, channels = x.shape
        window, heads = self.window, self.heads
        y = torch.roll(self.norm(x), (-self.shift, -self.shift), (1, 2))
        y = y.view(batch, height // window, window, width // window, window, channels).permute(0, 1, 3, 2, 4, 5)
        y = y.reshape(-1, window * window, channels)
        q, k, v = self.qkv(y).view(-1, window * window, 3, heads, channels // heads).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index.view(-1)].view(window * window, window * window, heads).permute(2, 0, 1)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(channels // heads) + bias).softmax(-1)
        y = self.out((weights @ v).transpose(1, 2).reshape(-1, window * window, channels))
        y = y.view(batch, height // window, width // window, window, window, channels).permute(0, 1, 3, 2, 4, 5)
        return x + torch.roll(y.reshape(batch, height, width, channels), (self.shift, self.shift), (1, 2))


class Swin(nn.Module):
    """Patches, window attention, merging of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.blocks = nn.Conv2d(3, 16, 4, 4), nn.Sequential(WindowAttention(shift=0), WindowAttention())
        self.merge, self.head = nn.Linear(64, 32, bias=False), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.blocks(self.patches(x).permute(0, 2, 3, 1))
        y = torch.cat([y[:, 0::2, 0::2], y[:, 1::2, 0::2], y[:, 0::2, 1::2], y[:, 1::2, 1::2]], -1)
        return self.head(self.merge(y).mean((1, 2)))


class BERT(nn.Module):
    """Words, positions and segments; a mask of padding; a pooler."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(50, 32), nn.Embedding(16, 32)
        self.norm = nn.LayerNorm(32, eps=1e-12)
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True) for _ in range(2))
        self.pooler = nn.Linear(32, 32)

    def forward(self, words: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = words == 0
        y = self.norm(self.words(words) + self.places(torch.arange(words.shape[1])))
        for layer in self.layers:
            y = layer(y, src_key_padding_mask=mask)
        return y, torch.tanh(self.pooler(y[:, 0]))


class GPTBlock(nn.Module):
    """Causal attention with rotary positions, RMS norm, gated perceptron."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gate, self.up, self.down = (nn.Linear(*size, bias=False) for size in ((width, 64), (width, 64), (64, width)))
        self.scales = nn.Parameter(torch.ones(2, width))

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[-1]
        angles = torch.outer(torch.arange(x.shape[-2]).float(), 10000.0 ** (-torch.arange(0, size, 2).float() / size))
        left, right = x[..., 0::2], x[..., 1::2]
        return torch.stack([left * angles.cos() - right * angles.sin(), left * angles.sin() + right * angles.cos()], -1).flatten(-2)

    def norm(self, x: torch.Tensor, index: int) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scales[index]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm(x, 0)).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        y = self.norm(x, 1)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class GPT(nn.Module):
    """A decoder whose head shares the table of the words; the next words by top k."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.blocks = nn.Embedding(60, 32), nn.Sequential(GPTBlock(), GPTBlock())

    def forward(self, words: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = functional.linear(self.blocks(self.words(words)), self.words.weight)
        return logits, logits[:, -1].topk(5).indices


class Tagger(nn.Module):
    """Embedding, a recurrent layer in both directions, a label for each word."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.words = nn.Embedding(40, 12)
        self.layer = kind(12, 10, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(20, 5)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        y, _ = self.layer(self.words(words))
        return functional.log_softmax(self.head(y), -1)


class TCN(nn.Module):
    """Causal dilated convolutions with residuals."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(8, 8, 3, dilation=2**index) for index in range(4))
        self.first, self.head = nn.Conv1d(2, 8, 1), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        for index, layer in enumerate(self.layers):
            y = y + functional.relu(layer(functional.pad(y, (2 * 2**index, 0))))
        return self.head(y[:, :, -1])


class WaveNetBlock(nn.Module):
    """Gated activations and skip connections."""

    def __init__(self) -> None:
        super().__init__()
        self.filter, self.gate = nn.Conv1d(8, 8, 2, dilation=2, padding=1), nn.Conv1d(8, 8, 2, dilation=2, padding=1)
        self.skip = nn.Conv1d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))
        return y + x, self.skip(y)


class FFTFilter(nn.Module):
    """A long filter as a product of spectra."""

    def __init__(self, length: int = 256) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.randn(4, 33) / 8)
        self.length = length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = 2 * self.length
        spectrum = torch.fft.rfft(x, size) * torch.fft.rfft(self.taps, size)
        return torch.fft.irfft(spectrum, size)[..., : self.length]


class SpectralConv(nn.Module):
    """Fourier neural operator: learned complex factors for the lowest frequencies."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, 6, dtype=torch.complex64))
        self.point = nn.Conv1d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(x)
        low = torch.einsum("bik,iok->bok", spectrum[:, :, :6], self.weight)
        y = torch.fft.irfft(torch.cat([low, torch.zeros_like(spectrum[:, :, 6:])], 2), x.shape[-1])
        return functional.gelu(y + self.point(x))


class STFTNet(nn.Module):
    """Log spectrogram in front of convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(x, 64, 32, window=self.window, return_complex=True)
        return self.layers(torch.log1p(spectrum.abs() ** 2).unsqueeze(1))


class PointNet(nn.Module):
    """A learned rotation of a set of points, features of each, their maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Sequential(nn.Conv1d(3, 16, 1), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(16, 9))
        self.features = nn.Sequential(nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU(), nn.Conv1d(16, 32, 1))
        self.head = nn.Linear(32, 5)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        turned = torch.bmm(self.turn(points).view(-1, 3, 3) + torch.eye(3), points)
        return functional.log_softmax(self.head(self.features(turned).max(2).values), 1)


class GraphNet(nn.Module):
    """Messages along the edges of a graph, summed where they arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.message, self.update = nn.Linear(8, 8), nn.Linear(16, 4)

    def forward(self, nodes: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        messages = functional.relu(self.message(nodes[edges[0]] - nodes[edges[1]]))
        arrived = torch.zeros(nodes.shape[0], 8).index_add(0, edges[1], messages)
        return self.update(torch.cat([nodes, arrived], 1))


class MixtureOfExperts(nn.Module):
    """Every expert computed, the two best weighted."""

    def __init__(self) -> None:
        super().__init__()
        self.experts, self.gate = nn.ModuleList(nn.Linear(12, 12) for _ in range(4)), nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best = self.gate(x).topk(2)
        weights = torch.zeros(x.shape[0], 4).scatter(1, best.indices, best.values.softmax(1))
        return (torch.stack([expert(x) for expert in self.experts], 1) * weights.unsqueeze(-1)).sum(1)


class Recommender(nn.Module):
    """DLRM: tables, products of all pairs, a perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(20, 8) for _ in range(3))
        self.bottom, self.top = nn.Linear(5, 8), nn.Sequential(nn.Linear(14, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, dense: torch.Tensor, sparse: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bottom(dense))
        rows = torch.stack([x, *(table(sparse[:, index]) for index, table in enumerate(self.tables))], 1)
        pairs = torch.bmm(rows, rows.transpose(1, 2))
        upper = torch.triu_indices(4, 4, 1)
        return torch.sigmoid(self.top(torch.cat([x, pairs[:, upper[0], upper[1]]], 1)))

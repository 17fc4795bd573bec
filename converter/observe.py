"""Which values an activation has, and which ranges are worth trying for its integers.

A range that holds every value wastes steps on rare ones; a narrower one clips these and is finer for all others. Candidates come
from a histogram of the calibration data: everything, percentiles, and the range of the least mean squared error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

BINS = 4096
"""Bins of a histogram: even, so that two can become one on both sides of zero."""

PERCENTILES = (99.9, 99.99)
"""Shares of the values, in percent, that a candidate range holds; the rest is cut off in equal parts above and below."""

SHRINKAGE = np.linspace(0.2, 1.0, 41)
"""Parts of the whole range among which the mean squared error chooses."""

Range = tuple[float, float]
Parameters = tuple[float, int]
"""Scale (a float32) and zero point."""

LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767)}
"""Least and largest integer of a precision."""


@dataclass
class Histogram:
    """Counts of values between -limit and limit, which doubles whenever a larger value comes.

    Attributes:
        limit: zero while only zeros were seen.
        low, high: least and largest value, exactly.
    """

    counts: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    limit: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def add(self, values: torch.Tensor) -> None:
        """Counts finite values."""
        low, high = (float(value) for value in torch.aminmax(values))
        self.low, self.high = min(self.low, low), max(self.high, high)
        reach = max(-low, high)
        if reach <= 0:
            self.counts[BINS // 2] += values.numel()
            return
        if self.limit == 0:
            self.limit = reach
        while self.limit < reach:
            self.limit *= 2
            quarter = BINS // 4
            merged = np.zeros(BINS)
            merged[quarter : 3 * quarter] = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = merged
        self.counts += torch.histc(values.float(), BINS, -self.limit, self.limit).numpy()

    def centres(self) -> NDArray[np.float64]:
        """Values in the middle of the bins."""
        return np.asarray((np.arange(BINS) + 0.5) * (2 * self.limit / BINS) - self.limit, np.float64)


def parameters(values: Range, precision: str) -> Parameters:
    """Scale and zero point whose integers span a range; zero, which padding needs, is always a value of its own.

    int16 is symmetric: a zero point times the sum of a layer's weights would not fit an int32 bias.
    """
    low, high = min(values[0], 0.0), max(values[1], 0.0)
    if precision == "int16":
        return float(np.float32(max(-low, high, 1e-30) / LIMITS[precision][1])), 0
    least, largest = LIMITS[precision]
    scale = np.float32(max((high - low) / (largest - least), float(np.finfo(np.float32).eps)))
    zero_point = least - round(low / float(scale))
    return float(scale), int(min(max(zero_point, least), largest))


def squared_error(histogram: Histogram, values: Range, precision: str) -> float:
    """Sum of squared differences that a range's integers make to the values of a histogram."""
    scale, zero_point = parameters(values, precision)
    least, largest = LIMITS[precision]
    centres = histogram.centres()
    stored = np.clip(np.rint(centres / scale) + zero_point, least, largest)
    return float((histogram.counts * np.square((stored - zero_point) * scale - centres)).sum())


def candidates(histogram: Histogram, precision: str) -> dict[str, Range]:
    """Ranges by the name of what they stand for: `all`, `percentile 99.99`, `least squares`; the whole range comes first."""
    low, high = histogram.low, histogram.high
    found: dict[str, Range] = {"all": (low, high)}
    if low == high == 0:
        return found
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    edges = histogram.centres()
    for percent in PERCENTILES:
        cut = (1 - percent / 100) / 2
        first, last = (int(np.searchsorted(share, part)) for part in (cut, 1 - cut))
        found[f"percentile {percent}"] = (max(low, float(edges[first])), min(high, float(edges[min(last, BINS - 1)])))
    ranges = [(low * part, high * part) for part in SHRINKAGE]
    ranges += [(low, high * part) for part in SHRINKAGE] + [(low * part, high) for part in SHRINKAGE]
    found["least squares"] = min(ranges, key=lambda values: squared_error(histogram, values, precision))
    return found

"""Pictures of what the networks found: tiles in a grid, each with a caption, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

RIGHT, WRONG, TRUTH = "#2e9e5b", "#d43d3d", "#f2b134"
"""Colours of a right and a wrong answer, and of what is really there."""

PAPER, INK, FAINT = "#ffffff", "#1c2733", "#66727f"
MARGIN, CAPTION, HEAD = 12, 36, 58
"""Pixels around a tile, of its two lines of caption, and of the heading."""

HEAT = np.array([[13, 8, 60], [70, 20, 110], [160, 45, 115], [230, 95, 65], [252, 180, 60], [252, 250, 190]], np.float64)
"""Colours from little to much, evenly spaced."""


@dataclass(frozen=True)
class Tile:
    """A picture with two lines below it; the first has the colour of the verdict."""

    image: Image.Image
    title: str
    note: str
    good: bool


def grey(values: NDArray[Any], scale: int = 1) -> Image.Image:
    """float (rows, columns), -1 black to 1 white, each pixel `scale` wide."""
    pixels = np.clip((values + 1) * 127.5, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels).convert("RGB")
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def heat(values: NDArray[Any], scale: int = 1) -> Image.Image:
    """float (rows, columns) in colours between its least and its largest value."""
    low, high = float(values.min()), float(values.max())
    place = (values - low) / max(high - low, 1e-12) * (len(HEAT) - 1)
    colours = [np.interp(place, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)]
    image = Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: no file of the system is needed."""
    return ImageFont.load_default(size)


def frame(image: Image.Image, box: Sequence[float], colour: str, text: str, *, below: bool = False) -> None:
    """Draws a rectangle (left, top, right, bottom in pixels) and a label above it, or below it."""
    draw = ImageDraw.Draw(image)
    draw.rectangle([round(side) for side in box], outline=colour, width=2)
    left, top = round(box[0]), min(round(box[3]) + 1, image.height - 15) if below else max(0, round(box[1]) - 15)
    draw.rectangle([left, top, left + 6 + round(draw.textlength(text, font(12))), top + 14], fill=colour)
    draw.text((left + 3, top), text, fill=PAPER, font=font(12))


def grid(tiles: Sequence[Tile], title: str, subtitle: str, columns: int) -> Image.Image:
    """All tiles under a heading; they have the size of the first one."""
    width, height = tiles[0].image.size
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (MARGIN + columns * (width + MARGIN), HEAD + rows * (height + CAPTION + MARGIN)), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, 8), title, fill=INK, font=font(20))
    draw.text((MARGIN, 34), subtitle, fill=FAINT, font=font(13))
    for index, tile in enumerate(tiles):
        left = MARGIN + index % columns * (width + MARGIN)
        top = HEAD + index // columns * (height + CAPTION + MARGIN)
        page.paste(tile.image, (left, top))
        draw.text((left, top + height + 3), tile.title, fill=RIGHT if tile.good else WRONG, font=font(14))
        draw.text((left, top + height + 20), tile.note, fill=FAINT, font=font(11))
    return page


def save(image: Image.Image, path: Path) -> None:
    """Writes a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="PNG", optimize=True)

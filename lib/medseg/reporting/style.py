"""One look for every figure: colours that colour-blind readers can tell apart, quiet axes, sharp pixels."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from PIL import Image

from medseg.reporting import exported
from medseg.reporting.fragments import Figure

#: Okabe and Ito (2008), "Color universal design", without black and yellow (too faint for a line on white).
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_DASHES: tuple[object, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))

INK, MUTED, FAINT, PAPER = "#1f2328", "#6a7079", "#d5d9de", "#ffffff"

#: Pictures are shown on a dark card, on the light page as on the dark one; endoscopes frame them in black.
LIGHTBOX, ON_LIGHTBOX = "#16191d", "#c9cdd2"

#: Width of a figure on the page: the report's full measure of 62rem less the padding of the card.
WIDTH = 960
_PIXELS_PER_INCH = 100

#: Sizes, quiet axes, and the inks above.
_SHEET = Path(__file__).parent / "template" / "figure.mplstyle"
_SANS = ("Inter", "Helvetica Neue", "Helvetica", "Arial", "Liberation Sans")


def colour(number: int) -> str:
    """Colour of the run that stands at place ``number`` (from 0)."""
    return PALETTE[number % len(PALETTE)]


def dashes(number: int) -> Any:
    """Line style that keeps runs of the same colour apart; the first six are solid."""
    return _DASHES[number // len(PALETTE) % len(_DASHES)]


@contextmanager
def canvas(height: float, width: float = WIDTH) -> Iterator[Canvas]:
    """A styled figure of ``width`` by ``height`` CSS pixels; draw and finish it inside the block."""
    known = set(font_manager.get_font_names())
    with mpl.rc_context({"font.family": [*(name for name in _SANS if name in known), "DejaVu Sans"]}, fname=_SHEET):
        yield Canvas(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH), layout="constrained")


def finish(figure: Canvas, caption: str, alt: str, kind: str = "chart") -> Figure:
    """Draw ``figure`` at twice the page's resolution; the same figure gives the same bytes.

    ``kind`` is ``photo`` for a figure that holds pictures: the dark page inverts the lightness of a chart.
    """
    if kind == "chart":
        exported.figure(figure, caption)
    figure.set_dpi(2 * _PIXELS_PER_INCH)
    drawing = FigureCanvasAgg(figure)
    drawing.draw()  # once: savefig would draw twice, for the sake of the layout, and encode besides
    drawn, buffer = np.asarray(drawing.buffer_rgba()), io.BytesIO()
    if kind == "chart":  # few colours: a palette takes a third of the space
        _with_palette(drawn).save(buffer, "png", compress_level=7)  # 9 takes six times as long for 7 % less
    else:
        Image.fromarray(drawn).convert("RGB").save(buffer, "jpeg", quality=88)
    width = round(figure.get_figwidth() * _PIXELS_PER_INCH)
    return Figure(buffer.getvalue(), "image/png" if kind == "chart" else "image/jpeg", width, caption, alt, kind)


def _with_palette(drawn: np.ndarray) -> Image.Image:
    """A chart, (H, W, 4) uint8, in 256 colours: the paper, most of it, is one of them and need not be looked at."""
    pixels = drawn.view(np.uint32)[..., 0]
    inked = pixels != np.uint32(0xFFFFFFFF)
    inks = Image.fromarray(pixels[inked].view(np.uint8).reshape(1, -1, 4)).convert("RGB")
    inks = inks.quantize(255, dither=Image.Dither.NONE)
    places = np.full(pixels.shape, 255, np.uint8)
    places[inked] = np.asarray(inks)[0]
    chart, palette = Image.fromarray(places), inks.getpalette() or []
    chart.putpalette([*palette, *[255] * (768 - len(palette))])
    return chart


def in_lines(*texts: str, letters: int) -> str:
    """Texts one below the other, each in lines of at most so many letters; empty ones are left out."""
    return "\n".join(
        line for text in texts for line in wrap(text, letters, break_long_words=False, break_on_hyphens=False)
    )


def scattered(count: int) -> np.ndarray:
    """Offsets of -0.5 to 0.5 by a fixed pattern: equal values stay visible, and a figure is always the same."""
    return np.arange(count) * 0.618034 % 1 - 0.5


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """A named row for each of ``names`` at 0, 1 and so on, from the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.tick_params(axis="y", labelcolor=INK)


def plain(axes: Axes, grid: Literal["x", "y", "both"] = "y") -> None:
    """Leave the axes without a frame, with a faint grid along ``grid``."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(True, axis=grid)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)

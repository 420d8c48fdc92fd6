"""What is written for a predicted picture: masks, overlays, probabilities, and a row for each class."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from medseg import atomic
from medseg.evaluation import kinds
from medseg.evaluation.rules import Segmentation
from medseg.masks import outlines

COLUMNS = ("picture", "class", "pixels", "area_mm2", "regions", "highest_probability", "flags")
PROBABILITIES = ("none", "png", "npz")
_LABELLED = 8  # classes that exclude one another and are named in overlays, at most
_QUALITY = 92


class Outputs:
    """The files of every picture, below ``folder``.

    ``masks/NAME.png`` has the number of the class, 0 for none, with colours and the names of the classes; where classes
    overlap ``masks/CLASS/NAME.png`` has 0 and 255. ``overlays/NAME.jpg`` is the picture with outlines.
    ``probabilities/`` has 16-bit PNG (65535: 1), a folder a class where there are several, or ``NAME.npz`` with an
    array float16 for each class.
    """

    def __init__(self, folder: Path, kind: kinds.Kind, probabilities: str = "none", overlays: bool = True) -> None:
        self._folder, self._kind = folder, kind
        self._probabilities, self._overlays = probabilities, overlays
        self.colours = outlines.class_colours(len(kind.classes))
        safe = [_safe(name) for name in kind.classes]
        unique = len({name.casefold() for name in safe}) == len(safe)
        self._folders = {
            name: plain if unique else f"{number} {plain}"
            for number, (name, plain) in enumerate(zip(kind.classes, safe, strict=True), 1)
        }
        self._seen: dict[str, float] = {}
        self._maps: dict[str, np.ndarray] = {}

    def see(self, class_name: str, probability: np.ndarray) -> None:
        """Take what the network says of a class of the picture that comes next; (H, W) in [0, 1]."""
        self._seen[class_name] = float(probability.max())
        if self._probabilities != "none":
            self._maps[class_name] = probability

    def write(
        self,
        name: str,
        picture: np.ndarray,
        found: Segmentation,
        spacing: tuple[float, float] | None,
        flags: Sequence[str],
    ) -> list[dict[str, Any]]:
        """Write the files of a picture and give its rows, see :data:`COLUMNS`; ``spacing`` is of a pixel, mm."""
        self._write_mask(name, found.mask)
        self._write_probabilities(name)
        if self._overlays:
            self._write_bytes(f"overlays/{name}.jpg", _encoded(self.overlay(picture, found.mask), ".jpg"))
        rows = []
        for class_name, mask in self._kind.pieces(found.mask):
            pixels = int(np.count_nonzero(mask))
            regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1 if pixels else 0
            rows.append(
                {
                    "picture": name,
                    "class": class_name,
                    "pixels": pixels,
                    "area_mm2": "" if spacing is None else f"{pixels * spacing[0] * spacing[1]:.6g}",
                    "regions": regions,
                    "highest_probability": f"{self._seen.get(class_name, np.nan):.4f}",
                    "flags": "; ".join(flags),
                }
            )
        self._seen.clear()
        self._maps.clear()
        return rows

    def overlay(self, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The picture with the outline of every class in its colour, (H, W, 3) uint8 RGB."""
        drawn = np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture.copy()
        width = max(1, round(max(drawn.shape[:2]) / 400))
        for number, (class_name, piece) in enumerate(self._kind.pieces(mask)):
            if piece.any():
                outlines.draw(drawn, piece, self.colours[number], width)
                if self._kind.name == "class_map" and len(self._kind.classes) <= _LABELLED:
                    _label(drawn, piece, class_name, self.colours[number])
        return drawn

    def mask_of(self, name: str) -> np.ndarray:
        """The mask that was written for a picture."""
        if self._kind.name == "overlapping":
            return np.stack([_read(file) > 0 for file in self.mask_files(name)]).astype(np.uint8)
        return _read(self.mask_files(name)[0])

    def mask_files(self, name: str) -> list[Path]:
        """Where the masks of a picture are: one file, or where classes overlap one for each."""
        if self._kind.name == "overlapping":
            return [self._folder / "masks" / folder / f"{name}.png" for folder in self._folders.values()]
        return [self._folder / "masks" / f"{name}.png"]

    def _write_mask(self, name: str, mask: np.ndarray) -> None:
        if self._kind.name == "overlapping":
            for file, (_, piece) in zip(self.mask_files(name), self._kind.pieces(mask), strict=True):
                image = Image.fromarray(piece.astype(np.uint8) * 255).convert("1")
                self._write_bytes(file.relative_to(self._folder).as_posix(), _png(image))
            return
        image = Image.fromarray(mask, mode="P")
        image.putpalette([0, 0, 0, *self.colours.flatten().tolist()])
        words = PngImagePlugin.PngInfo()
        words.add_itxt("classes", ", ".join(f"{n} {text}" for n, text in enumerate(self._kind.classes, 1)))
        self._write_bytes(f"masks/{name}.png", _png(image, words))

    def _write_probabilities(self, name: str) -> None:
        if self._probabilities == "npz":
            buffer = io.BytesIO()
            arrays: dict[str, Any] = {key: value.astype(np.float16) for key, value in self._maps.items()}
            np.savez_compressed(buffer, **arrays)
            self._write_bytes(f"probabilities/{name}.npz", buffer.getvalue())
        elif self._probabilities == "png":
            for class_name, values in self._maps.items():
                place = f"{self._folders[class_name]}/{name}" if len(self._kind.classes) > 1 else name
                whole = np.rint(values.astype(np.float64) * 65535).astype(np.uint16)
                self._write_bytes(f"probabilities/{place}.png", _encoded(whole, ".png"))

    def _write_bytes(self, relative: str, content: bytes) -> None:
        atomic.write_bytes(self._folder / relative, content)


def _label(drawn: np.ndarray, piece: np.ndarray, text: str, colour: np.ndarray) -> None:
    left, top, _, _ = cv2.boundingRect(piece.astype(np.uint8))
    size = max(0.45, max(drawn.shape[:2]) / 1200)
    place = (left, max(top - round(8 * size), round(30 * size)))
    for shade, width in (((0, 0, 0), 3), (tuple(map(int, colour)), 1)):
        thickness = max(width, round(width * 2 * size))
        cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, shade, thickness, cv2.LINE_AA)


def _encoded(pixels: np.ndarray, suffix: str) -> bytes:
    shown = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if suffix == ".jpg" else []
    return cv2.imencode(suffix, shown, options)[1].tobytes()


def _png(image: Image.Image, words: PngImagePlugin.PngInfo | None = None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=words)
    return buffer.getvalue()


def _read(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image).astype(np.uint8)


def _safe(class_name: str) -> str:
    """A class's name as that of a folder."""
    return "".join(letter if letter.isalnum() or letter in " -_.()" else "_" for letter in class_name).strip(". ")

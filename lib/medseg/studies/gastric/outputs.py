"""Everything that is made of one picture of the gastric study, from one read of its file."""

import re
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from medseg.datasets.augmentation.warp import plain_resize
from medseg.datasets.folders import BadFile
from medseg.datasets.polygons import PolygonSet, draw_class, is_outside
from medseg.datasets.shapes import AnnotatedImage, PixelMask
from medseg.masks import outlines
from medseg.studies.gastric.labels import CLASSES, Lesion, colours
from medseg.studies.gastric.overlay import Overlay

OUTPUTS = ("originals", "masks", "rois", "rois_by_phase", "inspector")

# Three times as fast as Pillow's default for frames with a black border, and no larger.
_PNG = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)
_REGION = ("pixels", "left", "top", "box_width", "box_height")
_ROI_MARGIN = np.ones((15, 15), np.uint8)


@dataclass(frozen=True)
class Recipe:
    """What to make: which of :data:`OUTPUTS` beside picture and label.

    ``crop`` is left, top, width and height in pixels of the cleaned picture, empty for all of it; ``size`` the width
    and height to which the crop is resized, empty for not at all. ``classes`` are those of the dataset.
    """

    crop: tuple[int, ...] = ()
    size: tuple[int, ...] = ()
    outputs: tuple[str, ...] = OUTPUTS
    classes: tuple[str, ...] = CLASSES

    def check(self, size: tuple[int, int]) -> None:
        """Refuse (BadFile) a picture of ``size`` (width, height) that the crop does not fit into."""
        left, top, width, height = self.crop or (0, 0, *size)
        if left + width > size[0] or top + height > size[1]:
            raise BadFile(
                f"the crop of {width} x {height} pixels at ({left}, {top}) does not fit into a picture of "
                f"{size[0]} x {size[1]}"
            )

    def fitted(self, picture: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Picture and class map cropped, then resized; the same arrays where neither is asked for."""
        if self.crop:
            left, top, width, height = self.crop
            picture, classes = (pixels[top : top + height, left : left + width] for pixels in (picture, classes))
        if self.size and classes.shape[::-1] != self.size:
            picture, classes = plain_resize(picture, classes, (self.size[1], self.size[0]))
        return picture, classes


@dataclass(frozen=True)
class Made:
    """What was made of one picture.

    Attributes:
        facts: phase (of the label: the class of most of its pixels), width_px, height_px and lesion_fraction.
        region: pixels, left, top, box_width and box_height of the lesion in the cleaned picture; zeros without one.
        annotation: the lesion in the cleaned picture, for CVAT.
        files: content by path relative to the prepared folder.
        places: path of image, label, original, mask, roi, roi_by_phase and inspector.
    """

    facts: dict[str, Any]
    region: dict[str, int]
    annotation: AnnotatedImage
    files: dict[str, bytes] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def add(self, column: str, path: str, data: bytes) -> None:
        """Note a file under its place."""
        self.files[path] = data
        self.places[column] = path


def make(
    case_id: str, picture: np.ndarray, lesion: Lesion, overlay: Overlay, recipe: Recipe, *, corrected: bool
) -> Made:
    """Clean a picture, draw its lesion and encode all outputs.

    Where the picture is blanked, the lesion is blanked too. Picture and label are cropped, then resized: the picture
    by area means (bilinear when it grows), the label to the nearest pixel.

    ``picture`` is uint8 (H, W, 3), RGB, as it is in its file; the lesion's coordinates are those of ``picture``,
    or of the cleaned one if ``corrected`` (in CVAT); the recipe's crop fits. Raises BadFile: a shape covers no pixel,
    or nothing of the lesion is left in the result.
    """
    height, width = picture.shape[:2]
    classes = draw(lesion, (width, height))
    picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)  # once, for all encoders below
    cleaned = overlay.clean(picture)
    classes = overlay.blank(classes) if corrected else overlay.clean(classes)
    if lesion.shapes and not classes.any():
        raise BadFile("nothing of the lesion is left: it lies where the picture's text is blanked")
    in_cleaned = lesion if corrected else lesion.moved(-overlay.shift)
    shapes = [(recipe.classes[number - 1], shape) for number, shape in in_cleaned.pieces]
    image, label = recipe.fitted(cleaned, classes)
    if lesion.shapes and not label.any():
        raise BadFile("nothing of the lesion is left after crop and resize")
    phase = main_class(label)
    box = cv2.boundingRect(classes)
    made = Made(
        facts={
            "phase": phase,
            "width_px": image.shape[1],
            "height_px": image.shape[0],
            "lesion_fraction": round(cv2.countNonZero(label) / label.size, 6),
        },
        region=dict(zip(_REGION, (cv2.countNonZero(classes), *box), strict=True)),
        annotation=AnnotatedImage(f"originals/{case_id}.png", width, height, shapes),
    )
    made.add("image", f"images/{case_id}.png", encoded := _encoded(image))
    made.add("label", f"labels/{case_id}.png", _encoded(label))
    if "originals" in recipe.outputs:
        made.add("original", f"originals/{case_id}.png", encoded if image is cleaned else _encoded(cleaned))
    if "masks" in recipe.outputs:
        made.add("mask", f"masks/{case_id}.png", _encoded((classes > 0) * np.uint8(255)))
    if phase and {"rois", "rois_by_phase"} & set(recipe.outputs):
        roi = _encoded(cv2.bitwise_and(cleaned, cleaned, mask=dilated(classes)))
        if "rois" in recipe.outputs:
            made.add("roi", f"rois/{case_id}.png", roi)
        if "rois_by_phase" in recipe.outputs:
            made.add("roi_by_phase", f"rois_by_phase/{_folder(recipe.classes[phase - 1])}/{case_id}.png", roi)
    if "inspector" in recipe.outputs:
        tiles = _inspector(picture, cleaned, classes, recipe.classes)
        made.add("inspector", f"inspector/{case_id}.jpg", _encoded(tiles, ".jpg", _JPEG))
    return made


def draw(lesion: Lesion, size: tuple[int, int]) -> np.ndarray:
    """The class map uint8 (height, width) of a lesion: its class where it is, else 0; ``size`` is (width, height).

    Raises BadFile: a shape covers no pixel of the picture.
    """
    classes = np.zeros(size[::-1], np.uint8)
    for number, (class_number, shape) in enumerate(lesion.pieces, 1):
        if isinstance(shape, PixelMask):
            part = classes[shape.top :, shape.left :][: shape.pixels.shape[0], : shape.pixels.shape[1]]
            inside = shape.pixels > 0
        else:
            part, inside = classes, draw_class(PolygonSet.of([(0, shape)], size), 0) > 0
            if is_outside(shape, size):
                raise BadFile(f"polygon {number} lies outside the picture of {size[0]} x {size[1]} pixels")
        if not inside.any():
            raise BadFile(f"shape {number} covers no pixel of the picture")
        part[inside] = class_number
    return classes


def main_class(label: np.ndarray) -> int:
    """The class of most pixels of a class map (H, W) uint8, the lower one of equals; 0 where it is empty."""
    counts = np.bincount(label.ravel(), minlength=2)[1:]
    return int(counts.argmax()) + 1 if counts.any() else 0


def dilated(mask: np.ndarray) -> np.ndarray:
    """Region of interest, uint8 (H, W) of 0 and 1: the lesion and 7 pixels round it (a square of 15 x 15)."""
    return cv2.dilate((mask > 0).astype(np.uint8), _ROI_MARGIN)


def _folder(name: str) -> str:
    """The name of a class as that of a folder."""
    return re.sub(r"[^\w.-]|^\.+", "_", name)


def _inspector(picture: np.ndarray, cleaned: np.ndarray, classes: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Four in one, uint8 (2 H, 2 W, 3), BGR: original and mask above, overlay and cleaned picture below."""
    height, width = classes.shape
    tiles = np.zeros((2 * height, 2 * width, 3), np.uint8)
    tiles[:height, :width] = picture
    tiles[height:, :width] = tiles[height:, width:] = cleaned
    for number in np.flatnonzero(np.bincount(classes.ravel())[1:]) + 1:
        of_class = (classes == number).view(np.uint8)
        left, top, across, down = cv2.boundingRect(of_class)
        inside = of_class[top : top + down, left : left + across] * np.uint8(255)
        tiles[top : top + down, width + left : width + left + across] |= inside[..., None]
        overlaid = tiles[height + top : height + top + down, left : left + across]
        colour = colours(names)[int(number)][::-1]
        tinted = cv2.addWeighted(overlaid, 0.7, np.full_like(overlaid, colour), 0.3, 0)
        overlaid[:] = cv2.copyTo(tinted, inside, overlaid.copy())
        outlines.draw(tiles[height:, :width], of_class, colour)
    return tiles


def _encoded(pixels: np.ndarray, suffix: str = ".png", settings: tuple[int, ...] = _PNG) -> bytes:
    return cv2.imencode(suffix, np.ascontiguousarray(pixels), settings)[1].tobytes()

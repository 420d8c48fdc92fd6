"""COCO's JSON, one file for many pictures: polygons and run lengths (https://cocodataset.org/#format-data).

Run lengths count pixels column by column, zeros and ones in turn, zeros first; as a list, or packed into a text, where
from the third number on the difference to the one before last is stored, in groups of five bits, lowest first.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from medseg import project
from medseg.datasets import shapes
from medseg.datasets.shapes import MAX_SIDE, AnnotatedImage, Geometry, PixelMask
from medseg.datasets.texts import file_bytes, utf8_or_korean
from medseg.errors import MedsegError

EXPECTED = '{"images": [...], "annotations": [...], "categories": [{"id": 1, "name": NAME}, ...]}'
_KEYS = ("images", "annotations", "categories")


def is_coco(content: Any) -> bool:
    """Whether parsed JSON is such a file."""
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in _KEYS)


def read(path: Path, predicted_above: float | None = None) -> tuple[list[AnnotatedImage], list[str]]:
    """Read a file: its pictures in order, and the names of its categories in order.

    ``predicted_above`` says that a method predicted it: of annotations with a score those above it are taken, and an
    empty mask is none. Else scores do not count, and an empty mask is a fault.

    What is wrong with single annotations is in the pictures' ``faults``. Raises MedsegError: it cannot be read, is no
    JSON, or none of COCO.
    """
    where = project.display(path)
    try:
        content = json.loads(utf8_or_korean(file_bytes(path))[0])
    except (ValueError, RecursionError) as error:
        raise MedsegError(f"{where} is not valid JSON ({str(error)[:120]}). Export it again.") from error
    if isinstance(content, list):
        raise MedsegError(
            f"{where} is a list of results alone. Put it beside its pictures and categories; expected {EXPECTED}."
        )
    if not is_coco(content):
        raise MedsegError(f"{where} is not a COCO file; expected {EXPECTED}.")
    images: dict[Any, AnnotatedImage] = {}
    for number, entry in enumerate(content["images"], 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str) or "id" not in entry:
            raise MedsegError(f"{where}: picture {number} has no id or no file_name. Export it again.")
        if entry["id"] in images:
            raise MedsegError(f"{where} has two pictures of the id {entry['id']!r}. Export it again.")
        sides = (entry.get(key) for key in ("width", "height"))
        width, height = (side if type(side) is int and 0 < side <= MAX_SIDE else 0 for side in sides)
        images[entry["id"]] = AnnotatedImage(entry["file_name"].replace("\\", "/"), width, height)
    names = {entry.get("id"): str(entry.get("name", "")).strip() for entry in content["categories"] if _named(entry)}
    for number, entry in enumerate(content["annotations"], 1):
        image = images.get(entry.get("image_id")) if isinstance(entry, dict) else None
        if image is None:
            raise MedsegError(f"{where}: annotation {number} is of no picture of the file. Export it again.")
        label = names.get(entry.get("category_id"))
        try:
            if label is None:
                raise ValueError(f"its category_id {str(entry.get('category_id'))[:20]!r} is none of the categories")
            if predicted_above is not None and not _is_there(entry, predicted_above):
                continue
            image.shapes += [(label, geometry) for geometry in _geometries(entry.get("segmentation"), image.size)]
        except ValueError as error:
            named = f" ({label[:40]})" if label else ""
            image.faults.append(f"annotation {entry.get('id', number)}{named}: {error}")
    return list(images.values()), list(dict.fromkeys(names.values()))


def decode(counts: list[int] | str, height: int, width: int) -> np.ndarray:
    """Mask uint8 (height, width) of 0 and 1 from run lengths; ValueError where they do not add up to its pixels."""
    runs = _unpacked(counts) if isinstance(counts, str) else counts
    if (
        not isinstance(runs, list)
        or any(type(run) is not int or run < 0 for run in runs)
        or sum(runs) != height * width
    ):
        raise ValueError(f"run lengths that do not add up to {width} x {height} pixels")
    values = np.repeat(np.resize(np.array([0, 1], np.uint8), len(runs)), runs)
    return values.reshape(width, height).T


def _is_there(entry: Mapping[str, Any], threshold: float) -> bool:
    """Whether what was predicted has a score above ``threshold``, or none, and is no empty mask."""
    score, segmentation = entry.get("score"), entry.get("segmentation")
    counts = segmentation.get("counts") if isinstance(segmentation, Mapping) else segmentation
    runs = _unpacked(counts) if isinstance(counts, str) else counts
    empty = isinstance(segmentation, Mapping) and isinstance(runs, list) and runs and not any(runs[1::2])
    return not empty and (not isinstance(score, int | float) or score > threshold)


def _named(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(str(entry.get("name", "")).strip())


def _geometries(segmentation: Any, size: tuple[int, int] | None) -> list[Geometry]:
    if isinstance(segmentation, Mapping):
        return [_mask(segmentation, size)]
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("it has no segmentation; a box alone outlines nothing")
    outlines: list[Geometry] = []
    for flat in segmentation:
        if not isinstance(flat, list) or len(flat) % 2:
            raise ValueError("a polygon of an odd number of coordinates")
        outlines.append(shapes.polygon([flat[i : i + 2] for i in range(0, len(flat), 2)]))
    return outlines


def _mask(segmentation: Mapping[str, Any], size: tuple[int, int] | None) -> PixelMask:
    told = segmentation.get("size")
    if not isinstance(told, list) or len(told) != 2 or any(type(s) is not int or not 0 < s <= MAX_SIDE for s in told):
        raise ValueError("run lengths without a size [height, width]")
    if size and (told[1], told[0]) != size:
        raise ValueError(f"run lengths of {told[1]} x {told[0]} pixels on a picture of {size[0]} x {size[1]}")
    whole = decode(segmentation.get("counts", []), *told)
    if not whole.any():
        raise ValueError("run lengths of an empty mask")
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(whole))
    return PixelMask(left, top, np.ascontiguousarray(whole[top : top + height, left : left + width]))


def _unpacked(code: str) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for letter in code:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"run lengths with the letter {letter!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:  # the sign
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("run lengths that break off")
    return runs

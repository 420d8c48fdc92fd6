"""CVAT's XML, "CVAT for images 1.1": written for correction by hand, and read when it comes back.

The format: https://docs.cvat.ai/docs/other/xml_format. Coordinates are those of the picture, x to the right and y
down, in pixels; pixel (row i, column j) covers [j, j + 1) x [i, i + 1). Entities are never expanded: a file with a
DOCTYPE is refused.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from defusedxml import DTDForbidden, ElementTree

from medseg import project
from medseg.datasets.shapes import MAX_SIDE, AnnotatedImage, Geometry, PixelMask
from medseg.datasets.texts import file_bytes
from medseg.errors import MedsegError

_COUNT = re.compile(r"[0-9]{1,9}")


def read(path: Path) -> list[AnnotatedImage]:
    """Read an annotation file: :func:`parse`; MedsegError also where it cannot be read."""
    return parse(file_bytes(path), project.display(path))


def parse(data: bytes, where: str) -> list[AnnotatedImage]:
    """Read the bytes of an annotation file, ``where`` in messages; a picture's fault is noted in its ``problem``.

    Polygons, and masks in the run-length code of newer CVAT: counts of zeros and ones in turn, zeros first, row by row
    within the box ``left top width height``. Tags and attributes are passed over. Raises MedsegError: not well-formed
    XML, a DOCTYPE, tracks of a video, or no CVAT annotations.
    """
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except DTDForbidden as error:
        raise MedsegError(
            f"{where} has a DOCTYPE, which CVAT never writes and which can blow up to any size. It is not read; "
            "export it from CVAT again."
        ) from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # of encodings, the last two
        raise MedsegError(
            f"{where} is not well-formed XML ({error}). Export it from CVAT again, as 'CVAT for images 1.1'."
        ) from error
    if root.tag != "annotations":
        raise MedsegError(f"{where} is not a CVAT file: its root is <{root.tag[:40]}>, expected <annotations>.")
    if root.find("track") is not None:
        raise MedsegError(f"{where} holds tracks of a video; export it as 'CVAT for images 1.1' instead.")
    return [_image(element) for element in root.findall("image")]


def dump(images: Sequence[AnnotatedImage], labels: Mapping[str, str], task: str) -> str:
    """The text of an annotation file of the task called ``task``; points have two decimals, as CVAT writes them.

    ``images`` are in the order of their ids; ``labels`` gives the colour (``#rrggbb``) of each label.
    """
    lines = [
        *('<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>", "  <meta><task>"),
        f"    <name>{escape(task)}</name><size>{len(images)}</size><mode>annotation</mode><overlap>0</overlap>",
        "    <labels>",
    ]
    for name, colour in labels.items():
        attributes = f"<name>{escape(name)}</name><color>{colour}</color><attributes></attributes>"
        lines.append(f"      <label>{attributes}</label>")
    lines += ["    </labels>", "  </task></meta>"]
    for number, image in enumerate(images):
        lines.append(
            f'  <image id="{number}" name={quoteattr(image.name)} width="{image.width}" height="{image.height}">'
        )
        lines += [f"    {_element(label, geometry)}" for label, geometry in image.shapes]
        lines.append("  </image>")
    return "\n".join([*lines, "</annotations>", ""])


def encode_mask(pixels: np.ndarray) -> str:
    """Run lengths of a box (h, w) of 0 and 1: zeros and ones in turn, zeros first, row by row."""
    line = np.concatenate([[0], pixels.ravel() != 0, [0]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(line))
    counts = np.diff(np.concatenate([[0], edges, [pixels.size]]))
    return ", ".join(map(str, (counts if counts[-1] else counts[:-1]).tolist()))


def decode_mask(code: str, width: int, height: int) -> np.ndarray:
    """Reverse of :func:`encode_mask`: uint8 (height, width) of 0 and 1; zeros at the end may be left out.

    Raises ValueError: a count is not a whole number, or they add up to more than the box.
    """
    tokens = code.replace(",", " ").split()
    wrong = next((token for token in tokens if not _COUNT.fullmatch(token)), None)
    if wrong is not None:
        raise ValueError(f"the run length {wrong[:20]!r} is not a whole number")
    counts = list(map(int, tokens))
    if sum(counts) > width * height:
        raise ValueError(f"run lengths add up to {sum(counts)}, its box has {width} x {height} pixels")
    values = np.repeat(np.resize(np.array([0, 1], np.uint8), len(counts)), counts)
    return np.pad(values, (0, width * height - len(values))).reshape(height, width)


def _image(element: Element) -> AnnotatedImage:
    name = element.get("name", "")
    try:
        image = AnnotatedImage(name, _integer(element.attrib, "width", 1), _integer(element.attrib, "height", 1))
    except ValueError as error:
        return AnnotatedImage(name, 0, 0, problem=str(error))
    for shape in element:
        if shape.tag not in ("attribute", "tag"):
            try:
                image.shapes.append(_shape(shape.tag, shape.attrib, image))
            except ValueError as error:
                image.problem = f"shape {len(image.shapes) + 1}: {error}"
                break
    return image


def _shape(name: str, attributes: dict[str, str], image: AnnotatedImage) -> tuple[str, Geometry]:
    if name not in ("polygon", "mask"):
        raise ValueError(f"a <{name[:40]}>; only polygons and masks are read")
    if "label" not in attributes:
        raise ValueError(f"a {name} without a label")
    return attributes["label"], _polygon(attributes) if name == "polygon" else _mask(attributes, image)


def _polygon(attributes: dict[str, str]) -> np.ndarray:
    points = []
    for pair in filter(None, attributes.get("points", "").split(";")):
        try:
            x, y = (float(value) for value in pair.split(","))
        except ValueError:
            raise ValueError(f"the point {pair[:40]!r} is not 'x,y'") from None
        if not (math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) <= 1e6):
            raise ValueError(f"the point {pair[:40]!r} is out of all bounds")
        points.append((x, y))
    if len(set(points)) < 3:
        raise ValueError(f"a polygon of {len(set(points))} distinct point(s); expected at least 3")
    return np.array(points, np.float64)


def _mask(attributes: dict[str, str], image: AnnotatedImage) -> PixelMask:
    left, top, width, height = (
        _integer(attributes, key, least) for key, least in (("left", 0), ("top", 0), ("width", 1), ("height", 1))
    )
    if left + width > image.width or top + height > image.height:
        raise ValueError(
            f"a mask of {width} x {height} pixels at ({left}, {top}) does not fit into {image.width} x {image.height}"
        )
    if "rle" not in attributes:
        raise ValueError("a mask without rle")
    return PixelMask(left, top, decode_mask(attributes["rle"], width, height))


def _integer(attributes: dict[str, str], key: str, least: int) -> int:
    value = attributes.get(key)
    if value is None:
        raise ValueError(f"{key} is missing")
    if not re.fullmatch(r"[0-9]{1,5}(\.0+)?", value) or not least <= int(value.split(".")[0]) <= MAX_SIDE:
        raise ValueError(f"{key} is {value[:20]!r}; expected a whole number of pixels from {least} to {MAX_SIDE}")
    return int(value.split(".")[0])


def _element(label: str, geometry: Geometry) -> str:
    common = f'label={quoteattr(label)} source="file" occluded="0"'
    if isinstance(geometry, PixelMask):
        height, width = geometry.pixels.shape
        box = f'left="{geometry.left}" top="{geometry.top}" width="{width}" height="{height}"'
        return f'<mask {common} rle="{encode_mask(geometry.pixels)}" {box} z_order="0"></mask>'
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in geometry)
    return f'<polygon {common} points="{points}" z_order="0"></polygon>'

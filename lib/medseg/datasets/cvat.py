"""CVAT's XML, "for images 1.1" and "for video 1.1": written for correction by hand, and read when it comes back.

The format: https://docs.cvat.ai/docs/other/xml_format. Coordinates are those of the picture, x to the right and y
down, in pixels; pixel (row i, column j) covers [j, j + 1) x [i, i + 1). Entities are never expanded: a file with a
DOCTYPE is refused.

A frame of a video has no name of its own; it is called by :func:`frame_name`, after the video of its task.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DTDForbidden, ElementTree

from medseg import project
from medseg.datasets import cvat_shapes
from medseg.datasets.shapes import AnnotatedImage, Geometry, PixelMask
from medseg.datasets.texts import file_bytes
from medseg.errors import MedsegError

_FRAME = re.compile(r"(?:.*/)?frame_([0-9]{6,})(?:\.[A-Za-z]{3,4})?")  # what CVAT calls the frames of a video
_VIDEOS = (".dcm", ".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")
_MOST_FRAMES = 9_999_999


def read(path: Path) -> list[AnnotatedImage]:
    """Read an annotation file: :func:`parse`; MedsegError also where it cannot be read."""
    return parse(file_bytes(path), project.display(path))


def parse(data: bytes, where: str) -> list[AnnotatedImage]:
    """Read the bytes of an annotation file, ``where`` in messages; a picture's fault is noted in its ``problem``.

    Polygons, boxes, ellipses, and masks in the run-length code of newer CVAT: counts of zeros and ones in turn, zeros
    first, row by row within the box ``left top width height``. Shapes of a higher ``z_order`` come later. Tags and
    attributes are passed over. Of tracks, every frame on which a shape lies becomes a picture; frames without one are
    not among them, as nobody may have looked at them. Raises MedsegError: not well-formed XML, a DOCTYPE, or no CVAT
    annotations.
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
    tasks = {task.findtext("id", ""): task for task in root.findall("./meta//task")}
    images = [_image(element, _task(tasks, element)) for element in root.findall("image")]
    return images + _frames([(track, _task(tasks, track)) for track in root.findall("track")])


def frame_name(source: str, number: int) -> str:
    """What frame ``number``, from 0, of a video is called: ``NAME-f0001`` for the first one of ``FOLDER/NAME.mp4``."""
    path = PurePosixPath(source.replace("\\", "/"))
    stem = path.with_suffix("") if path.suffix.casefold() in _VIDEOS else path
    return f"{stem}-f{number + 1:04d}"


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


def _task(tasks: Mapping[str, Element], element: Element) -> Element | None:
    """The task that a picture or a track belongs to; a file of a project holds several."""
    return tasks.get(element.get("task_id", ""), next(iter(tasks.values()), None))


def _source(task: Element | None) -> str:
    """The video that a task was made of; where that is not said, the task's name; "" for neither."""
    if task is None:
        return ""
    return task.findtext("source", "").strip() or task.findtext("name", "").strip()


def _image(element: Element, task: Element | None) -> AnnotatedImage:
    name = element.get("name", "")
    if (frame := _FRAME.fullmatch(name)) and task is not None and task.findtext("source", "").strip():
        name = frame_name(_source(task), int(frame[1]))
    try:
        width, height = (cvat_shapes.whole_number(element.attrib, side, 1) for side in ("width", "height"))
        image = AnnotatedImage(name, width, height)
    except ValueError as error:
        return AnnotatedImage(name, 0, 0, problem=str(error))
    for shape in sorted(element, key=_depth):
        if shape.tag not in ("attribute", "tag"):
            _add(image, shape, shape.get("label"))
    return image


def _frames(tracks: Sequence[tuple[Element, Element | None]]) -> list[AnnotatedImage]:
    """The frames on which tracks lie, in order, task by task."""
    found: dict[tuple[str, int], list[tuple[Element, str | None]]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for track, task in tracks:
        source = _source(task)
        sizes[source] = _original_size(task)
        for shape in track:
            if shape.get("outside") == "1" or shape.tag in ("attribute", "tag"):
                continue
            try:
                number = cvat_shapes.whole_number(shape.attrib, "frame", 0, _MOST_FRAMES)
            except ValueError:
                number = -1  # of the picture that says so
            found.setdefault((source, number), []).append((shape, track.get("label")))
    images = []
    for (source, number), listed in sorted(found.items(), key=lambda entry: entry[0]):
        if number < 0:
            fault = "a shape without the number of its frame"
            images.append(AnnotatedImage(source, *sizes[source], problem=fault))
            continue
        images.append(AnnotatedImage(frame_name(source, number), *sizes[source]))
        for shape, label in sorted(listed, key=lambda entry: _depth(entry[0])):
            _add(images[-1], shape, label)
    return images


def _original_size(task: Element | None) -> tuple[int, int]:
    size = None if task is None else task.find("original_size")
    try:
        sides = {side: size.findtext(side, "") for side in ("width", "height")} if size is not None else {}
        return cvat_shapes.whole_number(sides, "width", 1), cvat_shapes.whole_number(sides, "height", 1)
    except ValueError:
        return 0, 0


def _depth(shape: Element) -> int:
    order = shape.get("z_order", "0")
    return int(order) if re.fullmatch(r"-?[0-9]{1,6}", order) else 0


def _add(image: AnnotatedImage, shape: Element, label: str | None) -> None:
    if image.problem:
        return
    try:
        if label is None:
            raise ValueError(f"a {shape.tag[:40]} without a label")
        image.shapes.append((label, cvat_shapes.geometry(shape.tag, shape.attrib, image)))
    except ValueError as error:
        image.problem = f"shape {len(image.shapes) + 1}: {error}"


def _element(label: str, geometry: Geometry) -> str:
    common = f'label={quoteattr(label)} source="file" occluded="0"'
    if isinstance(geometry, PixelMask):
        height, width = geometry.pixels.shape
        box = f'left="{geometry.left}" top="{geometry.top}" width="{width}" height="{height}"'
        return f'<mask {common} rle="{cvat_shapes.encode_mask(geometry.pixels)}" {box} z_order="0"></mask>'
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in geometry)
    return f'<polygon {common} points="{points}" z_order="0"></polygon>'

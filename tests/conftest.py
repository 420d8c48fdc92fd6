"""Fixtures for all tests."""

from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from nbformat import v4


@pytest.fixture
def write_notebook():
    """A function that writes a notebook: parameters cell (None for none), then code cells."""

    def write(path: Path, parameters: str | None, *cells: str) -> Path:
        notebook = v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        )
        if parameters is not None:
            notebook.cells.append(v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        notebook.cells += [v4.new_code_cell(cell) for cell in cells]
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture
def polygon_dataset(tmp_path):
    """A prepared dataset of three overlapping classes: two pictures for each of three patients, one a split.

    The bone ``c`` is absent from the second picture of every patient.
    """
    from medseg.datasets import index, polygons

    classes = ["a", "b", "c"]
    info = {"study": "handbone", "name": "shapes", "classes": classes, "label_format": "polygons", "folds": 3}
    with index.writing(tmp_path / "shapes", **info) as draft:
        for patient, split in enumerate(("test", "validation", "train")):
            for number in range(2):
                case = f"ID{patient:03d}-image{number}.v1_R"
                shapes = [
                    (0, [(8, 8), (40, 8), (40, 30), (8, 30)]),
                    (1, [(30, 20), (60, 20 + patient), (60, 50), (30, 50)]),
                ]
                if number == 0:
                    shapes.append((2, [(70, 60), (90, 60), (80, 72)]))
                true = polygons.PolygonSet.of(shapes, (100, 80))
                masks = polygons.rasterise(true, 3)
                picture = (30 + 60 * masks.sum(0)).astype(np.uint8)
                draft.write_file(f"images/{case}.png", cv2.imencode(".png", picture)[1].tobytes())
                draft.write_file(f"polygons/{case}.json", polygons.dump(true, classes).encode())
                draft.rows.append(
                    {
                        "case_id": case, "image": f"images/{case}.png", "label": f"polygons/{case}.json",
                        "group": f"ID{patient:03d}", "split": split, "fold": patient,
                        "test_set": "fold-0" if split == "test" else "", "image_name": f"image{number}.v1_R.png",
                        "side": "R", "sex": "F", "age": 30 + patient, "weight": 60.5, "height": "", "width_px": 100,
                        "height_px": 80,
                    }
                )  # fmt: skip
    return index.load(tmp_path / "shapes")


@pytest.fixture
def phase_dataset(tmp_path):
    """Prepared gastric pictures: per split two patients with three pictures each, the third without a lesion.

    The red channel of a picture is 50 times its class map.
    """
    from medseg.datasets import index

    classes = [f"phase-{k}" for k in range(1, 5)]
    with index.writing(tmp_path / "phases", study="gastric", name="discs", classes=classes) as draft:
        for patient in range(6):
            split = ("train", "validation", "test")[patient // 2]
            for number in range(3):
                phase = (1 + (patient + number) % 4) if number < 2 else 0
                label = np.zeros((48, 64), np.uint8)
                if phase:
                    cv2.circle(label, (30, 20 + number), 9, phase, -1)
                picture = np.zeros((48, 64, 3), np.uint8)
                picture[..., 2] = 50 * label
                case = f"P{patient}-{number}"
                for kind, pixels in (("images", picture), ("labels", label)):
                    draft.write_file(f"{kind}/{case}.png", cv2.imencode(".png", pixels)[1].tobytes())
                draft.rows.append(
                    {
                        "case_id": case, "image": f"images/{case}.png", "label": f"labels/{case}.png",
                        "group": f"P{patient}", "split": split, "fold": -1,
                        "test_set": "test" if split == "test" else "", "phase": phase, "width_px": 64, "height_px": 48,
                    }
                )  # fmt: skip
    return index.load(tmp_path / "phases")

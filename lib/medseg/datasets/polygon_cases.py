"""Cases of a prepared dataset whose labels are polygons."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from medseg import project
from medseg.datasets import polygons
from medseg.datasets.frames import read_picture
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError


def read_case(dataset: PreparedDataset, row: Mapping[str, Any]) -> tuple[np.ndarray, polygons.PolygonSet]:
    """Picture (H, W) uint8 and true polygons of a row of the index.

    Raises:
        MedsegError: one of the two cannot be read, or they are of different sizes.
    """
    picture = read_picture(dataset.path(row["image"]), cv2.IMREAD_GRAYSCALE)
    file = dataset.path(row["label"])
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MedsegError(f"{project.display(file)} cannot be read ({error}). Prepare the dataset again.") from error
    true = polygons.parse(text, dataset.info["classes"], project.display(file))
    if true.size != picture.shape[::-1]:
        raise MedsegError(
            f"{row['case_id']}: the picture is {picture.shape[1]} x {picture.shape[0]}, its polygons are for "
            f"{true.size[0]} x {true.size[1]} pixels. Prepare the dataset again."
        )
    return picture, true

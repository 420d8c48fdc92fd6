"""New gastroscopies are cleaned as the preparation cleans them; prepared ones are taken as they are."""

import cv2
import numpy as np
import pytest

from medseg import registry
from medseg.evaluation import kinds
from medseg.prediction import models


@pytest.fixture
def frame(tmp_path):
    """A round window with a dark lumen at its edge, and burned-in text beside it."""
    picture = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(picture, (200, 120), 100, (60, 90, 160), -1)
    cv2.circle(picture, (110, 120), 25, (8, 8, 8), -1)
    cv2.putText(picture, "NAME 01", (5, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
    cv2.imwrite(str(tmp_path / "frame.png"), picture)
    return tmp_path / "frame.png"


def read(path, **info):
    return models.reader("gastric", kinds.of("class_map", ["phase-1"]), info)(path, None)


def test_text_beside_the_window_is_blanked(frame):
    raw = cv2.imread(str(frame))[..., ::-1]
    cleaned = read(frame)
    assert raw[:40, :80].max() == 255
    assert cleaned[:40, :80].max() == 0
    assert np.array_equal(cleaned[60:180, 130:270], raw[60:180, 130:270])
    assert np.array_equal(read(frame, overlay={"mode": "off"}), raw)
    published = read(frame, overlay={"mode": "published"})
    assert published[:, :142].max() == 0
    assert np.array_equal(published[60:, 180:], raw[60:, 180:]), "the picture is not moved"


def test_a_picture_of_a_prepared_dataset_is_taken_as_it_is(frame):
    (frame.parent / "dataset.json").write_text("{}")
    assert np.array_equal(read(frame), cv2.imread(str(frame))[..., ::-1])


def test_other_studies_read_pictures_as_they_are(frame):
    assert registry.find("polyp").reader == ""
    found = models.reader("polyp", kinds.of("binary", ["polyp"]), {})(frame, None)
    assert np.array_equal(found, cv2.imread(str(frame))[..., ::-1])
    grey = models.reader("handbone", kinds.of("overlapping", ["a"]), {})(frame, None)
    assert np.array_equal(grey, cv2.cvtColor(found, cv2.COLOR_RGB2GRAY))

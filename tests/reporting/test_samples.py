"""Figures of samples: they are drawn for every kind of input, and say what they show."""

import numpy as np
import pandas as pd
import pytest

from medseg.datasets import index
from medseg.datasets.augmentation.presets import build_augmentation
from medseg.datasets.frames import Frames
from medseg.datasets.images import CleanedMask, encode_png
from medseg.errors import MedsegError
from medseg.evaluation.rules import Segmentation
from medseg.reporting import samples


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("samples") / "data"
    with index.writing(folder, study="polyp", name="toy", classes=["polyp"], protocol="toy") as draft:
        for number, (split, size) in enumerate({"train": (40, 50), "validation": (90, 70), "test": (600, 500)}.items()):
            mask = np.zeros(size, np.uint8)
            mask[10:25, 12:30] = 255
            draft.write_file(f"i{number}.png", encode_png(rng.integers(0, 255, (*size, 3), np.uint8)))
            draft.write_file(f"m{number}.png", encode_png(mask))
            files = {"case_id": f"A/{number}", "image": f"i{number}.png", "label": f"m{number}.png"}
            group = {"group": str(number), "split": split, "fold": -1, "test_set": "A" if split == "test" else ""}
            draft.rows.append({**files, **group, "polyp_fraction": 0.01 * (number + 1)})
    return index.load(folder)


def test_frames_are_read_once_while_there_is_room(dataset):
    frames = Frames(dataset, dataset.index, budget=40 * 50 * 4)
    image, mask = frames[0]
    assert (image.shape, mask.shape, image.dtype) == ((40, 50, 3), (40, 50), np.uint8)
    assert set(np.unique(mask)) == {0, 1}
    assert frames[0][0] is image
    assert frames[1][0] is not frames[1][0]
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 0


def test_a_frame_that_cannot_be_used_is_named(dataset, tmp_path):
    (dataset.folder / "broken.png").write_bytes(b"no picture")
    for label, expected in (("broken.png", "broken.png is not a readable picture"), ("m1.png", "its mask 70 x 90")):
        rows = pd.DataFrame({"image": ["i0.png"], "label": [label]})
        with pytest.raises(MedsegError, match=expected):
            _ = Frames(dataset, rows)[0]
    (dataset.folder / "broken.png").unlink()


def test_pictures_and_predictions_of_all_sizes(dataset):
    frames, names = Frames(dataset, dataset.index), list(dataset.index["case_id"])
    shown = samples.picture_mask_overlay(frames, names)
    assert (shown.kind, shown.mimetype) == ("photo", "image/jpeg")
    assert "3 colonoscopy frames" in shown.alt
    predicted = samples.predictions(
        frames, names, lambda p, _: Segmentation(np.ones(p.shape[:2], np.uint8), np.ones(p.shape[:2], np.float32))
    )
    assert predicted.data != shown.data
    for name in ("none", "warp"):
        assert "3 training frames" in samples.augmented(frames, build_augmentation(name, 32), 0).alt


def test_cleaning_says_how_many_values_there_were():
    before = np.zeros((60, 80), np.uint8)
    before[20:40, 30:50] = 255
    before[20, 30:50] = 90
    impure = (before > 0) & (before < 255)
    after = (before > 127).astype(np.uint8) * 255
    shown = samples.mask_before_after(CleanedMask(before, after, impure, [(90, 20)]), "A/1")
    assert "A/1: 1 values between 0 and 255 in 20 pixels (0.4%)" in shown.caption
    pure = samples.mask_before_after(CleanedMask(after, after, np.zeros_like(impure), []), "A/1")
    assert "nothing had to be cleaned" in pure.caption


def test_sizes_are_told_by_split(dataset):
    assert "validation median 2.0 %; A median 3.0 %" in samples.size_distribution(dataset).alt

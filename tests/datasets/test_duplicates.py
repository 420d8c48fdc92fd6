"""Copies are recognised at other sizes and qualities, other pictures are not; and what an audit makes of them."""

import io
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from medseg.datasets import audit, duplicates, index, splits
from medseg.errors import MedsegError


def scene(seed, size=(320, 256), details=True):
    """Smooth patches as in an endoscope's frame, uint8 grey, with details or without; black outside a window."""
    rng = np.random.default_rng(seed)
    width, height = size
    patches = cv2.resize(rng.uniform(40, 220, (9, 11)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.uniform(-40, 40, (27, 33)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    picture = np.clip(patches + fine * details, 1, 255)
    rows, columns = np.mgrid[:height, :width]
    picture[np.hypot(rows - height / 2, columns - width / 2) > 0.48 * width] = 0
    return picture.astype(np.uint8)


def copy(picture, scale, quality):
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    buffer = io.BytesIO()
    Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def pairs(pictures, parts):
    found = duplicates.twins([duplicates.look(picture) for picture in pictures], parts)
    return {(twins.first, twins.second) for twins in found}


@pytest.mark.parametrize(("scale", "quality"), [(1, 95), (0.4, 80), (1.7, 30), (0.55, 20)])
def test_a_copy_of_another_size_and_quality_is_found_and_nothing_else(scale, quality):
    scenes = [scene(seed) for seed in range(12)]
    others = [
        *(scene(seed) for seed in range(20, 30)),
        copy(scenes[3], scale, quality),
        copy(scenes[7], scale, quality),
    ]
    assert pairs([*scenes, *others], ["train"] * 12 + ["test"] * 12) == {(3, 22), (7, 23)}


def test_frames_that_share_border_and_shading_alone_are_no_copies():
    def frame(seed):
        fine = np.random.default_rng(seed).normal(0, 14, (26, 32)).astype(np.float32)
        fine = cv2.resize(fine - cv2.GaussianBlur(fine, (0, 0), 2), (320, 256), interpolation=cv2.INTER_CUBIC)
        same = scene(0, details=False)
        return np.clip(same + np.where(same > 0, fine, 0), 0, 255).astype(np.uint8)

    frames = [frame(seed) for seed in range(8)]
    bits = [duplicates.look(one).bits for one in frames]
    assert sum((bits[0] ^ other).bit_count() <= duplicates.MOST_DISTANCE for other in bits[1:]) > 3  # the hash errs
    assert pairs(frames, range(8)) == set()
    assert pairs([*frames, copy(frames[2], 0.5, 60)], range(9)) == {(2, 8)}


def test_pictures_without_detail_and_those_of_one_part_are_never_twins():
    black = np.zeros((64, 80), np.uint8)
    assert pairs([black, black, np.full_like(black, 7)], "abc") == set()
    assert pairs([scene(1), scene(1)], "aa") == set()
    assert pairs([], "") == set()


def test_ten_thousand_pictures_are_compared_in_seconds():
    rng = np.random.default_rng(0)
    details = rng.normal(size=(10_000, 1024)).astype(np.float32)
    details /= np.linalg.norm(details, axis=1, keepdims=True)
    bits = [int(value) for value in rng.integers(0, 1 << 63, 10_000)]
    looks = [duplicates.Look(*one) for one in zip(bits, details, strict=True)]
    looks[9_876] = duplicates.Look(looks[5].bits ^ 0b1011, looks[5].detail)
    started = time.perf_counter()
    assert duplicates.twins(looks, [number % 3 for number in range(10_000)]) == [duplicates.Twins(5, 9_876, 3)]
    assert time.perf_counter() - started < 30


def write(folder, rows, **options):
    """A dataset of ``(case, split, fold, picture)``; every case is a group of its own."""
    dropped = None
    with index.writing(folder, study="toy", name="toy", classes=["polyp"]) as draft:
        for case, split, fold, picture in rows:
            for kind, pixels in (("images", picture), ("labels", picture)):
                draft.write_file(f"{kind}/{case}.png", cv2.imencode(".png", pixels)[1].tobytes())
            place = {"group": case, "split": split, "fold": fold, "test_set": "T" if split == "test" else ""}
            draft.rows.append({"case_id": case, "image": f"images/{case}.png", "label": f"labels/{case}.png", **place})
        dropped = audit.find_duplicates(draft, **options)
    return index.load(folder), dropped


A, B, C, D = (scene(seed) for seed in range(4))
ROWS = [
    ("a", "train", -1, A), ("b", "train", -1, B), ("b2", "train", -1, B), ("c", "validation", -1, C),
    ("v", "validation", -1, copy(A, 0.5, 70)), ("t", "test", -1, copy(A, 0.8, 50)), ("d", "test", -1, D),
]  # fmt: skip


def test_twins_over_splits_are_named_in_the_dataset_and_counted_for_the_runs(tmp_path):
    data, dropped = write(tmp_path / "data", ROWS)
    assert dropped == set()
    named = {(e["first"], e["second"]): e["splits"] for e in data.info["duplicates"]}
    assert named == {
        ("a", "v"): ["train", "validation"],
        ("a", "t"): ["train", "test"],
        ("v", "t"): ["validation", "test"],
    }
    assert all(0 <= e["distance"] <= duplicates.MOST_DISTANCE for e in data.info["duplicates"])
    assert data.info["identical"] == [["b", "b2"]]
    assert (
        "3 pairs of pictures in different splits or folds look the same: a and v (train, val" in data.info["notes"][0]
    )
    assert audit.record(data) == {
        "near_duplicates": {"train and validation": 1, "train and test": 1, "validation and test": 1},
        "groups_guessed": None,
    }
    counts = {found.what: found.times for found in audit.leakage(data)}
    assert counts == {
        "groups in two splits": 0, "sets whose groups are a guess": None, "near duplicates over splits": 3,
        "equal pictures within a split": 1,
    }  # fmt: skip


def test_a_twin_is_dropped_from_training_then_from_validation_and_never_from_a_test(tmp_path):
    plain, _ = write(tmp_path / "plain", ROWS)
    data, dropped = write(tmp_path / "data", ROWS, drop=True, source_of=lambda row: f"raw/{row['case_id']}.jpg")
    assert dropped == {"a", "v"}
    assert list(data.index["case_id"]) == ["b", "b2", "c", "t", "d"]
    table = (data.folder / "rejected.csv").read_text()
    assert "raw/a.jpg,looks the same as v (validation); left out of train" in table
    assert "raw/v.jpg,looks the same as t (test); left out of validation" in table
    assert not (data.folder / "images" / "a.png").exists()
    assert not (data.folder / "labels" / "v.png").exists()
    assert data.info["duplicates"] == []
    assert audit.record(data)["near_duplicates"] == {}
    assert data.fingerprint != plain.fingerprint


def test_a_split_of_twins_alone_cannot_be_dropped(tmp_path):
    with pytest.raises(MedsegError, match="Every picture of train looks the same"):
        write(tmp_path / "data", [("a", "train", -1, A), ("t", "test", -1, copy(A, 0.5, 80))], drop=True)
    assert not (tmp_path / "data").exists()


def test_over_folds_twins_follow_the_fold_that_is_held_out(tmp_path):
    rows = [
        ("t", "test", 0, A), ("c", "validation", 1, B), ("d", "train", 2, C), ("d2", "train", 3, copy(C, 0.6, 60)),
        ("e", "train", 2, D),
    ]  # fmt: skip
    data, _ = write(tmp_path / "data", rows)
    assert [(e["first"], e["second"]) for e in data.info["duplicates"]] == [("d", "d2")]
    assert audit.record(data)["near_duplicates"] == {}
    assert audit.record(splits.hold_out(data, 2))["near_duplicates"] == {"validation and test": 1}
    assert audit.record(splits.hold_out(data, 3))["near_duplicates"] == {"train and test": 1}
    _, dropped = write(tmp_path / "once", rows, drop=True)
    assert dropped == {"d2"}


def test_a_dataset_prepared_earlier_is_not_called_clean(tmp_path):
    data, _ = write(tmp_path / "data", ROWS)
    for key in ("duplicates", "identical"):
        del data.info[key]
    assert audit.record(data) == {"near_duplicates": None, "groups_guessed": None}
    assert audit.leakage(data)[2].times is None

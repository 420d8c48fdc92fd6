import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock

from medseg.datasets import index, picture_cache
from medseg.datasets.augmentation.warp import fit_matrix, fit_picture
from medseg.datasets.picture_cache import PictureCache
from medseg.errors import MedsegError


def smooth(height, width, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(values, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)


SIZES = ((60, 60), (80, 50), (33, 64))


@pytest.fixture
def dataset(tmp_path):
    with index.writing(tmp_path / "set", study="handbone", name="tiny", classes=["Radius"]) as draft:
        for number, size in enumerate(SIZES):
            row = {"case_id": f"c{number}", "image": f"images/{number}.png", "label": f"polygons/{number}.json"}
            draft.write_file(row["image"], cv2.imencode(".png", smooth(*size, number))[1].tobytes())
            draft.write_file(row["label"], b"{}")
            draft.rows.append(row | {"group": f"g{number}", "split": "train", "fold": 0, "test_set": ""})
    return index.load(tmp_path / "set")


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_cache.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))


def left_over(folder):
    return [path.name for path in folder.rglob("*") if ".partial" in path.name]


def test_a_cache_holds_every_picture_fitted_to_its_size(dataset):
    cache = PictureCache(dataset, 40)
    assert len(cache) == 3
    for number, size in enumerate(SIZES):
        picture = cache[f"images/{number}.png"]
        assert picture.shape == (40, 40)
        assert not picture.flags.writeable
        np.testing.assert_array_equal(picture, fit_picture(smooth(*size, number), 40))
    assert cache.path.parent == dataset.folder / ".cache"
    assert not left_over(dataset.folder)


def test_a_picture_keeps_its_aspect_ratio_and_the_rest_is_black():
    fitted = fit_picture(np.full((50, 100), 200, np.uint8), 64)
    assert (fitted[:32] == 200).all()
    assert not fitted[32:].any()
    np.testing.assert_array_equal(fit_matrix((100, 50), 64), [[0.64, 0, 0], [0, 0.64, 0]])
    upright = fit_picture(np.full((100, 33), 200, np.uint8), 50)
    assert (upright[:, :16] == 200).all()
    assert not upright[:, 16:].any()
    np.testing.assert_allclose(fit_matrix((33, 100), 50), [[16 / 33, 0, 0], [0, 0.5, 0]])


@pytest.mark.parametrize("size", [(90, 140), (140, 90), (128, 128)])
@pytest.mark.parametrize("resolution", [50, 200])
def test_the_matrix_says_where_the_points_of_the_picture_go(size, resolution):
    dot = np.zeros(size, np.uint8)
    dot[30:50, 60:76] = 255  # centre (68, 40)
    fitted = fit_picture(cv2.GaussianBlur(dot, (0, 0), 3), resolution) / 255
    rows, columns = np.mgrid[:resolution, :resolution] + 0.5
    centre = np.array([(columns * fitted).sum(), (rows * fitted).sum()]) / fitted.sum()
    matrix = fit_matrix(size[::-1], resolution)
    np.testing.assert_allclose(centre, matrix @ [68, 40, 1], atol=0.02)


def test_a_cache_is_made_once_and_again_where_it_is_damaged(dataset, monkeypatch):
    path = PictureCache(dataset, 24).path
    made = path.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(picture_cache, "_write", lambda *_: pytest.fail("made again"))
        PictureCache(dataset, 24)
    path.write_bytes(path.read_bytes()[:-10])
    cache = PictureCache(dataset, 24)
    assert cache.path.stat().st_mtime_ns != made
    np.testing.assert_array_equal(cache["images/2.png"], fit_picture(smooth(*SIZES[2], 2), 24))


def test_a_file_of_other_pictures_is_not_taken(dataset):
    path = PictureCache(dataset, 24).path
    np.save(path, np.zeros((2, 24, 24), np.uint8))
    assert len(PictureCache(dataset, 24)["images/2.png"]) == 24
    np.save(path, np.zeros((3, 24, 24)))
    assert PictureCache(dataset, 24)["images/0.png"].dtype == np.uint8


def test_a_process_waits_for_the_one_that_is_building(dataset, monkeypatch):
    waits = threading.Event()
    made = PictureCache(dataset, 24).path
    apart = made.rename(made.with_suffix(".apart"))

    class Announced(FileLock):
        def acquire(self, *args, **kwargs):
            waits.set()
            return super().acquire(*args, **kwargs)

    builder = FileLock(made.with_name(f"{made.name}.lock"))
    monkeypatch.setattr(picture_cache, "_write", lambda *_: pytest.fail("made again"))
    monkeypatch.setattr(picture_cache, "FileLock", Announced)
    with ThreadPoolExecutor(1) as pool:
        with builder:
            waiting = pool.submit(PictureCache, dataset, 24)
            assert waits.wait(60)
            apart.rename(made)
        assert waiting.result(60).path == made


def test_other_pictures_or_another_size_never_get_the_same_file(dataset):
    other = index.PreparedDataset(dataset.folder, dataset.info | {"fingerprint": "0" * 64}, dataset.index)
    assert len({PictureCache(dataset, 24).path, PictureCache(dataset, 25).path, PictureCache(other, 24).path}) == 3


def test_a_build_that_dies_leaves_nothing_that_is_taken_for_whole(dataset, monkeypatch):
    def dying(*_):
        yield np.zeros((24, 24), np.uint8)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(picture_cache, "_fitted_pictures", dying)
        with pytest.raises(KeyboardInterrupt):
            PictureCache(dataset, 24)
    assert not list(dataset.folder.rglob("*.npy"))
    killed = dataset.folder / ".cache" / f".pictures-1-{dataset.fingerprint[:16]}-24.partial.npy"
    killed.write_bytes(b"half")
    cache = PictureCache(dataset, 24)
    np.testing.assert_array_equal(cache["images/0.png"], fit_picture(smooth(*SIZES[0], 0), 24))
    assert not left_over(dataset.folder)


def test_a_dataset_that_cannot_be_written_has_its_cache_in_the_temporary_folder(dataset, tmp_path, monkeypatch):
    make = Path.mkdir

    def refusing(self, *args, **kwargs):
        if self.is_relative_to(dataset.folder):
            raise PermissionError(13, "Permission denied")
        make(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refusing)
    cache = PictureCache(dataset, 24)
    assert cache.path.parent.parent == tmp_path / "temporary"
    assert cache.path.parent.stat().st_mode & 0o077 == 0
    np.testing.assert_array_equal(cache["images/1.png"], fit_picture(smooth(*SIZES[1], 1), 24))
    assert PictureCache(dataset, 24).path == cache.path


def test_a_cache_is_sent_to_another_process_without_its_pictures(dataset):
    cache = PictureCache(dataset, 40)
    sent = pickle.dumps(cache)
    assert len(sent) < 2000 < cache["images/0.png"].nbytes * len(cache)
    np.testing.assert_array_equal(pickle.loads(sent)["images/2.png"], cache["images/2.png"])


def total(cache):
    return sum(int(cache[f"images/{number}.png"].sum()) for number in range(3))


def build_and_sum(folder):
    return total(PictureCache(index.load(folder), 48))


def test_processes_that_start_together_share_one_file(dataset):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.map(build_and_sum, [dataset.folder] * 2)
    assert sums == [total(PictureCache(dataset, 48))] * 2
    assert len(list((dataset.folder / ".cache").glob("*.npy"))) == 1


def test_a_picture_that_cannot_be_read_is_named(dataset):
    (dataset.folder / "images" / "1.png").write_bytes(b"no picture")
    with pytest.raises(MedsegError, match="1.png is not a readable picture"):
        PictureCache(dataset, 24)
    assert not list(dataset.folder.rglob("*.npy"))
    assert not left_over(dataset.folder)


def test_a_cache_that_vanished_is_told_on_reopening(dataset):
    cache = PictureCache(dataset, 24)
    sent = pickle.dumps(cache)
    cache.path.unlink()
    with pytest.raises(MedsegError, match="is gone"):
        pickle.loads(sent)

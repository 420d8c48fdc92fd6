import pandas as pd
import pytest

from medseg.datasets import index
from medseg.errors import MedsegError


def _fill(draft, groups="abc", splits=("train", "validation", "test")):
    for number, (group, split) in enumerate(zip(groups, splits, strict=True)):
        for kind in ("images", "labels"):
            draft.write_file(f"{kind}/{number}.png", f"{kind}{number}".encode())
        draft.rows.append(
            {
                "case_id": f"A/{number}", "image": f"images/{number}.png", "label": f"labels/{number}.png",
                "group": group, "split": split, "fold": -1, "test_set": "A" if split == "test" else "", "age": number,
            }
        )  # fmt: skip


def _write(folder, **options):
    with index.writing(folder, study="toy", name="toy", classes=["polyp"]) as draft:
        _fill(draft, **options)
        draft.reject("x.tif", "truncated")
    return index.load(folder)


def test_what_was_written_is_read_again(tmp_path):
    dataset = _write(tmp_path / "data")
    assert list(dataset.index.columns) == [*index.COLUMNS, "age"]
    assert dataset.info["counts"] == {
        "samples": 3, "train": 1, "validation": 1, "test": 1, "test_sets": {"A": 1}, "groups": 3
    }  # fmt: skip
    assert dataset.info["rejected"] == 1
    assert (dataset.folder / "rejected.csv").read_text() == "file,reason\nx.tif,truncated\n"
    assert list(dataset.split("test")["case_id"]) == ["A/2"]


def test_sizes_of_datasets_prepared_earlier_get_their_present_names(tmp_path):
    folder = tmp_path / "data"
    _write(folder)
    table = pd.read_csv(folder / "index.csv")
    table.assign(width=640, height=480).to_csv(folder / "index.csv", index=False)
    assert list(index.load(folder).index.columns) == [*index.COLUMNS, "age", "width_px", "height_px"]
    table.assign(height=171.5, width_px=640, height_px=480).to_csv(folder / "index.csv", index=False)
    assert "height" in index.load(folder).index  # of the patient, cm


def test_the_fingerprint_is_that_of_the_content(tmp_path):
    first, again = _write(tmp_path / "one"), _write(tmp_path / "two")
    assert first.fingerprint == again.fingerprint
    with index.writing(tmp_path / "three", study="toy", name="toy", classes=["polyp"]) as draft:
        _fill(draft)
        draft.write_file("labels/0.png", b"another mask")
    assert index.load(tmp_path / "three").fingerprint != first.fingerprint


def test_a_group_in_two_splits_is_refused_and_the_old_dataset_stays(tmp_path):
    before = _write(tmp_path / "data").fingerprint
    with pytest.raises(MedsegError, match="The group 'a' is in the splits test and train"):
        _write(tmp_path / "data", groups="aba")
    assert index.load(tmp_path / "data").fingerprint == before


def test_faults_of_a_draft(tmp_path):
    with (
        pytest.raises(MedsegError, match=r"1 file\(s\) were rejected \(x.png: not a picture\)"),
        index.writing(tmp_path / "data", study="toy", name="toy", classes=["polyp"]) as draft,
    ):
        draft.reject("x.png", "not a picture")
    with (
        pytest.raises(MedsegError, match="'A/0' is in the index more than once"),
        index.writing(tmp_path / "data", study="toy", name="toy", classes=["polyp"]) as draft,
    ):
        _fill(draft)
        draft.rows.append(dict(draft.rows[0]))
    with pytest.raises(MedsegError, match="Unknown split 'dev'"):
        _write(tmp_path / "data", splits=("train", "dev", "test"))
    assert not (tmp_path / "data").exists()


def test_faults_of_a_folder(tmp_path):
    with pytest.raises(MedsegError, match=r"the folder does not exist.*medseg prepare"):
        index.load(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MedsegError, match=r"holds no dataset.json"):
        index.load(tmp_path / "empty")
    dataset = _write(tmp_path / "data")
    (dataset.folder / "labels/1.png").unlink()
    with pytest.raises(MedsegError, match=r"lacks 1 of its files, first labels/1.png"):
        index.load(tmp_path / "data")
    (dataset.folder / "dataset.json").write_text("{")
    with pytest.raises(MedsegError, match="cannot be read as a prepared dataset"):
        index.load(tmp_path / "data")


def test_a_folder_with_something_else_is_never_replaced(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "holiday.jpg").write_bytes(b"dear")
    with pytest.raises(MedsegError, match="exists and is not a prepared dataset"):
        _write(tmp_path / "pictures")
    assert (tmp_path / "pictures" / "holiday.jpg").read_bytes() == b"dear"
    (tmp_path / "empty").mkdir()
    assert _write(tmp_path / "empty").info["counts"]["samples"] == 3

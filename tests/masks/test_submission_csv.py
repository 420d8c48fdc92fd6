import errno

import numpy as np
import pandas as pd
import pytest

from medseg.errors import MedsegError
from medseg.masks import rle, submission

ROWS = [
    ("ID001.v2_R.png", "finger-1", "1 2 9 1"),
    ("ID001.v2_R.png", "Radius", ""),
    ("NA", "nan", "5 1"),
    ('a, "b".png', "Ulna", ""),
    (" null ", "손", "1 1"),
]


def lines(path, *rows, header="image_name,class,rle"):
    path.write_bytes("\n".join([header, *rows, ""]).encode())
    return path


def test_rows_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "new" / "submission.csv"
    submission.write(path, iter(ROWS))
    assert list(submission.read(path)) == ROWS
    assert path.read_text("utf-8").splitlines()[:3] == [
        "image_name,class,rle",
        "ID001.v2_R.png,finger-1,1 2 9 1",
        "ID001.v2_R.png,Radius,",
    ]
    assert [file.name for file in path.parent.iterdir()] == ["submission.csv"]


def test_tables_of_pandas_are_read(tmp_path):
    path = tmp_path / "submission.csv"
    table = pd.DataFrame(ROWS, columns=["image_name", "class", "rle"])
    for options in ({}, {"quoting": 1}, {"lineterminator": "\r\n"}, {"encoding": "utf-8-sig"}):
        table.to_csv(path, index=False, **options)
        assert list(submission.read(path)) == ROWS


def test_pandas_reads_the_same_where_it_is_told_that_all_is_text(tmp_path):
    path = tmp_path / "submission.csv"
    submission.write(path, ROWS)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert list(table.itertuples(index=False, name=None)) == ROWS


def test_a_code_longer_than_the_limit_of_the_csv_module_is_read(tmp_path):
    mask = np.random.default_rng(0).integers(0, 2, (300, 300)).astype(np.uint8)
    code = rle.encode(mask)
    assert len(code) > 131072
    submission.write(tmp_path / "s.csv", [("a.png", "Ulna", code)])
    (row,) = submission.read(tmp_path / "s.csv")
    np.testing.assert_array_equal(rle.decode(row.rle, mask.shape), mask)


def test_a_file_of_no_rows_and_blank_lines_are_read(tmp_path):
    assert list(submission.read(lines(tmp_path / "none.csv"))) == []
    path = lines(tmp_path / "blank.csv", "a.png,Ulna,", "", "b.png,Ulna,1 1", "  ")
    assert [row.image_name for row in submission.read(path)] == ["a.png", "b.png"]


@pytest.mark.parametrize("row", ["a.png,Ulna", "a.png,Ulna,1 1,2", ",Ulna,1 1", "a.png,,1 1", '"a.png,Ulna,1 1', "1 1"])
def test_a_malformed_row_names_file_line_and_what_was_found(tmp_path, row):
    path = lines(tmp_path / "sub.csv", "b.png,Ulna,", row)
    with pytest.raises(
        MedsegError, match="sub.csv, line 3: found .*, expected three fields image_name, class, rle"
    ) as error:
        list(submission.read(path))
    assert repr(row) in str(error.value)


def test_names_that_are_not_utf_8_are_refused(tmp_path):
    path = tmp_path / "sub.csv"
    path.write_bytes(b"image_name,class,rle\nb\xe9.png,Ulna,1 1\n")
    with pytest.raises(MedsegError, match="line 2: .* in UTF-8"):
        list(submission.read(path))


@pytest.mark.parametrize("header", ["", "image_name,class", "case_id,class,rle", "a.png,Ulna,1 1"])
def test_another_header_is_refused(tmp_path, header):
    path = lines(tmp_path / "sub.csv", "a.png,Ulna,1 1", header=header)
    with pytest.raises(MedsegError, match="line 1: found the header .*, expected 'image_name,class,rle'"):
        list(submission.read(path))


def test_a_mask_that_is_there_twice_is_refused_with_both_lines(tmp_path):
    path = lines(tmp_path / "sub.csv", "a.png,Ulna,1 1", "b.png,Ulna,1 1", 'a.png,"Ulna",')
    with pytest.raises(MedsegError, match=r"line 4: found Ulna of a.png again, which line 2 holds"):
        list(submission.read(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MedsegError, match="Could not read the submission .*absent.csv: No such file"):
        list(submission.read(tmp_path / "absent.csv"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("b.png", "Ulna", float("nan")), "row 2: .* an empty mask is an empty text, not a missing value"),
        (("b.png", "Ulna", None), "not a missing value"),
        (("", "Ulna", "1 1"), "expected names on one line"),
        (("b\n.png", "Ulna", "1 1"), "expected names on one line"),
        (("a.png", "Ulna", "1 1"), "found Ulna of a.png a second time"),
    ],
)
def test_what_cannot_be_read_again_is_not_written(tmp_path, row, message):
    path = lines(tmp_path / "sub.csv")
    before = path.read_bytes()
    with pytest.raises(MedsegError, match=message):
        submission.write(path, [("a.png", "Ulna", ""), row])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["sub.csv"]


def test_a_full_disk_is_explained_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = lines(tmp_path / "sub.csv", "a.png,Ulna,1 1")
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(MedsegError, match="Could not write .*sub.csv: No space left on device"):
        submission.write(path, ROWS)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["sub.csv"]

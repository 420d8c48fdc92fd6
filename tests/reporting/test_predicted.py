"""The table and the sheet of a prediction."""

import cv2
import numpy as np
import pandas as pd
import pytest

from medseg.prediction.outputs import COLUMNS
from medseg.reporting import predicted


@pytest.fixture
def folder(tmp_path):
    rows = [
        ("a", "x", 12, "3", 1, 0.9, ""), ("a", "y", 0, "", 0, 0.2, ""),
        ("b", "x", 0, "", 0, 0.1, "nothing found"), ("b", "y", 0, "", 0, 0.1, "nothing found"),
    ]  # fmt: skip
    pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / "predictions.csv", index=False)
    for name in "abcd":
        (tmp_path / "overlays" / "sub").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "overlays" / "sub" / f"{name}.jpg"), np.full((40, 60, 3), 90, np.uint8))
    return tmp_path


def test_the_table_lists_what_was_found_and_where_nothing_was(folder):
    (folder / "rejected.csv").write_text("file,reason\nz.png,damaged\n")
    lines = predicted.table(folder).text.splitlines()
    assert lines[0] == "Predicted (2)"
    assert lines[1].split() == ["picture", "class", "pixels", "mm\u00b2", "regions", "highest", "probability", "flags"]
    assert lines[2].split() == ["a", "x", "12", "3", "1", "0.90"]
    assert lines[3].split() == ["b", "0", "0", "nothing", "found"]
    assert lines[4] == "1 files could not be predicted; rejected.csv says why"


def test_many_classes_are_counted(folder):
    rows = [("a", f"c{n}", n, "", 1, 0.5, "") for n in range(12)]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "predictions.csv", index=False)
    assert predicted.table(folder).text.splitlines()[2].split() == ["a", "11", "of", "12", "66"]


def test_the_sheet_shows_some_overlays_and_names_them(folder):
    shown = predicted.sheet(folder, ["x", "y"], most=3)
    assert "Row by row: sub/a, sub/b, sub/d." in shown.caption or "sub/a, sub/c, sub/d" in shown.caption
    assert "light blue: x, green: y" in shown.caption

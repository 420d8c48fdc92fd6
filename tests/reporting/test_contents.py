"""A look before training: what is counted in every split, and which pictures stand on the sheet."""

import re

import numpy as np
import pytest

from medseg.masks import outlines
from medseg.reporting import contents


def test_every_class_is_counted_in_every_split_with_its_share_of_the_picture(polygon_dataset):
    held = contents.read(polygon_dataset)
    text = contents.table(held).text
    assert "train (2)" in text
    assert "test: fold-0 (2)" in text
    lines = {line.split()[0]: line for line in text.splitlines()}
    # a: 32 x 22 of 100 x 80 pixels in every picture; c: a triangle in one of two
    assert lines["a"].count("2, 8.8 % (8.8\u20138.8)") == 3
    assert re.findall(r"(\d), 1.5 %", lines["c"]) == ["1", "1", "1"]
    assert np.allclose(held.areas[:, 0], 32 * 22 / 8000, rtol=1e-9)
    assert "there is none" in text


def test_empty_labels_and_classes_that_a_split_lacks_are_said(phase_dataset):
    held = contents.read(phase_dataset)
    assert {name: int((held.areas[rows].max(axis=1) == 0).sum()) for name, rows in held.parts.items()} == {
        "train": 2, "validation": 2, "test: test": 2
    }  # fmt: skip
    text = contents.table(held).text
    assert next(line for line in text.splitlines() if line.startswith("nothing")).split() == ["nothing", "2", "2", "2"]
    assert "Not there at all: phase-2 in validation, phase-4 in train, phase-4 in test: test." in text


@pytest.mark.parametrize("count", [1, 4, 40])
def test_the_sheet_shows_rare_classes_empty_labels_and_many_groups(count):
    present = np.zeros((count, 3), bool)
    present[:, 0] = True
    groups = np.array([f"g{number // 4}" for number in range(count)])
    if count == 40:
        present[37, 2] = True
        present[5] = False
    chosen = contents._chosen(present, groups)
    assert len(set(chosen)) == len(chosen) == min(count, contents._TILES)
    if count == 40:
        assert {5, 37} <= set(chosen)
        assert len({groups[place] for place in chosen}) == contents._TILES


def test_outlines_lie_on_the_edge_of_what_is_labelled(phase_dataset):
    held = contents.read(phase_dataset)
    titles = [title for tiles in held.sheet.values() for title, _ in tiles]
    assert sum("(nothing)" in title for title in titles) == 6
    (_, tile), row = held.sheet["train"][0], phase_dataset.split("train").iloc[0]
    colour = outlines.class_colours(4)[row["phase"] - 1]
    on_line = np.abs(tile.astype(int) - colour).max(axis=2) < 40
    rows, columns = np.nonzero(on_line)
    scale = contents._LONGEST / 64
    distance = np.hypot(columns + 0.5 - 30.5 * scale, rows + 0.5 - 20.5 * scale) / scale
    assert len(rows) > 100
    assert 7.5 < distance.min() <= distance.max() < 11  # a disc of radius 9 around (30, 20)
    figure = contents.sheet(held)
    assert "light blue: phase-1" in figure.caption
    assert figure.kind == "photo"

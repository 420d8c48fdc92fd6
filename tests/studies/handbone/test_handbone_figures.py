import io
import json

import numpy as np
import pytest
from PIL import Image

from medseg.studies.handbone import figures as bones
from medseg.studies.handbone import folds as patient_folds
from medseg.studies.handbone import prepare as handbone
from medseg.studies.handbone.bones import CLASSES

SIZE = 64
#: Left, top, right, bottom: the Pisiform lies wholly in the Triquetrum, a quarter of the Trapezoid in the Ulna.
BOXES = {
    "Triquetrum": (0, 0, 32, 32), "Pisiform": (8, 8, 16, 16), "Ulna": (0, 40, 64, 48), "Trapezoid": (40, 46, 48, 54),
}  # fmt: skip


def make_dataset(folder, table: str, names=BOXES):
    raw = folder / "raw"
    for patient in range(1, 4):
        for name in ("a_R", "b"):
            for tree in ("DCM", "outputs_json"):
                (raw / tree / f"ID{patient:03d}").mkdir(parents=True, exist_ok=True)
            Image.new("L", (SIZE, SIZE), 40 * patient).save(raw / "DCM" / f"ID{patient:03d}" / f"{name}.png")
            listed = [
                {"label": bone, "points": [[left, top], [right, top], [right, bottom], [left, bottom]]}
                for bone, (left, top, right, bottom) in BOXES.items()
                if bone in names and not (bone == "Pisiform" and patient == 3)
            ]
            (raw / "outputs_json" / f"ID{patient:03d}" / f"{name}.json").write_text(json.dumps({"annotations": listed}))
    if table:
        (raw / "meta_data.csv").write_text(table)
    (folder / "c.csv").write_text("file,annotation,old_label,new_label\nID009/a.json,0,Ulna,Radius\n")
    return handbone.prepare(raw, folder / "out", folds=3, corrections=folder / "c.csv")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("bones"), "ID,age,sex\n1,30,F\n2,41,M\n")


def test_areas_and_overlaps_are_those_of_the_masks(dataset):
    areas = bones.measure(dataset)
    number = {name: CLASSES.index(name) for name in BOXES}
    assert areas.shares.shape == (6, 29)
    for name, (left, top, right, bottom) in BOXES.items():
        expected = np.full(6, (right - left) * (bottom - top) / SIZE**2)
        if name == "Pisiform":
            expected[dataset.index["group"] == "ID003"] = 0
        np.testing.assert_allclose(areas.shares[:, number[name]], expected)
    np.testing.assert_allclose(np.diag(areas.shared), areas.shares.sum(0))
    np.testing.assert_allclose(areas.shared, areas.shared.T)
    assert areas.shared[number["Pisiform"], number["Triquetrum"]] == pytest.approx(4 * 64 / SIZE**2)
    assert areas.shared[number["Ulna"], number["Trapezoid"]] == pytest.approx(6 * 16 / SIZE**2)
    assert areas.shared[number["Ulna"], number["Pisiform"]] == 0


def test_figures_say_in_words_what_they_show(dataset):
    areas = bones.measure(dataset)
    sizes = bones.class_sizes(areas)
    assert sizes.alt.endswith("medians: Triquetrum 25.00, Ulna 12.50, Trapezoid 1.56, Pisiform 1.56")
    assert "Triquetrum is 16 times as large as Pisiform" in sizes.caption
    pairs = bones.overlaps(areas)
    assert pairs.alt == "2 pairs of classes overlap: Pisiform in Triquetrum 100 %, Trapezoid in Ulna 25 %"
    picture = bones.classes(dataset, dataset.index.iloc[-1])
    assert "with 3 bones in colour" in picture.alt
    assert "ID003-b" in picture.caption
    for figure in (sizes, pairs, picture):
        assert Image.open(io.BytesIO(figure.data)).width == 2 * figure.width


def test_a_picture_is_coloured_where_bones_are(dataset):
    shares = []
    for shown in (dataset, _without_polygons(dataset)):
        drawn = Image.open(io.BytesIO(bones.classes(shown, shown.index.iloc[0]).data)).convert("HSV")
        saturation = np.asarray(drawn)[:, : int(0.75 * drawn.width), 1]  # without the legend
        shares.append((saturation > 100).mean())
    assert shares[0] > 0.1
    assert shares[1] < 0.001


def _without_polygons(dataset):
    empty = dataset.folder.parent / "empty"
    row = dataset.index.iloc[0]
    for path, data in ((row["image"], dataset.path(row["image"]).read_bytes()), (row["label"], None)):
        (empty / path).parent.mkdir(parents=True, exist_ok=True)
        (empty / path).write_bytes(data or json.dumps({"size": [SIZE, SIZE], "polygons": []}).encode())
    return type(dataset)(empty, dataset.info, dataset.index)


def test_folds_and_findings_are_told_in_numbers(dataset):
    text = repr(patient_folds.folds(dataset))
    fold = int(dataset.index.set_index("group")["fold"]["ID001"].iloc[0])
    split = ("test", "validation", "train")[fold]
    assert [line.split() for line in text.splitlines()][fold + 2] == [
        str(fold), split, "2", "1", "1", "0", "0", "30", "(30", "to", "30)",
    ]  # fmt: skip
    assert "not known" in text
    found = repr(patient_folds.findings(dataset))
    assert "ID003-a_R: finger-1, finger-2" in found
    assert "ID009/a.json, annotation 0: there is no such file" in found
    missing = next(line for line in found.splitlines() if "who are not in it" in line)
    assert missing.split()[-2:] == ["1", "ID003"]
    ages = patient_folds.ages(dataset)
    assert "1 patient(s) of unknown age" in ages.caption
    assert f"fold {fold} 30 years" in ages.alt


def test_without_a_table_of_patients_the_figure_of_ages_says_so(tmp_path):
    dataset = make_dataset(tmp_path, "")
    assert "Nothing is known of the patients' ages" in patient_folds.ages(dataset).text
    assert "there is no table" in repr(patient_folds.findings(dataset))
    assert "not known" in repr(patient_folds.folds(dataset))

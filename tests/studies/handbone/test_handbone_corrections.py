import json

import pytest
from PIL import Image

from medseg.datasets.frames import read_polygons
from medseg.errors import MedsegError
from medseg.studies.handbone import prepare as handbone
from medseg.studies.handbone.bones import CLASSES

HEADINGS = "file,annotation,old_label,new_label\n"


@pytest.fixture
def source(tmp_path):
    """Three patients, the same annotations in every picture: Hamate, Capitate, Trapezuim with the ids 2, 7 and x."""
    listed = [("2", "Hamate"), (7, "Capitate"), ("x", "Trapezuim"), ("3", "Radius"), ("5", "Radius")]
    content = [
        {"id": name, "label": label, "points": [[k, 0], [k + 4, 0], [k, 4]]} for k, (name, label) in enumerate(listed)
    ]
    for patient, names in (("ID001", ("a.b_R", "c")), ("ID002", ("a.b_R",)), ("ID003", ("d",))):
        for name in names:
            for tree, suffix in (("DCM", "png"), ("outputs_json", "json")):
                path = tmp_path / "raw" / tree / patient / f"{name}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                if tree == "DCM":
                    Image.new("L", (20, 20)).save(path)
                else:
                    path.write_text(json.dumps({"annotations": content}))
    return tmp_path / "raw"


def prepared(source, *lines):
    table = source.parent / "corrections.csv"
    table.write_text(HEADINGS + "".join(f"{line}\n" for line in lines), "utf-8-sig")
    data = handbone.prepare(source, source.parent / "out", folds=3, corrections=table)
    labels = {
        row.case_id: [CLASSES[k] for k in read_polygons(data, row._asdict())[1].classes]
        for row in data.index.itertuples()
    }
    return labels, [(entry["applied"], entry["reason"]) for entry in data.info["corrections"]], data


AS_IT_WAS = ["Hamate", "Capitate", "Radius", "Radius"]


def test_labels_are_changed_by_place_or_id_where_the_old_one_stands(source):
    labels, log, data = prepared(
        source,
        "ID001/a.b_R.json,0,Hamate,Capitate",
        "outputs_json/ID001/a.b_R.json, 7, Capitate, Hamate",
        "c.png,x,Trapezuim,Trapezium",
        "DCM\\ID003\\d,2,Hamate,Lunate",
    )
    assert labels["ID001-a.b_R"] == ["Capitate", "Hamate", "Radius", "Radius"]
    assert labels["ID001-c"] == ["Hamate", "Capitate", "Trapezium", "Radius", "Radius"]
    assert labels["ID003-d"] == ["Lunate", "Capitate", "Radius", "Radius"]
    assert labels["ID002-a.b_R"] == AS_IT_WAS
    assert log == [(True, "")] * 4
    assert data.info["corrections"][0] == {
        "file": "ID001/a.b_R.json", "annotation": "0", "old_label": "Hamate", "new_label": "Capitate",
        "applied": True, "reason": "",
    }  # fmt: skip
    assert not any("ID001/c.json" in line for line in (data.folder / "rejected.csv").read_text().splitlines())


def test_corrections_that_do_not_fit_are_logged_and_change_nothing(source):
    (source / "outputs_json" / "ID002" / "a.b_R.json").write_text("{")
    (source / "DCM" / "ID004").mkdir()
    for tree, suffix in (("DCM", "png"), ("outputs_json", "json")):
        folder = source / tree / "ID004"
        folder.mkdir(exist_ok=True)
        (folder / f"e.{suffix}").write_bytes((source / tree / "ID003" / f"d.{suffix}").read_bytes())
    labels, log, _ = prepared(
        source,
        "ID001/c.json,0,Capitate,Lunate",
        "ID001/c.json,9,Hamate,Lunate",
        "ID001/c.json,3,Radius,Ulna",
        "ID001/c.json,5,Radius,Ulna",
        "ID001/none.json,0,Hamate,Lunate",
        "a.b_R.json,0,Hamate,Lunate",
        "ID002/a.b_R.json,0,Hamate,Lunate",
    )
    assert log == [
        (False, "the label there is 'Hamate'"),
        (False, "there is no such annotation"),
        (True, ""),
        (True, ""),
        (False, "there is no such file"),
        (False, "several patients have a file of this name"),
        (False, "its file was rejected"),
    ]
    assert labels["ID001-c"] == ["Hamate", "Capitate", "Ulna", "Ulna"]
    assert labels["ID001-a.b_R"] == labels["ID004-e"] == AS_IT_WAS


def test_a_place_that_is_also_an_id_is_not_guessed(source):
    path = source / "outputs_json" / "ID003" / "d.json"
    content = json.loads(path.read_text())
    content["annotations"][3]["id"] = "4"
    path.write_text(json.dumps(content))
    labels, log, _ = prepared(source, "d.json,4,Radius,Ulna")
    assert log == [(False, "an id and a place are the same, and both have this label")]
    assert labels["ID003-d"] == AS_IT_WAS


def test_a_bad_list_is_refused_as_a_whole(source):
    for line, message in {
        "d.json,0,Hamate,Lunatum": "Line 3 of the corrections .* has the new label 'Lunatum'.*; the nearest is Lunate.",
        "d.json,0,,Lunate": "Line 3 of the corrections .*corrections.csv has no old_label",
        "d.json,0": "Line 3 of the corrections .* has no old_label",
    }.items():
        with pytest.raises(MedsegError, match=message):
            prepared(source, "d.json,0,Hamate,Capitate", line)
    table = source.parent / "table.csv"
    table.write_text("file,annotation,old,new\n")
    with pytest.raises(MedsegError, match="columns file, annotation, old, new, without old_label; expected a CSV file"):
        handbone.prepare(source, source.parent / "out", corrections=table)
    assert not (source.parent / "out").exists()

"""Which file of a method is about which case, and what its values mean."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medseg.datasets.folders import BadFile
from medseg.errors import MedsegError
from medseg.evaluation import kinds, map_files
from medseg.evaluation.answer_files import Files
from medseg.evaluation.answer_rows import RunLengths, Shapes
from medseg.evaluation.answers import Finder
from medseg.metrics.saliency import SaliencySummary
from medseg.studies.polyp.layout import centre_named

BINARY = kinds.Binary(["polyp"])
SIZE = (6, 8)


def nobody(folder):
    return None


def cases_of(*entries):
    """Test cases of test set and name."""
    return pd.DataFrame([{"case_id": name, "test_set": test_set} for test_set, name in entries])


def found(paths, *entries, set_named=nobody):
    cases = cases_of(*entries)
    finder = Finder(cases, set_named, "there")
    for path in paths:
        finder.add(path, path)
    return [finder.find(case) for _, case in cases.iterrows()]


@pytest.mark.parametrize(
    "path",
    ["1.png", "x/1.PNG", "A-1.png", "a_1.npy", "A/1.tif", "A/masks/1.png", "1_mask.png", "p1.bmp", "1_Pred.png"],
)
def test_a_case_is_found_by_its_name_however_it_is_written(path):
    assert found([path, "2.png"], ("A", "A/1")) == [path]


def test_public_sets_are_known_by_their_folders_as_in_the_preparation():
    """PraNet's authors distribute their maps in these folders; all have a picture 1."""
    folders = ["CVC-300", "CVC-ClinicDB", "CVC-ColonDB", "ETIS-LaribPolypDB", "Kvasir"]
    names = ["CVC-300", "ClinicDB", "ColonDB", "ETIS", "Kvasir"]
    paths = [f"res/{folder}/1.png" for folder in folders]
    assert found(paths, *((name, f"{name}/1") for name in names), set_named=centre_named) == paths
    with pytest.raises(MedsegError, match="several answers for ClinicDB/1"):
        found(paths, ("ClinicDB", "ClinicDB/1"))


def test_what_lies_in_the_folder_of_another_test_set_or_patient_is_no_answer():
    assert found(["A/1.png"], ("A", "A/1"), ("B", "B/1")) == ["A/1.png", None]
    assert found(["P1/01.png", "P2/02.png"], ("test", "P1/01"), ("test", "P2/01")) == ["P1/01.png", None]
    assert found(["1.png", "A/1.png"], ("A", "A/1")) == ["A/1.png"]


def test_names_in_any_script_are_told_apart():
    assert found(["요골/1.png", "척골/1.png"], ("요골", "요골/1"), ("척골", "척골/1")) == ["요골/1.png", "척골/1.png"]


def save(path, values, mode=None):
    Image.fromarray(values, mode).save(path)
    return path


def test_values_are_those_of_the_file(tmp_path):
    ramp = np.linspace(0, 1, 48).reshape(SIZE)
    for name, values, step in (
        ("a.png", (ramp * 255).round().astype(np.uint8), 1 / 255),
        ("b.png", (ramp * 65535).round().astype(np.uint16), 1 / 65535),
        ("c.tif", ramp.astype(np.float32), 1e-7),
    ):
        file = save(tmp_path / name, values)
        assert np.abs(map_files.probabilities(map_files.values(file), file) - ramp).max() <= step, name
    np.savez(tmp_path / "d.npz", ramp.astype(np.float16)[None] * 1.0005)
    file = tmp_path / "d.npz"
    assert map_files.probabilities(map_files.values(file), file).max() == 1, "rounded above 1"


def test_a_palette_of_greys_is_read_by_its_greys_and_one_of_colours_by_index(tmp_path):
    index = np.zeros(SIZE, np.uint8)
    index[2:4] = 1
    for palette, expected in (([255] * 3 + [0] * 3, 255 * (1 - index)), ([0] * 3 + [200, 0, 0], index)):
        image = Image.fromarray(index, "P")
        image.putpalette(palette)
        image.save(tmp_path / "p.png")
        assert (map_files.values(tmp_path / "p.png") == expected).all()
    assert (map_files.values(tmp_path / "p.png", indices=True) == index).all()


def test_what_is_no_map_is_refused(tmp_path):
    pages = [Image.fromarray(np.zeros(SIZE, np.uint8))] * 2
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    np.save(tmp_path / "none.npy", np.zeros((0, 8)))
    np.save(tmp_path / "text.npy", np.full(SIZE, "a"))
    np.savez(tmp_path / "several.npz", a=np.zeros(SIZE), b=np.zeros(SIZE))
    for name, message in (
        ("two.tif", "holds 2 pictures"),
        ("none.npy", "expected one map"),
        ("text.npy", "expected numbers"),
        ("several.npz", "holds 2 arrays"),
    ):
        with pytest.raises(BadFile, match=message):
            map_files.values(tmp_path / name)
    for values, shown in ((-np.eye(3), "-1"), (np.full((3, 3), 0.25), "0.25"), (np.full((3, 3), 3), "3")):
        with pytest.raises(BadFile, match=f"has the value {shown}, expected whole numbers from 0 to 2"):
            map_files.classes(values, tmp_path / "x.png", 2)
    with pytest.raises(BadFile, match="has the value nan"):
        map_files.classes(np.full((3, 3), np.nan), tmp_path / "x.png", 2)


def files_of(folder, kind, **arrays):
    folder.mkdir()
    for name, values in arrays.items():
        save(folder / f"{name}.png", values)
    cases = cases_of(*(("A", f"A/{name}") for name in arrays))
    answers = Files(folder, kind, nobody)
    assert answers.lacking(cases) == []
    return [answers.maps(case, SIZE) for _, case in cases.iterrows()]


def test_a_map_with_next_to_nothing_is_no_mask_of_ones_but_such_masks_are(tmp_path):
    faint = np.eye(*SIZE, dtype=np.uint8)
    ours, other = files_of(tmp_path / "maps", BINARY, one=faint, two=faint * 255)
    assert (ours.max(), other.max()) == (pytest.approx(1 / 255), 1)
    (alone,) = files_of(tmp_path / "masks", BINARY, one=faint)
    assert (alone == faint).all()


def test_maps_of_a_folder_have_the_figures_of_their_pixels(tmp_path):
    rng = np.random.default_rng(3)
    truths = [rng.random((40, 40)) > 0.7 for _ in range(3)]
    maps = {
        f"m{n}": (255 * (0.6 * truth + 0.4 * rng.random((40, 40)))).astype(np.uint8) for n, truth in enumerate(truths)
    }
    folder = tmp_path / "maps"
    folder.mkdir()
    for name, values in maps.items():
        cv2.imwrite(str(folder / f"{name}.png"), values)
    cases, answers = cases_of(*(("A", f"A/{name}") for name in maps)), Files(folder, BINARY, nobody)
    assert answers.lacking(cases) == []
    brought, direct = SaliencySummary(), SaliencySummary()
    for (_, case), truth, values in zip(cases.iterrows(), truths, maps.values(), strict=True):
        brought.add(answers.maps(case, (40, 40)), truth)
        direct.add(values / 255, truth)
    assert brought.summary() == pytest.approx(direct.summary(), abs=1e-6)


def coco_file(path, annotations, images=("A/1.png", "B/1.png"), names=("polyp",)):
    content = {
        "images": [{"id": n, "file_name": name, "width": 8, "height": 6} for n, name in enumerate(images)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
        "annotations": [{"id": n, "category_id": 0, **entry} for n, entry in enumerate(annotations)],
    }
    path.write_text(json.dumps(content))
    return path


def test_shapes_of_a_method_count_above_the_threshold_and_may_be_none(tmp_path):
    full, none = {"size": [6, 8], "counts": [0, 48]}, {"size": [6, 8], "counts": [48]}
    square = [[1, 1, 4, 1, 4, 4, 1, 4]]
    path = coco_file(
        tmp_path / "all.json",
        [
            {"image_id": 0, "segmentation": square, "score": 0.8},
            {"image_id": 0, "segmentation": full, "score": 0.3},
            {"image_id": 1, "segmentation": none},
        ],
    )
    cases = cases_of(("A", "A/1"), ("B", "B/1"))
    for threshold, expected in ((0.5, [9, 0]), (0.2, [48, 0])):
        answers = Shapes(path, BINARY, nobody, threshold)
        assert answers.lacking(cases) == []
        assert [int(answers.maps(case, SIZE).sum()) for _, case in cases.iterrows()] == expected
    (tmp_path / "list.json").write_text("[]")
    for file, message in (
        (tmp_path / "list.json", "a list of results alone"),
        (coco_file(tmp_path / "c.json", [], names=("cat",)), "has the classes cat, which the data has not"),
        (coco_file(tmp_path / "d.json", [], images=("1.png", "1.png")), "two pictures of the same name"),
    ):
        with pytest.raises(MedsegError, match=message):
            Shapes(file, BINARY, nobody, 0.5)


def test_run_lengths_of_a_class_map_exclude_one_another(tmp_path):
    kind = kinds.ClassMap(["a", "b"])
    path = tmp_path / "s.csv"
    path.write_text(
        "image_name,class,rle\n1.png,a,1 4\n1.png,b,5 4\n2.png,a,1 4\n2.png,b,4 4\n3.png,a,1 99\n3.png,b,\n4.png,a,\n"
    )
    cases = cases_of(*(("", name) for name in "1234"))
    answers = RunLengths(path, kind, nobody)
    assert answers.lacking(cases) == [("4", "b")]
    first, second, third, _ = (case for _, case in cases.iterrows())
    assert answers.maps(first, SIZE).argmax(0).ravel()[:9].tolist() == [1] * 4 + [2] * 4 + [0]
    with pytest.raises(MedsegError, match="2 cannot be scored: .*masks of two classes share pixels"):
        answers.maps(second, SIZE)
    with pytest.raises(MedsegError, match="3 cannot be scored: Malformed run-length code"):
        answers.maps(third, SIZE)

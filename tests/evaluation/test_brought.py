"""Masks and maps that were made elsewhere are scored like our own, and stand beside them."""

import json
import shutil

import cv2
import numpy as np
import pytest
from predicting import predict
from pycocotools import mask as coco_mask

from medseg.datasets.splits import hold_out
from medseg.errors import MedsegError
from medseg.evaluation import brought, common
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import segmenter
from medseg.experiments import runs
from medseg.masks import rle
from medseg.masks import submission as files
from medseg.reporting import answer, curves, gallery, results, small_tables
from medseg.reporting.comparison import compare

RULES = {"thresholds": "fixed", "postprocess": "none", "crf": False}
SAME = ("test_set", "case_id", "group", "class", "tp", "fp", "fn", "tn", "dice", "iou", "hd95")


@pytest.fixture
def scored(run_of, discs, brightness):
    run = run_of(discs)
    return run, evaluate(run, segmenter(run, brightness, discs), discs)


def same(one, other, columns=SAME):
    columns = [name for name in columns if name in one]
    assert one[columns].to_csv() == other[columns].to_csv()


@pytest.fixture
def maps(scored, discs, brightness, tmp_path):
    """The run's own probabilities, 16 bits, in folders called like the test sets."""
    predict([scored[0]], [brightness], discs.folder / "images", tmp_path / "own", probabilities="png")
    for _, case in discs.split("test").iterrows():
        number = case["case_id"].removeprefix("a/")
        target = tmp_path / "maps" / case["test_set"] / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "own" / "probabilities" / f"{number}.png", target)
    return tmp_path / "maps"


def test_maps_saved_by_a_run_give_its_own_rows_and_measures(scored, maps, discs):
    run, expected = scored
    ours = run.record["evaluation"]["saliency"]["test_sets"]
    added, table = brought.score(maps, discs, "PraNet")
    same(table, expected)
    assert added.id.startswith("pranet-")
    assert added.record["brought"] == {
        "name": "PraNet", "from": str(maps), "stretched": False, "cases": 5, "of": 5, "unused": 0,
    }  # fmt: skip
    found = added.record["evaluation"]["saliency"]["test_sets"]
    for test_set, values in ours.items():
        assert found[test_set] == pytest.approx(values, abs=2e-4), "16 bits"
    assert "A: mdice_thresholds 0." in brought.summary(added)


def test_masks_and_run_lengths_give_the_rows_of_the_run(scored, discs, tmp_path):
    run, expected = scored
    lines = [row for name in "AB" for row in files.read(run.folder / "predictions" / f"{name}.csv")]
    files.write(tmp_path / "own.csv", lines)
    same(brought.score(tmp_path / "own.csv", discs, "lengths")[1], expected)
    sizes = {case["case_id"]: cv2.imread(str(discs.path(case["image"]))).shape[:2] for _, case in
             discs.split("test").iterrows()}  # fmt: skip
    for row in lines:
        mask = rle.decode(row.rle, sizes[row.image_name]) * 255
        (tmp_path / "masks" / "a").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "masks" / f"{row.image_name}.png"), mask.astype(np.uint8))
    same(brought.score(tmp_path / "masks", discs, "masks")[1], expected)


def test_classes_of_a_map_and_overlapping_ones_too(run_of, phase_dataset, phases, polygon_dataset, right, tmp_path):
    run = run_of(phase_dataset)
    expected = evaluate(run, segmenter(run, phases, phase_dataset), phase_dataset)
    predict([run], [phases], phase_dataset.folder / "images", tmp_path / "maps")
    table = brought.score(tmp_path / "maps" / "masks", phase_dataset, "other")[1]
    assert set(table["class"]) == {"lesion"}, "as the study calls it"
    same(table.drop(columns="class"), expected.drop(columns="class"))

    run = run_of(polygon_dataset, **RULES)
    expected = evaluate(run, segmenter(run, right, polygon_dataset), polygon_dataset)
    (tmp_path / "new").mkdir()
    for _, row in polygon_dataset.split("test").iterrows():
        shutil.copy(polygon_dataset.path(row["image"]), tmp_path / "new" / row["image_name"])
    predict([run], [right], tmp_path / "new", tmp_path / "bones")
    same(brought.score(tmp_path / "bones" / "masks", polygon_dataset, "folders")[1], expected)
    same(brought.score(tmp_path / "bones" / "submission.csv", polygon_dataset, "submission")[1], expected)

    coco = {"images": [], "categories": [{"id": n, "name": name} for n, name in enumerate("abc", 1)], "annotations": []}
    for number, (image_name, code) in enumerate(
        {(row.image_name, row.class_name): row.rle for row in files.read(tmp_path / "bones" / "submission.csv")}.items()
    ):
        name, class_name = image_name
        if class_name == "a":
            coco["images"].append({"id": name, "file_name": f"DCM/{name}", "width": 100, "height": 80})
        if code:
            mask = np.asfortranarray(rle.decode(code, (80, 100)).astype(np.uint8))
            packed = coco_mask.encode(mask)
            segmentation = {"size": packed["size"], "counts": packed["counts"].decode()}
            coco["annotations"].append(
                {"id": number, "image_id": name, "category_id": "abc".index(class_name) + 1,
                 "segmentation": segmentation}
            )  # fmt: skip
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    same(brought.score(tmp_path / "coco.json", polygon_dataset, "coco")[1], expected)


def test_maps_of_another_size_are_scaled_and_that_is_said(maps, scored, discs):
    for file in maps.rglob("*.png"):
        small = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(file), cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR))
    run, table = brought.score(maps, discs, "large")
    assert run.record["evaluation"]["scaled"] == 5
    assert "5 maps scaled" in brought.summary(run)
    assert (table["dice"] - scored[1]["dice"]).abs().max() < 0.05


def test_stretched_maps_are_those_of_pranets_rule(maps, scored, discs):
    faint = {}
    for file in maps.rglob("*.png"):
        values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        faint[file.stem] = values.min() / 65535, values.max() / 65535
        cv2.imwrite(str(file), (values // 4).astype(np.uint16))
    assert (brought.score(maps, discs, "faint")[1]["tp"] == 0).all()
    run, table = brought.score(maps, discs, "stretched", stretch=True)
    low, high = faint["1"]
    picture = cv2.imread(str(discs.folder / "images" / "1.png"), cv2.IMREAD_GRAYSCALE) / 255
    expected = ((picture - low) / (high - low) > 0.5).sum()
    first = table[table["case_id"] == "a/1"].iloc[0]
    assert first["tp"] + first["fp"] == pytest.approx(expected, abs=2)
    assert run.record["brought"]["stretched"]


def test_a_brought_run_stands_in_tables_and_figures_beside_a_trained_one(maps, scored, discs):
    brought.score(maps, discs, "PraNet")
    comparison = compare(runs.all_runs("polyp"))
    assert comparison.left_out == ()
    assert [c.label for c in comparison.configurations] == ["any (2_train)", "PraNet (brought)"]
    text = results.table(comparison).text
    assert "Brought: the masks of PraNet were made elsewhere" in text
    assert "Same for all runs trained here" in text
    assert "not recorded over the epochs" in curves.learning(comparison).text  # of the one that has epochs
    assert "PraNet" in small_tables.compared_runs(comparison).text
    assert len(gallery.extremes(comparison).parts) > 1


def test_a_brought_run_has_no_network_and_is_never_the_latest(maps, scored, discs):
    run, _ = brought.score(maps, discs, "PraNet")
    with pytest.raises(MedsegError, match="made elsewhere and brought: there is no network"):
        common.load_predictor(run)
    assert runs.find_run("polyp", "latest").id == scored[0].id
    again, _ = brought.score(maps, discs, " PraNet ")
    assert again.id == run.id


def test_missing_cases_are_named_or_left_out_of_every_comparison(maps, scored, discs):
    (maps / "A" / "1.png").unlink()
    with pytest.raises(MedsegError, match=r"has no answer for 1 of 5 test cases of .*: a/1. Answers are called"):
        brought.score(maps, discs, "PraNet")
    assert not [run for run in runs.all_runs("polyp") if run.record["stage"] == "brought"]
    run, table = brought.score(maps, discs, "PraNet", incomplete=True)
    assert len(table) == 4
    assert "4 of 5 cases scored; so it stands in no comparison" in brought.summary(run)
    comparison = compare(runs.all_runs("polyp"))
    assert comparison.left_out == ((run.id, "brought with 4 of 5 cases: a mean over other cases is no comparison"),)


def test_what_cannot_be_scored_is_refused_in_words_and_keeps_nothing(maps, scored, discs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MedsegError, match="holds no map and no mask. Expected files with one of the endings"):
        brought.score(tmp_path / "empty", discs, "x")
    with pytest.raises(MedsegError, match="does not exist. Expected"):
        brought.score(tmp_path / "gone", discs, "x")
    with pytest.raises(MedsegError, match="needs a name"):
        brought.score(maps, discs, " ")
    file = maps / "A" / "1.png"
    kept = file.read_bytes()
    file.write_bytes(b"x")
    with pytest.raises(MedsegError, match=r"a/1 cannot be scored: .*1.png: damaged, or no map"):
        brought.score(maps, discs, "x")
    file.unlink()
    for values, message in (
        (np.full((40, 50), np.nan), "a/1 cannot be scored: .*values that are no numbers"),
        (np.linspace(-3, 4, 2000).reshape(40, 50), "values from -3 to 4, expected probabilities .* take the sigmoid"),
        (np.zeros((2, 40, 50)), "expected one map"),
        (np.zeros((50, 40)), "is 40 x 50 and its picture 50 x 40 pixels: height and width are exchanged"),
    ):
        np.save(file.with_suffix(".npy"), values)
        with pytest.raises(MedsegError, match=message):
            brought.score(maps, discs, "x")
    file.with_suffix(".npy").unlink()
    file.write_bytes(kept)
    for folder in ("A/more", "A/again", "B"):
        (maps / folder).mkdir(exist_ok=True)
        (maps / folder / "1.png").write_bytes(kept)
    (maps / "A" / "1.png").unlink()
    with pytest.raises(MedsegError, match="has several answers for a/1: A/again/1.png, A/more/1.png"):
        brought.score(maps, discs, "x")
    assert not [run for run in runs.all_runs("polyp") if run.record["stage"] == "brought"]


def test_one_file_is_never_the_answer_to_two_cases(scored, discs, tmp_path):
    """Two test sets may both have a picture 1: a plain folder does not tell which one it is of."""
    twice = discs.index.assign(case_id=["T/0", "V/0", "A/1", "A/2", "A/3", "B/1", "B/2"])
    for number in (1, 2, 3):
        (tmp_path / "maps").mkdir(exist_ok=True)
        shutil.copy(discs.folder / "images" / f"{number}.png", tmp_path / "maps")
    dataset = type(discs)(discs.folder, discs.info, twice)
    with pytest.raises(MedsegError, match=r"1.png in .*maps could be of A/1 and of B/1. Put what is"):
        brought.score(tmp_path / "maps", dataset, "x")


def test_facts_of_patients_go_along(polygon_dataset, right, run_of, tmp_path):
    """A report on the patients of the best configuration reads them, whoever made it."""
    (tmp_path / "new").mkdir()
    for _, row in polygon_dataset.split("test").iterrows():
        shutil.copy(polygon_dataset.path(row["image"]), tmp_path / "new" / row["image_name"])
    predict([run_of(polygon_dataset, **RULES)], [right], tmp_path / "new", tmp_path / "bones")
    table = brought.score(tmp_path / "bones" / "submission.csv", polygon_dataset, "x")[1]
    assert set(table["age"]) == {30}
    with pytest.raises(MedsegError, match=r"Maps of probabilities can be stretched; .*submission.csv has masks"):
        brought.score(tmp_path / "bones" / "submission.csv", polygon_dataset, "x", stretch=True)


def test_names_that_match_nothing_are_told(scored, discs, tmp_path):
    (tmp_path / "maps").mkdir()
    shutil.copy(discs.folder / "images" / "1.png", tmp_path / "maps" / "other-picture.png")
    with pytest.raises(
        MedsegError, match=r"no answer for 5 of 5 .* Of no test case: 1, such as other-picture.png. Ans"
    ):
        brought.score(tmp_path / "maps", discs, "x", incomplete=True)


def test_ours_decide_which_data_is_compared(maps, scored, discs, tmp_path):
    other = type(discs)(discs.folder, {**discs.info, "fingerprint": "0" * 64}, discs.index)
    for name in ("one", "two"):
        brought.score(maps, other, name)
    comparison = compare(runs.all_runs("polyp"))
    assert [run.id for run in comparison.runs] == [scored[0].id]
    assert {reason for _, reason in comparison.left_out} == {"other data: toy (00000000)"}


def test_a_brought_run_alone_has_a_report(maps, discs, scored):
    brought.score(maps, discs, "PraNet")
    shutil.rmtree(scored[0].folder)
    comparison = compare(runs.all_runs("polyp"))
    assert "Seeds: none, nothing was trained here" in results.table(comparison).text
    assert "not recorded" in curves.learning(comparison).text
    assert curves.learning_rate(comparison)


def test_what_was_brought_without_a_fold_is_left_out_beside_folds(polygon_dataset, right, run_of, tmp_path):
    """Else its other cases would end the whole report."""
    for fold in (0, 1):
        held = hold_out(polygon_dataset, fold)
        run = run_of(polygon_dataset, fold=fold, **RULES)
        evaluate(run, segmenter(run, right, held), held)
        if fold == 0:
            source = tmp_path / "theirs.csv"
            shutil.copy(run.folder / "predictions" / "fold-0.csv", source)
    loose, _ = brought.score(source, polygon_dataset, "loose")
    kept, _ = brought.score(source, polygon_dataset, "kept", fold=0)
    comparison = compare(runs.all_runs("handbone"))
    assert comparison.left_out == ((loose.id, "brought without a fold beside runs over folds: score it with --fold"),)
    assert kept.id in [run.id for run in comparison.runs]


def test_trainings_are_counted_as_they_are(maps, scored, discs, run_of, brightness):
    """Ours may have been trained more often than what was brought."""
    brought.score(maps, discs, "PraNet")
    assert "one training each" in answer.claim(compare(runs.all_runs("polyp"))).text
    again = run_of(discs, seed=2)
    evaluate(again, segmenter(again, brightness, discs), discs)
    text = answer.claim(compare(runs.all_runs("polyp"))).text
    assert "2 trainings; margin" in text
    assert "One training or more each: intervals and verdicts hold for these trained networks" in text

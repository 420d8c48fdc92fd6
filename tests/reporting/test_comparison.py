import pytest
from synthetic_runs import bare_run

from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.reporting import results
from medseg.reporting.comparison import compare

SCORES = {"ETIS": [0.5, 0.7]}


def test_runs_are_named_by_what_differs_and_share_a_configuration_across_seeds(runs):
    found = compare(runs)
    assert [c.label for c in found.configurations] == [
        "attention-unet",
        "dilated-unet resnet34",
        "Unet resnet50",
        "Unet efficientnet-b1",
    ]
    assert [c.seeds for c in found.configurations] == [[1], [1], [1, 2], [1]]
    assert found.constant == {"resolution": 256, "loss": "dice", "max_epochs": 12, "learning_rate": 1e-4}
    assert found.test_sets == ["ClinicDB", "ETIS"]
    assert found.left_out == ()


def test_parameters_beside_the_backbone_are_spelt_out(tmp_path):
    varied = [
        {"resolution": 256, "cbam": True, "aspp": False, "lr": 0.0001, "parts": []},
        {"resolution": 384, "cbam": False, "aspp": False, "lr": 0.001, "parts": ["cbam", "aspp"]},
    ]
    made = [bare_run(tmp_path / str(i), SCORES, architecture="unet", **p) for i, p in enumerate(varied)]
    labels = [c.label for c in compare(made).configurations]
    assert labels == ["256 px (lr 0.0001, parts none, + cbam)", "384 px (lr 0.001, parts cbam + aspp, without cbam)"]


def test_a_single_run_is_named_by_its_model(tmp_path):
    found = compare([bare_run(tmp_path / "a", SCORES, architecture="Unet", backbone="resnet18", seed=1)])
    assert found.configurations[0].label == "Unet resnet18"


def test_the_same_question_to_another_notebook_is_another_configuration(tmp_path):
    one, other = (bare_run(tmp_path / name, SCORES, architecture="Unet", seed=1) for name in "ab")
    other.update(stage="2_train_keras")
    assert [c.label for c in compare([one, other]).configurations] == ["PyTorch", "Keras"]


def test_what_cannot_be_compared_is_named_with_its_reason(tmp_path):
    good = [bare_run(tmp_path / f"good{i}", SCORES, seed=i) for i in range(2)]
    elsewhere = bare_run(tmp_path / "elsewhere", SCORES)
    elsewhere.update(dataset={"name": "kvasir", "fingerprint": "cd" * 32})
    failed = bare_run(tmp_path / "failed", SCORES)
    failed.update(status="failed", error="first line\nBatch 8 does not fit")
    unscored = bare_run(tmp_path / "unscored", SCORES)
    (unscored.folder / "cases.csv").unlink()
    begun = Run(tmp_path / "begun")
    begun.update(status="running", dataset=good[0].record["dataset"])
    torn = Run(tmp_path / "torn")
    torn.update(status="finished")
    (torn.folder / "run.json").write_text("{")
    found = compare([*good, elsewhere, failed, unscored, begun, torn])
    assert len(found.runs) == 2
    reasons = dict(found.left_out)
    assert "not valid JSON" in reasons.pop("torn")
    assert reasons == {
        "elsewhere": "other data: kvasir (cdcdcdcd)",
        "failed": "failed: Batch 8 does not fit",
        "unscored": "finished, not evaluated yet",
        "begun": "interrupted, no epoch finished yet",
    }
    assert unscored in compare([*good, unscored], scored=False).runs


def test_nothing_to_compare_is_said_with_what_to_do(tmp_path):
    failed = bare_run(tmp_path / "x", SCORES)
    failed.update(status="failed", error="no memory")
    with pytest.raises(MedsegError, match=r"x: failed: no memory\n.*medseg sweep"):
        compare([failed])
    with pytest.raises(MedsegError, match="no run was given"):
        compare([])


def test_a_parameter_that_only_one_notebook_has_names_no_configuration(tmp_path):
    one = bare_run(tmp_path / "a", SCORES, architecture="Unet", seed=1)
    other = bare_run(tmp_path / "b", SCORES, architecture="Unet", seed=1, feeding="fit")
    other.update(stage="2_train_keras")
    found = compare([one, other])
    assert [c.label for c in found.configurations] == ["PyTorch", "Keras"]
    assert found.constant["feeding"] == "fit"


def test_where_many_parameters_vary_one_at_a_time_only_the_unusual_is_told(tmp_path):
    usual = {"architecture": "unet", "norm": "batch", "tta": [], "crf": False, "window": 0, "upsampling": "bilinear"}
    changes = ({}, {"norm": "group"}, {"tta": ["flip"]}, {"crf": True}, {"window": 512}, {"upsampling": "bicubic"})
    runs = [bare_run(tmp_path / str(i), {"A": [0.5]}, **{**usual, **change}) for i, change in enumerate(changes)]
    labels = [c.label for c in compare(runs).configurations]
    assert labels == ["the rest as usual", "norm group", "tta flip", "+ crf", "window 512", "upsampling bicubic"]


def test_a_run_in_which_nearly_everything_is_unusual_tells_all_of_it(tmp_path):
    usual = {"architecture": "unet", "norm": "batch", "tta": [], "crf": False, "window": 0, "loss": "dice"}
    other = {"architecture": "fpn", "norm": "group", "tta": ["flip"], "crf": True, "window": 512, "loss": "bce"}
    runs = [bare_run(tmp_path / str(i), {"A": [0.5]}, seed=i, **(other if i == 2 else usual)) for i in range(3)]
    labels = [c.label for c in compare(runs).configurations]
    assert labels == ["unet", "fpn (norm group, tta flip, window 512, loss bce, + crf)"]


def test_what_was_brought_is_marked_however_much_of_it_there_is(tmp_path):
    usual = {"architecture": "unet", "backbone": "a", "norm": "batch", "crf": False, "window": 0, "loss": "dice"}
    changes = ({}, {"norm": "group"}, {"crf": True}, {"window": 512}, {"loss": "bce"})
    runs = [bare_run(tmp_path / str(i), {"A": [0.5]}, **{**usual, **change}) for i, change in enumerate(changes)]
    for name in ("PraNet", "SANet", "TransUNet", "UACANet", "Polyp-PVT", "CaraNet"):
        made_elsewhere = bare_run(tmp_path / name, {"A": [0.5]}, architecture=name)
        made_elsewhere.update(stage="brought", brought={"name": name, "cases": 1, "of": 1})
        runs.append(made_elsewhere)
    labels = [c.label for c in compare(runs).configurations]
    assert labels[:2] == ["unet", "unet (norm group)"]
    assert labels[5:7] == ["PraNet (brought)", "SANet (brought)"]


def test_a_run_of_before_there_were_budgets_is_one_without_a_limit(tmp_path):
    old = bare_run(tmp_path / "old", SCORES, architecture="Unet", seed=1)
    new = bare_run(tmp_path / "new", SCORES, architecture="Unet", seed=2, max_steps=0, max_minutes=0.0)
    found = compare([old, new])
    assert [c.seeds for c in found.configurations] == [[1, 2]]
    assert "max_steps" not in found.constant
    limited = bare_run(tmp_path / "limited", SCORES, architecture="Unet", seed=1, max_steps=90, max_minutes=0.0)
    assert [c.seeds for c in compare([old, new, limited]).configurations] == [[1, 2], [1]]
    assert compare([limited]).constant["max_steps"] == 90


def test_a_run_that_lost_its_worst_rows_is_left_out_by_name_and_the_others_are_compared(tmp_path):
    whole, cut, forged = (bare_run(tmp_path / name, {"ETIS": [0.1, 0.5, 0.9]}, seed=1, arm=name) for name in "abc")
    for run in (whole, cut, forged):
        run.update(tables=run.checksums("cases.csv", "history.csv"))
    cut.write_table("cases.csv", cut.cases().iloc[1:])
    forged.write_table("history.csv", forged.history().iloc[:4])
    found = compare([whole, cut, forged])
    assert found.runs == [whole]
    reasons = dict(found.left_out)
    assert "The run b is not used: cases.csv has 2 rows" in reasons["b"]
    assert "The run c is not used: history.csv has 4 rows" in reasons["c"]
    page = results.left_out(found).html
    assert "cases.csv has 2 rows" in page
    assert "Score it again" in page
    assert [run.id for run in compare([whole, cut], scored=False).runs] == ["a", "b"], "its history is whole"
    with pytest.raises(MedsegError, match="  - b: The run b is not used: cases.csv has 2 rows"):
        compare([cut])

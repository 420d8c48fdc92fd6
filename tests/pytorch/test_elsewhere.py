"""A run's checkpoints are scored on any data of its classes, by its own rules, and its own scores stay."""

import json

import pandas as pd
import pytest
from small_trainings import discs as write_discs
from torch_trainings import trained
from typer.testing import CliRunner

from medseg.cli import app
from medseg.datasets import index
from medseg.errors import MedsegError
from medseg.evaluation import elsewhere
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import segmenter
from medseg.experiments import runs
from medseg.pytorch import inference


@pytest.fixture
def scored(parameters, discs):
    run, _ = trained(parameters | {"max_epochs": 3, "learning_rate": 0.01}, discs)
    with runs.evaluating(run):
        evaluate(run, segmenter(run, inference.load_predictor(run, "cpu"), discs), discs)
    return run


def test_its_own_data_gives_its_own_scores_and_other_data_others(scored, discs, tmp_path):
    before = scored.record
    folder, table = elsewhere.score(scored, discs)
    columns = ["case_id", "tp", "fp", "fn", "tn", "dice", "hd95"]
    pd.testing.assert_frame_equal(table[columns], scored.cases()[columns])
    assert pd.read_csv(folder / "cases.csv")["dice"].mean() == pytest.approx(table["dice"].mean())

    other = write_discs(tmp_path / "other")
    (other.folder / "dataset.json").write_text(
        json.dumps({**other.info, "name": "others", "fingerprint": "cd" * 32}), "utf-8"
    )
    other = index.load(other.folder)
    where, every = elsewhere.score(scored, other, every_split=True)
    assert len(every) == len(other.index)
    assert set(every["test_set"]) == {"Discs", "others"}
    assert where.name == "others-cdcdcdcd-best"
    described = json.loads((where / "evaluation.json").read_text("utf-8"))
    assert (described["checkpoint"], described["cases"], described["trained_on"]) == (
        "best", "every split", discs.fingerprint
    )  # fmt: skip
    assert len(elsewhere.score(scored, other)[1]) == len(other.split("test"))
    assert scored.record == before


def test_other_checkpoints_are_named_and_those_that_are_not_there_refused(scored, discs):
    _, last = elsewhere.score(scored, discs, checkpoint="last")
    assert (scored.folder / "elsewhere").is_dir()
    folder, same = elsewhere.score(scored, discs, checkpoint=str(scored.checkpoints / "last.ckpt"))
    assert folder.name.endswith("-last")
    pd.testing.assert_frame_equal(last, same)
    with pytest.raises(
        MedsegError, match=r"no checkpoint 'epoch-9.ckpt' of the run .* There are: best.ckpt, last.ckpt"
    ):
        elsewhere.score(scored, discs, checkpoint="epoch-9.ckpt")


def test_what_cannot_be_scored_is_refused(scored, discs, tmp_path):
    def changed(**info):
        other = write_discs(tmp_path / str(len(list(tmp_path.iterdir()))))
        (other.folder / "dataset.json").write_text(json.dumps({**other.info, **info}), "utf-8")
        return index.load(other.folder)

    with pytest.raises(MedsegError, match="has the classes fold, the run .* was trained on polyp"):
        elsewhere.score(scored, changed(classes=["fold"], fingerprint="ef" * 32))
    with pytest.raises(MedsegError, match="is of the study handbone, the run"):
        elsewhere.score(scored, changed(study="handbone"))
    with pytest.raises(MedsegError, match="only its test split is unseen"):
        elsewhere.score(scored, discs, every_split=True)
    scored.update(status="running")
    with pytest.raises(MedsegError, match="only a finished training is evaluated"):
        elsewhere.score(scored, discs)


def test_the_command_prints_the_scores(scored, discs):
    done = CliRunner().invoke(app, ["evaluate", scored.id, "--checkpoint", "last"])
    assert done.exit_code == 0, done.output
    assert "mean Dice" in done.output
    assert "elsewhere" in done.output.replace("\n", "")

"""Reports on lesion phases."""

import io

import numpy as np
import pytest
from PIL import Image

from medseg import project
from medseg.experiments import runs
from medseg.reporting.comparison import compare
from medseg.studies.gastric import phases, pictures
from medseg.studies.gastric.evaluation import evaluate

PUBLISHED = project.root() / "notebooks" / "gastric" / "published.csv"


@pytest.fixture
def run(phase_dataset, tmp_path, monkeypatch):
    """A scored run that finds every lesion but takes phase 2 for phase 3; its latest checkpoint finds nothing."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))
    question = {"architecture": "any", "seed": 1}
    run = runs.prepare_run("gastric", "2_train", question, phase_dataset)
    with runs.training(run, "gastric", "2_train", question, phase_dataset):
        run.finish()

    def predictor_of(checkpoint):
        def predict(pictures):
            classes = [np.round(p[..., 0] / 50).astype(int) * (checkpoint != "latest") for p in pictures]
            return [np.eye(5, dtype=np.float32)[np.where(c == 2, 3, c)].transpose(2, 0, 1) for c in classes]

        return predict

    evaluate(run, predictor_of, phase_dataset)
    history = "epoch,split,loss,dice,iou,learning_rate,seconds\n1,train,1,0,0,0.1,1\n1,validation,1,0,0,,1\n"
    (run.folder / "history.csv").write_text(history)
    return run


def test_measures_are_pooled_and_macro_averaged(run):
    found = phases.figures(run).set_index(["checkpoint", "split", "task"])
    assert len(found) == 3 * 3 * 2
    best = found.loc[("best_loss", "test", "segmentation")]
    assert best["lesion_iou"] == best["binary_iou"] == best["f1"] == 1
    latest = found.loc[("latest", "test", "segmentation")]
    assert latest["lesion_iou"] == latest["recall"] == 0
    assert 0.4 < latest["binary_iou"] < 0.5
    # test patients 4 and 5: phases 1, 2, 0 and 2, 3, 0; both of phase 2 are taken for 3
    assert found.loc[("best_loss", "test", "classification"), "accuracy"] == pytest.approx(4 / 6)
    assert found.loc[("best_loss", "test", "classification"), "recall"] == pytest.approx(3 / 4)


def test_the_table_has_a_row_per_checkpoint_and_the_published_figures(run):
    text = repr(phases.table(compare([run]), PUBLISHED))
    lines = text.splitlines()
    assert sum("  best loss  " in line for line in lines) == 2
    published = next(line for line in lines if line.startswith("TransUNet R50+ViT-B/16, published, test set"))
    assert "0.690" in published
    assert "0.810" in published
    assert "an image has the phase of most of its lesion pixels" in text


def test_figures_say_what_they_show(run):
    compared = compare([run])
    assert "test: binary IoU 1.00" in phases.bars(compared, "segmentation").alt
    assert "test: accuracy 0.67" in phases.bars(compared, "classification").alt
    assert phases.confusion(compared).alt == "Confusion matrix of 6 images; 4 are on its diagonal."


def test_the_animation_has_a_frame_per_picture_of_the_patient(run):
    fragment = pictures.animation(compare([run]), "P5")
    assert "Animation of 3 pictures of patient P5" in repr(fragment)
    assert 'src="data:image/gif;base64,' in fragment.html
    frames = [np.full((20, 30, 3), 60 * k, np.uint8) for k in range(3)]
    with Image.open(io.BytesIO(pictures.encode(frames))) as gif:
        assert gif.n_frames == 3
        assert gif.info["loop"] == 0


def test_an_animation_without_its_data_says_so(run):
    run.update(dataset={**run.record["dataset"], "fingerprint": "00" * 32})
    assert "No animation: the data at" in repr(pictures.animation(compare([run])))

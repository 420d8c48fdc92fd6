import cv2
import numpy as np
import pytest
from synthetic_runs import bare_run

from medseg.reporting import curves, distributions, style
from medseg.reporting.comparison import compare
from medseg.reporting.fragments import Figure

CHARTS = {
    "dice": lambda c: curves.learning(c, "dice"),
    "loss": lambda c: curves.learning(c, "loss"),
    "rate": curves.learning_rate,
    "scores": distributions.scores,
    "paired": distributions.paired,
}


def pixels(figure: Figure) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(figure.data, np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_sharp_described_and_the_same_every_time(runs, name):
    one, other = (CHARTS[name](compare(runs)) for _ in range(2))
    assert one.data == other.data
    assert pixels(one).shape[1] == 2 * one.width <= 2 * style.WIDTH
    assert len(one.caption) > 20
    assert "attention-unet" in one.alt or "all configurations" in one.alt


@pytest.mark.parametrize("name", CHARTS)
def test_one_run_alone_can_be_drawn(tmp_path, name):
    run = bare_run(tmp_path / "a", {"ETIS": [0.5, 0.6]}, backbone="resnet18")
    assert pixels(CHARTS[name](compare([run]))).size


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CHARTS)
def test_long_names_leave_the_curves_their_room(tmp_path, name):
    runs = []
    for i, backbone in enumerate(("resnet18", "torchvision-mobilenetv2")):
        scores = [0.1, 0.9, 0.4] if i else [0.9, 0.5, 0.7]
        further = {"weights": "imagenet", "max_epochs": 7, "learning_rate": 0.001, "schedule": "cosine"} if i else {}
        run = bare_run(tmp_path / backbone, {"ETIS": scores}, backbone=backbone, restart_epochs=7 + i, **further)
        history = run.history()
        run.write_table("history.csv", history.assign(learning_rate=history["learning_rate"] / (1 + i)))
        runs.append(run)
    long = compare([runs[0], bare_run(tmp_path / "c", {"ETIS": [0.5, 0.6, 0.7]}, backbone="b1", weights="none",
                    max_epochs=9, learning_rate=0.1, schedule="step", restart_epochs=3), runs[1]])  # fmt: skip
    assert max(len(c.details) for c in long.configurations) > 70
    drawn = pixels(CHARTS[name](long))
    colour = np.array([int(long.configurations[-1].colour[i : i + 2], 16) for i in (1, 3, 5)])
    rows = name in ("scores", "paired")
    if rows:
        colour = (colour + 255) // 2  # dots let the paper through
    across = np.flatnonzero((np.abs(drawn.astype(int) - colour).max(axis=2) < 30).any(axis=0))
    assert (
        np.ptp(across) > (0.4 if rows else 0.15) * drawn.shape[1]
    )  # what is drawn of it is not squeezed into a corner


def test_every_configuration_has_its_colour_in_its_curves(runs):
    comparison = compare(runs)
    drawn = np.unique(pixels(CHARTS["dice"](comparison)).reshape(-1, 3).astype(int) @ (65536, 256, 1))
    drawn = np.stack([drawn >> 16, drawn >> 8 & 255, drawn & 255], axis=1)
    for c in comparison.configurations:
        wanted = [int(c.colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert np.abs(drawn - wanted).max(axis=1).min() < 12


def test_a_chart_of_more_colours_than_a_palette_has_keeps_them_close_and_its_paper_white():
    with style.canvas(100, 200) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 0.5, 1))
        axes.set_axis_off()
        axes.imshow(np.linspace(0, 1, 60 * 60 * 3).reshape(60, 60, 3), aspect="auto", interpolation="nearest")
        drawn = pixels(style.finish(figure, "", ""))
    assert (drawn[:, 200:] == 255).all()
    shown = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 256
    assert np.abs(shown - drawn).max() <= 8


def test_a_figure_that_was_not_recorded_is_said_to_be_so(tmp_path):
    compared = compare([bare_run(tmp_path / "a", {"ETIS": [0.5]})])
    assert repr(curves.learning(compared, "binary_iou")).startswith("Binary IoU was not recorded")


def test_a_constant_learning_rate_is_a_sentence(tmp_path):
    run = bare_run(tmp_path / "a", {"ETIS": [0.5]})
    history = run.history().assign(learning_rate=0.001)
    run.write_table("history.csv", history)
    assert repr(curves.learning_rate(compare([run]))) == "Learning rate: 0.001 throughout."

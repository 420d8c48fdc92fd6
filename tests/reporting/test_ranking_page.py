import cv2
import numpy as np
import pytest
from class_runs import fold_runs
from synthetic_runs import bare_run

from medseg.reporting import ranking, ranking_figures, statistics, style
from medseg.reporting.comparison import compare
from medseg.reporting.fragments import Figure

BASE = np.random.default_rng(3).uniform(0.5, 0.7, 24)


def made(tmp_path, *scores, groups=24, **parameters):
    """A run of each entry: of one test set, or a dict with the Dice of several."""
    runs = []
    for i, own in enumerate(scores):
        by_set = own if isinstance(own, dict) else {"ETIS": own}
        rounded = {name: np.round(values, 2).tolist() for name, values in by_set.items()}
        runs.append(bare_run(tmp_path / f"r{i}", rounded, groups=groups, backbone=f"b{i}", **parameters))
    return compare(runs)


def pixels(figure: Figure) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(figure.data, np.uint8), cv2.IMREAD_COLOR_RGB).astype(int)


def text_of(comparison):
    return repr(ranking.page(comparison).parts[0])


def test_two_configurations_are_no_ranking(tmp_path):
    assert repr(ranking.page(made(tmp_path, BASE, BASE))) == "A ranking takes three configurations or more."


def test_an_order_that_survives_everywhere(tmp_path):
    steps = [{"ClinicDB": BASE - s, "ETIS": BASE - 2 * s} for s in (0.1, 0.0, 0.2)]
    text = text_of(made(tmp_path, *steps))
    assert text.startswith(
        "The order survives everywhere: it is the same by mean, by median and case by case on both test sets, with b1 "
        "first. With patients or sequences drawn again, the first by mean stays first in this share of the draws: "
        "100 % (ClinicDB), 100 % (ETIS)."
    )
    lines = text.splitlines()
    (best,) = (line.split() for line in lines if line.startswith("b1 "))
    assert best == ["b1", "1,", "mean", "rank", "1.0,", "4", "points", *["1"] * 6]


def test_a_first_place_that_survives_alone(tmp_path):
    text = text_of(
        made(
            tmp_path,
            {"ClinicDB": BASE + 0.2, "ETIS": BASE + 0.2},
            {"ClinicDB": BASE + 0.1, "ETIS": BASE},
            {"ClinicDB": BASE, "ETIS": BASE + 0.1},
        )
    )
    assert text.startswith("First place survives, the rest of the order does not: b0 is first by mean, by median")
    assert "differ most is +0.33" in text
    assert "2–3, mean rank 2.5, 1 points" in text  # noqa: RUF001


def test_a_first_place_that_changes_names_who_is_first_where(tmp_path):
    # b0 fails on five cases, else it is ahead: behind by mean, ahead by median and case by case.
    failing = BASE + 0.1
    failing[:5] = 0
    text = text_of(made(tmp_path, failing, BASE, BASE - 0.3))
    assert text.startswith("First place changes. First are: b1 on ETIS (mean); b0 on ETIS (median, case by case).")
    assert "Consensus" not in text


def test_equal_configurations_have_no_order(tmp_path):
    text = text_of(made(tmp_path, BASE, BASE, BASE))
    assert text.startswith("There is no order: all tie by mean, by median and case by case.")
    assert text.count("1–3") == 9  # noqa: RUF001


def test_too_few_groups_are_said_to_be_so(tmp_path):
    *_, last = ranking.page(made(tmp_path, BASE, BASE + 0.1, BASE - 0.1, groups=4)).parts
    assert repr(last) == "How ranks vary by chance cannot be said: 4 patients or sequences are too few."


def test_the_map_says_of_every_pair_what_the_statistics_say(tmp_path):
    rng = np.random.default_rng(5)
    noisy = BASE + 0.15 + np.resize([0.3, -0.3], 24) + rng.normal(0, 0.05, 24)
    low = BASE + rng.uniform(-0.03, 0.03, 24)
    comparison = made(tmp_path, BASE + 0.2, BASE + 0.2 + np.resize([-0.01, 0, 0.01], 24), low, np.clip(noisy, 0, 1))
    figure = ranking_figures.pairs(comparison, 0.02)
    assert "b0 on ETIS is better than 1, equivalent to 1, not told from 1" in figure.alt
    assert "b1 on ETIS is better than 1, equivalent to 1, not told from 1" in figure.alt
    assert "b2 on ETIS is worse than 2, not told from 1" in figure.alt
    assert "b3 on ETIS is not told from 3" in figure.alt
    assert "margin ±0.02" in figure.caption
    assert "equivalent" not in ranking_figures.pairs(comparison, 0.0001).alt
    drawn = pixels(figure)
    cell = [
        (np.abs(drawn - [int(ground[i : i + 2], 16) for i in (1, 3, 5)]).max(axis=2) < 6).sum()
        for _, ground, _ in ranking_figures._VERDICTS.values()
    ]
    better, worse, equivalent, unsettled = cell
    assert better == pytest.approx(worse, rel=0.15)
    assert better == pytest.approx(equivalent, rel=0.15)
    assert unsettled > 2 * better


def test_verdicts_are_told_apart_without_colour():
    grounds = [
        np.dot([int(ground[i : i + 2], 16) for i in (1, 3, 5)], [0.299, 0.587, 0.114])
        for _, ground, _ in ranking_figures._VERDICTS.values()
    ]
    assert np.diff(sorted(grounds)).min() > 20
    assert len({sign for sign, *_ in ranking_figures._VERDICTS.values()}) == 4


def test_a_mean_in_doubt_is_drawn_hollow(tmp_path):
    def coloured(groups):
        comparison = made(tmp_path / str(groups), BASE, BASE + 0.1, BASE - 0.1, groups=groups)
        c, drawn = comparison.configurations[0], pixels(ranking_figures.forest(comparison))
        return (np.abs(drawn - [int(c.colour[i : i + 2], 16) for i in (1, 3, 5)]).max(axis=2) < 12).sum()

    assert coloured(24) > 20
    assert coloured(4) == 0


def test_a_distribution_over_unequal_groups_is_not_to_be_relied_on(tmp_path):
    flat, said = np.full(24, 0.6), "Not to be relied on where means are drawn hollow."
    flat[0] = 0.1
    assert said in ranking_figures.distribution(made(tmp_path / "flat", flat, BASE, BASE - 0.1)).caption
    assert said not in ranking_figures.distribution(made(tmp_path / "even", BASE + 0.1, BASE, BASE - 0.1)).caption


def test_figures_are_sharp_described_and_the_same_every_time(runs):
    one, other = (ranking.page(compare(runs)).parts for _ in range(2))
    assert [type(part).__name__ for part in one] == ["Fragment", "Figure", "Figure", "Figure"]
    for figure, again in zip(one[1:], other[1:], strict=True):
        assert figure.data == again.data
        assert pixels(figure).shape[1] == 2 * figure.width <= 2 * style.WIDTH
        assert "attention-unet" in figure.alt
        assert len(figure.caption) > 20
    assert repr(one[0]) == repr(other[0])


def test_trainings_are_drawn_where_there_are_several(runs, tmp_path):
    assert ", and trainings, are drawn again" in ranking_figures.distribution(compare(runs)).caption
    one_each = made(tmp_path, BASE, BASE + 0.1, BASE - 0.1)
    assert "patients or sequences are drawn again" in ranking_figures.distribution(one_each).caption


def test_of_many_configurations_the_best_are_shown_and_the_family_is_all(tmp_path, monkeypatch):
    monkeypatch.setattr("medseg.reporting.comparison.MOST", 3)
    asked, pairs = [], statistics.pairs
    monkeypatch.setattr(statistics, "pairs", lambda *given: asked.append(given[-1]) or pairs(*given))
    table, *figures = ranking.page(made(tmp_path, *(BASE + s for s in (0, 0.1, -0.1, 0.2, 0.05)))).parts
    assert [line.split()[0] for line in repr(table).splitlines() if line.startswith("b")] == ["b3", "b1", "b4"]
    assert asked == [10]
    for part in figures:
        assert part.caption.endswith("The best 3 of 5 configurations, ranked among themselves.")
        assert "b2" not in part.alt


def test_a_configuration_that_lacks_a_fold_is_ranked_on_what_all_have_and_named(tmp_path):
    by_quality = [fold_runs(tmp_path / name, q, architecture=name) for name, q in (("a", 0.9), ("b", 0.8), ("c", 0.7))]
    by_quality[1] = [run for run in by_quality[1] if run.record["parameters"]["fold"] != 3]
    comparison = compare([run for runs in by_quality for run in runs])
    assert {r.n_groups for r in statistics.rankings(comparison)} == {8}
    text = text_of(comparison)
    assert [line.split()[0] for line in text.splitlines() if line[:2] in ("a ", "b ", "c ")] == ["a", "b", "c"]
    assert "b lacks fold 3" in text

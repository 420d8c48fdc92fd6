"""Quality against cost: who is on the front, how sure that is, and a chart in which names can be read."""

import itertools

import matplotlib.figure
import numpy as np
import pytest
from costly_runs import costly
from synthetic_runs import bare_run

from medseg.metrics.compare import BETTER, EQUIVALENT, UNSETTLED
from medseg.reporting import cost_figure, labels, style
from medseg.reporting.comparison import compare
from medseg.reporting.fragments import Figure
from medseg.reporting.fronts import Front, front, told

BASE = np.array([0.5, 0.6, 0.55, 0.65] * 6)
TREMBLE = np.array([0.02, -0.02, -0.02, 0.02] * 6)  # without a mean


def made(folder, higher, *figures, noise=0.0, **further):
    """A run whose cases have a Dice of about 0.575 and ``higher``."""
    scores = {"ETIS": list(BASE + higher + noise * TREMBLE)}
    run = bare_run(folder / str(len(list(folder.iterdir()))), scores, groups=12, **further)
    return costly(run, *figures) if figures else run


@pytest.fixture
def networks(tmp_path):
    """Five of which the dearest are not the best."""
    return compare(
        [
            made(tmp_path, 0.00, 1.0, 10.0, backbone="small"),
            made(tmp_path, 0.10, 2.0, 20.0, backbone="middle", noise=0.5),
            made(tmp_path, 0.05, 3.0, 30.0, backbone="worse", noise=1.0),
            made(tmp_path, 0.104, 4.0, 40.0, backbone="large", noise=0.3),
            made(tmp_path, 0.094, 5.0, 50.0, backbone="near", noise=9.0),
        ]
    )


COSTS = {"small": 1.0, "middle": 2.0, "worse": 3.0, "large": 4.0, "near": 5.0}


def test_on_the_front_is_what_nothing_as_cheap_beats_with_a_verdict_on_every_step(networks):
    assert front(networks, "ETIS", COSTS) == Front(("small", "middle", "large"), (BETTER, EQUIVALENT), ("near",))


def test_of_two_at_the_same_cost_the_better_is_on_the_front(networks):
    same = {**COSTS, "middle": 4.0}
    assert front(networks, "ETIS", same).labels == ("small", "worse", "large")
    # A small difference in time is none.
    assert front(networks, "ETIS", {**COSTS, "middle": 3.8}, tolerance=0.1).labels == ("small", "worse", "large")
    assert front(networks, "ETIS", {**COSTS, "middle": 3.6}, tolerance=0.1).labels == (
        "small", "worse", "middle", "large"
    )  # fmt: skip


def test_only_what_has_a_known_cost_is_weighed(networks):
    known = {label: COSTS[label] for label in ("worse", "large")}
    assert front(networks, "ETIS", known).labels == ("worse", "large")


def test_of_very_many_the_steps_alone_are_tested(tmp_path):
    many = compare(
        [made(tmp_path, 0.01 * (i % 5) - i / 3000, 1.0 + i, 10.0, backbone=f"b{i}", noise=i / 21) for i in range(21)]
    )
    found = front(many, "ETIS", {f"b{i}": 1.0 + i for i in range(21)})
    assert found.labels == ("b0", "b1", "b2", "b3", "b4")
    assert found.open is None
    assert "too many to test" in told(found, "ETIS")


def test_the_words_are_no_stronger_than_the_verdicts():
    found = Front(("a", "b", "c", "d"), (BETTER, UNSETTLED, EQUIVALENT), ("e", "f"))
    assert told(found, "ETIS, by GMACs") == (
        "ETIS, by GMACs: a, b, c and d are on the front. b is better than the next cheaper one there. d is equivalent "
        "to the next cheaper one there. c is not told apart from the next cheaper one there. Off the front, but not "
        "shown to be worse: e and f."
    )
    assert told(Front(("a",), (), ()), "ETIS") == "ETIS: a alone is on the front."
    two = told(Front(("a", "b", "c"), (UNSETTLED, UNSETTLED), ()), "ETIS")
    assert "b and c are each not told apart from the next cheaper one there." in two


def test_the_page_says_the_front_and_draws_it(networks):
    text, table, figure = cost_figure.page(networks).parts
    assert repr(text) == (
        "ETIS, by GMACs as by time: small, middle and large are on the front. middle is better than the next cheaper "
        "one there. large is equivalent to the next cheaper one there. Off the front, but not shown to be worse: near."
    )
    assert isinstance(figure, Figure)
    assert "GMACs a picture on ETIS: small 1, Dice 0.575; middle 2, Dice 0.675" in figure.alt
    assert "on the front small, middle and large" in figure.alt
    assert "over a dashed step the two are equivalent (within ±0.01) or not told apart" in figure.caption
    assert "Times on: a processor, 1 thread" in repr(table)
    assert cost_figure.page(networks).parts[2].data == figure.data


def test_times_that_do_not_compare_are_left_out_with_a_word(tmp_path):
    runs = [
        made(tmp_path, 0.0, 1.0, 10.0, backbone="a"),
        made(tmp_path, 0.1, 2.0, 20.0, backbone="b"),
        made(tmp_path, 0.2, 3.0, backbone="unknown"),
        made(tmp_path, 0.2, 3.0, 1.0, backbone="windows", window=64),
        made(tmp_path, 0.3, backbone="old"),
    ]
    costly(runs[2], 3.0, 2.0, name="a GPU", kind="cuda")
    text, _, figure = cost_figure.page(compare(runs)).parts
    by_gmacs, by_time, *apart = repr(text).splitlines()
    assert by_gmacs.startswith("ETIS, by GMACs: a, b and unknown")
    assert by_time.startswith("ETIS, by time: a and b are on the front.")
    assert apart == [
        "Not drawn, because the cost is not known: old.",
        "Not drawn, because a picture takes several passes of another size or number: windows.",
        "Without a time, because it was taken elsewhere or on a busy machine: unknown.",
    ]
    assert "ms a picture, one at a time on ETIS: a 10, Dice 0.575; b 20, Dice 0.675; on the front" in figure.alt


def test_the_legend_of_many_has_those_that_are_drawn_alone(tmp_path, monkeypatch):
    runs = [made(tmp_path, 0.01 * n, 1.0 + n, 10.0 + 5 * n, backbone=f"b{n}") for n in range(8)]
    runs.append(made(tmp_path, 0.2, backbone="old"))
    named = []
    monkeypatch.setattr(matplotlib.figure.Figure, "legend", lambda self, handles, **_: named.extend(handles))
    text, *_ = cost_figure.page(compare(runs)).parts
    assert [handle.get_label() for handle in named] == [f"{n + 1}  b{n}" for n in range(8)]
    assert "the cost is not known: old." in repr(text)


def test_where_nothing_can_be_weighed_a_sentence_says_so(tmp_path):
    old = [made(tmp_path, 0.0, backbone="a"), made(tmp_path, 0.1, backbone="b")]
    assert "were not measured for these runs; run 3_evaluate" in repr(cost_figure.page(compare(old)))
    alike = [made(tmp_path, 0.0, 1.0, 10.0, loss="a"), made(tmp_path, 0.1, 1.0, 10.5, loss="b")]
    said, table = cost_figure.page(compare(alike)).parts
    assert "All configurations cost the same" in repr(said)
    assert "10.5" in repr(table)
    assert "takes two configurations or more of known cost" in repr(cost_figure.page(compare(alike[:1])).parts[0])


@pytest.mark.parametrize(("count", "name"), [(8, "dilated-resnet-unet b{}\nwidth 0.25"), (24, "{}")])
@pytest.mark.parametrize("spread", [1.0, 0.02])
def test_no_name_lies_over_another_or_over_a_point(count, name, spread):
    rng = np.random.default_rng(0)
    points = [tuple(point) for point in 0.5 + spread * rng.uniform(-0.5, 0.5, (count, 2))]
    with style.canvas(300, 480) as figure:
        axes = figure.subplots()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        names = [name.format(number) for number in range(count)]
        boxes = labels.place(figure, axes, points, names, ["#000000"] * count, [[(0.5, 0.0), (0.5, 1.0)]])
        at, frame = axes.transData.transform(points), axes.get_window_extent()
        written = [text.get_window_extent() for text in axes.texts]
    assert len(written) == len(boxes) == count
    for one, other in itertools.combinations(written, 2):
        assert not one.overlaps(other)
    for box in written:
        assert not any(box.contains(x, y) for x, y in at)
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1

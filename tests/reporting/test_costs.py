"""What a picture costs by the reports: the median over runs, on one machine, with a word where times do not compare."""

import pytest
from costly_runs import cost, costly
from synthetic_runs import bare_run

from medseg.reporting import costs
from medseg.reporting.comparison import compare

SCORES = {"ETIS": [0.9, 0.8, 0.9, 0.8, 0.9, 0.8]}


def run(folder, *figures, seed=1, further=None, **parameters):
    made = bare_run(folder, SCORES, seed=seed, **parameters)
    return costly(made, *figures, **(further or {})) if figures else made


def row(text, start):
    return next(line for line in text.splitlines() if line.startswith(start)).removeprefix(start).split()


def test_a_configuration_costs_what_the_median_of_its_runs_costs(tmp_path):
    made = [run(tmp_path / str(seed), 2.0, ms, seed=seed) for seed, ms in ((1, 10.0), (2, 90.0), (3, 12.0))]
    (found,) = costs.of(compare(made)).values()
    assert (found.parameters, found.gmacs, found.ms) == (2e7, 2.0, 12.0)
    assert found.per_second == pytest.approx(2000 / 12)
    assert found.comparable
    assert (found.where, found.precision) == ("a processor, 1 thread", "fp32")


def test_times_are_those_of_the_machine_that_timed_most_runs(tmp_path):
    there = {"name": "a GPU", "kind": "cuda"}
    made = [
        run(tmp_path / "a1", 1.0, 10.0, arm="a"),
        run(tmp_path / "a2", 1.0, 1.0, seed=2, arm="a", further=there),
        run(tmp_path / "b", 2.0, 20.0, arm="b"),
        run(tmp_path / "c", 3.0, 2.0, arm="c", further=there),
        run(tmp_path / "d", 4.0, 7.0, arm="d", further={"threads": 2}),
        run(tmp_path / "e", 4.0, 40.0, arm="e"),
    ]
    comparison = compare(made)
    found = {label.removeprefix("arm "): entry for label, entry in costs.of(comparison).items()}
    assert [found[name].ms for name in "abcd"] == [10, 20, 2, 7]
    assert [name for name in found if not found[name].comparable] == ["c", "d"]
    said = costs.measured_on(comparison)
    assert "Times on: a processor, 1 thread, fp32" in said
    assert "Timed elsewhere, and not to be compared: arm c (a GPU), arm d (a processor, 2 threads)." in said


def test_times_of_a_busy_machine_are_told_and_those_of_a_calm_one_preferred(tmp_path):
    busy = {"others": 0.9}
    made = [
        run(tmp_path / "a1", 1.0, 10.0, arm="a"),
        run(tmp_path / "a2", 1.0, 30.0, seed=2, arm="a", further=busy),
        run(tmp_path / "b", 1.0, 40.0, arm="b", further=busy),
    ]
    comparison = compare(made)
    calm, crowded = costs.of(comparison).values()
    assert (calm.ms, calm.comparable) == (10, True)
    assert (crowded.ms, crowded.comparable) == (40, False)
    said = costs.measured_on(comparison)
    assert "other processes used 10 to 90 % of the processors meanwhile" in said
    assert said.endswith("and so too slow: arm b.")


def test_precisions_are_told_apart(tmp_path):
    made = [
        run(tmp_path / name, 1.0, 10.0, arm=name, further={"precision": precision})
        for name, precision in (("a", "fp32"), ("b", "bf16"), ("c", "fp32"))
    ]
    said = costs.measured_on(compare(made))
    assert "Times on: a processor, 1 thread, bf16 (arm b), fp32 (arm a, arm c); other" in said


@pytest.mark.parametrize(
    ("parameters", "passes", "gmacs", "note"),
    [
        ({}, 1, 2, ""),
        ({"tta": []}, 1, 2, ""),
        ({"tta": ["flip"]}, 2, 4, "2 passes"),
        ({"tta": ["flip", "1.5"]}, None, 2, "of one pass"),
        ({"window": 512, "tta": []}, None, 2, "of one pass"),
    ],
)
def test_a_picture_costs_as_many_passes_as_it_was_scored_with(tmp_path, parameters, passes, gmacs, note):
    (found,) = costs.of(compare([run(tmp_path / "a", 2.0, 10.0, **parameters)])).values()
    assert (found.passes, found.gmacs, found.ms, found.note) == (passes, gmacs, 5 * gmacs, note)
    assert found.per_second == pytest.approx(200 / (passes or 1))


def test_the_table_has_dice_and_cost_side_by_side_and_dashes_where_none_is_known(tmp_path):
    made = [
        run(tmp_path / "a", 2.5, 10.0, backbone="a"),
        run(tmp_path / "b", 25.0, 250.0, backbone="b", further={"batch": 4}),
        run(tmp_path / "c", backbone="c"),
    ]
    text = repr(costs.table(compare(made)))
    assert row(text, "a ")[0] == "0.850,"  # its interval follows
    assert row(text, "a ")[-4:] == ["25.00", "2.50", "10.0", "200"]
    assert row(text, "b ")[-7:] == ["25.0", "250", "8.00,", "4", "at", "a", "time"]
    assert row(text, "c ")[-4:] == ["\u2013"] * 4
    assert "Not measured: c; run 3_evaluate on them again." in text
    assert "Times on: a processor, 1 thread, fp32" in text


def test_what_cannot_be_counted_is_a_dash(tmp_path):
    made = run(tmp_path / "a", 1.0, 10.0, backbone="a")
    made.update(cost={**cost(), "macs": None})
    (found,) = costs.of(compare([made])).values()
    assert found.gmacs is None
    assert row(repr(costs.table(compare([made]))), "a ")[-3:] == ["\u2013", "10.0", "200"]


def test_one_run_is_shown_with_its_quartiles_and_its_machine():
    text = repr(costs.of_run({**cost(1.5, 12.5), "others": 0.25}))
    for part in ("15.00 million", "1.50", "64 px", "12.5 ms (quartiles 12.5 to 12.5)", "8 at a time", "160 pictures",
                 "a processor, 1 thread, fp32", "used 25 % of the processors"):  # fmt: skip
        assert part in text

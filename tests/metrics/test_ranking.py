import numpy as np
import pandas as pd
import pytest

from medseg.errors import MedsegError
from medseg.metrics.compare import all_pairs
from medseg.metrics.ranking import CHANGES, EVERYWHERE, FIRST_ONLY, agreement, consensus, first, rankings, survival


def run_cases(*trainings, test_set="A", groups=None):
    """``cases.csv`` of each training, from the Dice of its cases; a case of its own group unless told."""
    tables = []
    for scores in trainings:
        ids = [f"case{i:03d}" for i in range(len(scores))]
        table = {
            "test_set": test_set, "case_id": ids, "group": ids if groups is None else groups, "class": "polyp",
            "tp": 0, "fp": 0, "fn": 50, "tn": 50, "dice": np.asarray(scores, float),
        }  # fmt: skip
        tables.append(pd.DataFrame(table))
    return tables


def only(runs, **settings):
    (found,) = rankings(runs, **settings)
    return found


def ranks(**orders):
    return pd.DataFrame(orders, index=["a", "b", "c"])


def test_the_three_rules_by_hand():
    # Means .62 .60 .50; medians .5 .6 .55; ranks of the cases: a 1 1 3 3 3, b 2 2 1.5 1 1, c 3 3 1.5 2 2.
    runs = {
        "a": run_cases([1.0, 0.9, 0.4, 0.5, 0.3]),
        "b": run_cases([0.6, 0.6, 0.6, 0.7, 0.5]),
        "c": run_cases([0.35, 0.55, 0.6, 0.6, 0.4]),
    }
    found = only(runs).ranks
    assert found.loc["a"].tolist() == [1, 3, 2]
    assert found.loc["b"].tolist() == [2, 1, 1]
    assert found.loc["c"].tolist() == [3, 2, 3]


def test_tied_runs_have_the_mean_of_their_ranks():
    runs = {name: run_cases([score] * 8) for name, score in (("a", 0.1 + 0.2), ("b", 0.9), ("c", 0.3))}
    assert only(runs).ranks["mean"].tolist() == [2.5, 1, 2.5]


def test_equal_runs_share_every_rank_of_every_draw():
    scores = np.random.default_rng(0).uniform(0.2, 0.9, 12)
    shares = only({"a": run_cases(scores), "b": run_cases(scores), "low": run_cases(scores - 0.1)}).shares
    assert shares.to_numpy() == pytest.approx(np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]))


def test_every_run_and_every_rank_adds_up_to_one():
    rng = np.random.default_rng(1)
    shares = only({name: run_cases(*rng.uniform(0.4, 0.8, (2, 20))) for name in "abcde"}).shares
    assert shares.sum(axis=1).to_numpy() == pytest.approx(np.ones(5))
    assert shares.sum(axis=0).to_numpy() == pytest.approx(np.ones(5))
    assert 0.05 < shares.to_numpy().max() < 0.95


def test_a_clear_winner_is_first_in_nearly_every_draw():
    rng = np.random.default_rng(2)
    scores = rng.uniform(0.4, 0.8, 20)
    runs = {name: run_cases(scores + rng.normal(0, 0.03, 20)) for name in "abc"}
    shares = only(runs | {"best": run_cases(scores + 0.1)}).shares
    assert shares.loc["best", 1] > 0.99
    assert shares.loc[list("abc"), 1].sum() < 0.01


def test_the_share_of_the_first_place_is_that_of_hand_counted_draws():
    # a is ahead by 1 in one group of six and behind by .3 in the others: ahead in a draw of five iff the first group
    # is drawn at least twice (2 - .9 > 0, 1 - 1.2 < 0).
    runs = {"a": run_cases([1, 0, 0, 0, 0, 0]), "b": run_cases([0, 0.3, 0.3, 0.3, 0.3, 0.3])}
    never, once = (5 / 6) ** 5, 5 * (1 / 6) * (5 / 6) ** 4
    assert only(runs, draws=50_000).shares.loc["a", 1] == pytest.approx(1 - never - once, abs=0.01)


def test_cases_of_a_group_are_drawn_together():
    # Ten cases in a group bring no certainty over one.
    rng = np.random.default_rng(3)
    pair = {name: rng.uniform(0.4, 0.8, 10) for name in "ab"}
    single = only({name: run_cases(scores) for name, scores in pair.items()}).shares
    tenfold = {name: run_cases(np.repeat(s, 10), groups=np.repeat(range(10), 10)) for name, s in pair.items()}
    assert only(tenfold).shares.to_numpy() == pytest.approx(single.to_numpy())


def test_trainings_are_drawn_too():
    # By cases alone a is always ahead of b; one of its two trainings is far behind, and each is drawn half the time.
    scores = np.linspace(0.4, 0.6, 10)
    b = run_cases(scores)
    assert only({"a": run_cases(scores + 0.05), "b": b}).shares.loc["a", 1] == 1
    drawn = only({"a": run_cases(scores + 0.3, scores - 0.2), "b": b}).shares
    assert drawn.loc["a", 1] == pytest.approx(0.5, abs=0.03)


def test_few_groups_give_ranks_but_no_shares():
    found = only({"a": run_cases([0.5] * 5), "b": run_cases([0.6] * 5)})
    assert found.ranks["mean"].tolist() == [2, 1]
    assert found.shares.isna().all(axis=None)
    assert found.n_groups == 5


def test_of_distances_the_least_is_first():
    runs = {"far": run_cases([0.5] * 7), "near": run_cases([0.2] * 7)}
    assert only(runs, lower_is_better=True).shares.loc["near"].tolist() == [1, 0]
    assert only(runs).shares.loc["near"].tolist() == [0, 1]


def test_a_missing_value_beside_others_counts_as_perfect_and_an_empty_case_not_at_all():
    careful, careless = [0.5] * 6 + [np.nan, np.nan], [0.6] * 6 + [0, np.nan]
    found = only({"careful": run_cases(careful), "careless": run_cases(careless)})
    assert found.ranks.loc["careful"].tolist() == [1, 2, 2]  # mean 4/7 to 3.6/7; but behind in six cases of seven
    assert found.n_groups == 7
    assert rankings({name: run_cases([np.nan] * 8) for name in "ab"}) == []


def test_each_test_set_has_its_own_order():
    def both(here, there):
        tables = run_cases([here] * 6)[0], run_cases([there] * 6, test_set="B")[0]
        return [pd.concat(tables)]

    one, other = rankings({"a": both(0.9, 0.1), "b": both(0.5, 0.5)})
    assert (one.test_set, other.test_set) == ("A", "B")
    assert first(one.ranks["mean"]) == ("a",)
    assert first(other.ranks["mean"]) == ("b",)


def test_the_same_cases_give_the_same_result_and_different_ones_are_refused():
    rng = np.random.default_rng(4)
    runs = {name: run_cases(rng.uniform(0, 1, 9)) for name in "ab"}
    assert only(runs).shares.equals(only(runs).shares)
    with pytest.raises(MedsegError, match="scored on different cases"):
        rankings(runs | {"c": run_cases([0.5] * 8)})


def test_consensus_and_borda_by_hand():
    found = consensus(ranks(A=[1, 2, 3], B=[2.5, 1, 2.5]))
    assert found["mean_rank"].tolist() == [1.75, 1.5, 2.75]
    assert found["borda"].tolist() == [2.5, 3, 0.5]
    assert found["rank"].tolist() == [2, 1, 3]


def test_kendalls_tau_by_hand():
    # Of three pairs one is turned around: (2 - 1) / 3. With a tie: tau-b of 2 of 3 and 3 of 3 untied pairs.
    found = agreement(ranks(A=[1, 2, 3], B=[1, 3, 2], C=[3, 2, 1], D=[1.5, 1.5, 3]))
    assert found.loc["A"].tolist() == pytest.approx([1, 1 / 3, -1, 2 / np.sqrt(6)])


def test_what_survives():
    same, behind, ahead = [1, 2, 3], [1, 3, 2], [2, 1, 3]
    assert survival(ranks(A=same, B=same)) == EVERYWHERE
    assert survival(ranks(A=same, B=behind)) == FIRST_ONLY
    assert survival(ranks(A=same, B=same, C=ahead)) == CHANGES
    assert survival(ranks(A=same, B=[1.5, 1.5, 3])) == CHANGES
    assert survival(ranks(A=[1.5, 1.5, 3], B=[1.5, 1.5, 3])) == EVERYWHERE


def test_pairs_picked_out_of_more_are_corrected_for_all():
    rng = np.random.default_rng(5)
    runs = {name: run_cases(rng.uniform(0.4, 0.6, 12) + shift) for name, shift in (("a", 0), ("b", 0.05))}
    (own,), (more,) = (all_pairs(runs, comparisons=n)["p_holm"] for n in (None, 4))
    assert 0 < own < 0.25
    assert more == pytest.approx(4 * own, rel=0.2)

import numpy as np
import pytest
from synthetic_runs import bare_run

from medseg.metrics.saliency import MEASURES, RULE
from medseg.reporting.comparison import compare
from medseg.studies.polyp import field_measures as field

SCORES = {"ClinicDB": [0.8] * 8, "ETIS": [0.6] * 8}


def scored_run(folder, *, n_scored=8, **values):
    """A run whose measures are 0.5, or those given as (ClinicDB, ETIS)."""
    names = {key: values.pop(key) for key in list(values) if key in MEASURES}
    run = bare_run(folder, SCORES, **values)
    figures = {
        test_set: {**dict.fromkeys(MEASURES, 0.5), **{k: v[i] for k, v in names.items()}, "n_scored": n_scored}
        for i, test_set in enumerate(SCORES)
    }
    rng = np.random.default_rng(list(folder.name.encode()))
    cases = run.cases()
    for name in MEASURES:
        mean = cases["test_set"].map({test_set: found[name] for test_set, found in figures.items()})
        run.write_table("cases.csv", cases := cases.assign(**{name: mean + rng.normal(0, 0.002, len(cases))}))
    run.update(evaluation={**run.record["evaluation"], "saliency": {"rule": RULE, "test_sets": figures}})
    return run


def cells(fragment, *starts):
    """Cells of the only line of the plain text that has all ``starts`` in its first columns."""
    (line,) = [line for line in repr(fragment).splitlines() if all(start in line[:60] for start in starts)]
    return [word for word in line.split() if word[0].isdigit() or word[0] == "\u2013"]


def test_each_configuration_has_a_row_per_test_set_with_the_best_marked(tmp_path):
    one = scored_run(tmp_path / "a", backbone="resnet50", mdice_thresholds=(0.7, 0.4), mae=(0.02, 0.09))
    other = scored_run(tmp_path / "b", backbone="vgg11", mdice_thresholds=(0.6, 0.55), mae=(0.03, 0.05))
    shown = field.measures(compare([one, other]))
    marks = [word[5:] for word in cells(shown, "resnet50", "ClinicDB")]
    assert cells(shown, "resnet50", "ClinicDB")[1] == "0.700*"
    assert cells(shown, "vgg11", "ClinicDB")[1] == "0.600"
    assert cells(shown, "vgg11", "ETIS")[1] == "0.550*"
    # Less is better for MAE, max E is not tested, and the other measures are equivalent.
    assert cells(shown, "resnet50", "ClinicDB")[-2:] == ["0.500", "0.020*"]
    assert cells(shown, "vgg11", "ETIS")[-1] == "0.050*"
    assert sorted(marks[2:4]) <= ["*", "\u2248"]


def test_the_rule_of_every_column_is_stated(tmp_path):
    text = repr(field.measures(compare([scored_run(tmp_path / "a")])))
    assert "Dice at 0.5" in text.splitlines()[1]
    assert all(rule in text for rule in MEASURES.values())
    assert f"Rules of the columns after Dice: {RULE}." in text
    assert "Bold" not in text
    assert "Cases with nothing to find" not in text
    assert "protocol colondb" in text


def test_seeds_become_mean_and_standard_deviation(tmp_path):
    made = [scored_run(tmp_path / str(s), seed=s, s_measure=(v, v)) for s, v in ((1, 0.6), (2, 0.7), (3, 0.8))]
    assert "0.700, \u00b1 0.100" in repr(field.measures(compare(made)))


def test_runs_without_the_measures_are_named(tmp_path):
    new = scored_run(tmp_path / "a", backbone="resnet50")
    old = bare_run(tmp_path / "b", SCORES, backbone="vgg11")
    text = repr(field.measures(compare([new, old])))
    assert "Not computed for: vgg11 (scored before these measures were; score again with 3_evaluate)." in text
    assert not [line for line in text.splitlines() if line.startswith("vgg11")]
    alone = field.measures(compare([old]))
    assert "not computed for these runs" in repr(alone)
    assert "<table" not in alone.html


@pytest.mark.parametrize("values", [(None, None), (None, 0.4)])
def test_what_could_not_be_scored_is_a_dash(tmp_path, values):
    run = scored_run(tmp_path / "a", n_scored=7, e_max=values)
    shown = field.measures(compare([run]))
    assert cells(shown, "ClinicDB")[-2] == "\u2013"
    assert "left out of these columns: ClinicDB 1, ETIS 1." in repr(shown)


def test_folds_are_weighted_by_their_cases(tmp_path):
    made = []
    for fold, (count, mae) in enumerate([(10, 0.1), (30, 0.2), (20, None)]):
        run = bare_run(tmp_path / str(fold), {f"fold-{fold}": [0.5] * count}, fold=fold, groups=5)
        names = dict.fromkeys(MEASURES, 0.4) | {"mae": mae, "n_scored": count - fold}
        cases = run.cases().assign(**dict.fromkeys(MEASURES, 0.4))
        run.write_table("cases.csv", cases)
        saliency = {"rule": RULE, "test_sets": {f"fold-{fold}": names}}
        run.update(evaluation={**run.record["evaluation"], "saliency": saliency})
        made.append(run)
    text = repr(field.measures(compare(made)))
    assert f"{(10 * 0.1 + 29 * 0.2) / 39:.3f}, " in text
    assert "the mean of each fold's own figure, weighted by its cases" in text
    assert "left out of these columns: held-out folds 3." in text

"""What reports of runs say of twins and of guessed groups, from the record alone."""

from synthetic_runs import bare_run

from medseg.datasets import index
from medseg.reporting import answer, audit
from medseg.reporting.comparison import compare


def run_with(folder, leakage):
    run = bare_run(folder, {"ETIS": [0.5, 0.6, 0.7]}, groups=3, seed=1)
    run.update(dataset={**run.record["dataset"], **leakage})
    return run


def test_twins_over_splits_and_guessed_groups_are_said_of_a_single_run(tmp_path):
    known = {"leakage": {"near_duplicates": {"train and test": 4}, "groups_guessed": ["Lyon", "Oslo", "ETIS"]}}
    text = repr(answer.claim(compare([run_with(tmp_path / "a", known)])))
    assert "look the same lie in different splits (4 over train and test): scores" in text
    assert "Which pictures of Lyon and Oslo belong to one video or patient is a guess: where such a set is div" in text
    assert "Which pictures of ETIS belong to one video or patient is a guess: their intervals and verdicts rest" in text
    assert "from 3 patients or sequences (a guess)" in text


def test_nothing_is_said_of_clean_data_nor_of_a_run_made_before(tmp_path):
    clean = {"leakage": {"near_duplicates": {}, "groups_guessed": []}}
    unknown = {"leakage": {"near_duplicates": None, "groups_guessed": None}}
    for number, record in enumerate((clean, unknown, {})):
        assert audit.caveats(compare([run_with(tmp_path / str(number), record)])) == []


def test_the_table_tells_unknown_from_none(dataset):
    assert "near duplicates over splits not known not looked for: prepare" in words_of(dataset)
    looked = index.PreparedDataset(
        dataset.folder, {**dataset.info, "duplicates": [], "identical": [], "groups_guessed": ["ETIS"]}, dataset.index
    )
    assert "not known" not in words_of(looked)
    assert "sets whose groups are a guess 1 ETIS" in words_of(looked)


def words_of(data):
    return " ".join(repr(audit.table(data)).split())

"""Tables written into marked places of a document."""

import pytest
from synthetic_runs import bare_run

from medseg.errors import MedsegError
from medseg.reporting import documents
from medseg.reporting.comparison import compare

CLEAR = [0.9, 0.8, 0.9, 0.8, 0.9, 0.8, 0.9, 0.8]
WORSE = [0.59, 0.51, 0.58, 0.52, 0.6, 0.5, 0.59, 0.51]


@pytest.fixture
def comparison(tmp_path):
    return compare([
        bare_run(tmp_path / "a", {"ETIS": CLEAR, "few": CLEAR[:5]}, backbone="b1"),
        bare_run(tmp_path / "b", {"ETIS": WORSE, "few": WORSE[:5]}, backbone="vgg|11"),
    ])  # fmt: skip


def place(name, content="old\n"):
    return f"<!-- medseg: {name} -->\n{content}<!-- /medseg -->\n"


def test_only_what_is_marked_is_replaced_and_again_gives_the_same(comparison, tmp_path):
    file = tmp_path / "results.md"
    file.write_text(f"# Title\n\n{place('scores')}\nSaid by hand.\n{place('differences', '')}")
    documents.fill(file, comparison)
    text = file.read_text()
    assert text.startswith("# Title\n\n<!-- medseg: scores -->\n| Mean Dice | ETIS: 8 frames, 8 videos | few: 5 frames")
    assert "\nSaid by hand.\n" in text
    assert "old" not in text
    mean = next(line for line in text.splitlines() if line.startswith("| b1 |")).split(" | ")
    assert mean[1].startswith("0.850, 0.8")
    assert mean[2] == "0.860 |"  # five videos: no interval
    assert "| ETIS | vgg\\|11 | b1 | -0.300 | -0.3" in text
    assert text.count("| worse |") == 1
    assert "| few | vgg\\|11 | b1 | -0.300 | none: too few groups |" in text
    documents.fill(file, comparison)
    assert file.read_text() == text


def test_a_table_that_there_is_not_is_named_and_the_file_stays(comparison, tmp_path):
    file = tmp_path / "results.md"
    file.write_text(place("scores") + place("score"))
    with pytest.raises(MedsegError, match=r"results.md: found a place for 'score', expected one of scores, counts"):
        documents.fill(file, comparison)
    assert "old" in file.read_text()


def test_a_document_without_a_place_is_refused(comparison, tmp_path):
    (tmp_path / "plain.md").write_text("# Title\n")
    with pytest.raises(MedsegError, match="plain.md has no place to fill"):
        documents.fill(tmp_path / "plain.md", comparison)
    with pytest.raises(MedsegError, match="absent.md cannot be read"):
        documents.fill(tmp_path / "absent.md", comparison)


def test_rows_that_were_not_run_are_told(comparison, tmp_path):
    sweep = tmp_path / "few.yaml"
    rows = "runs: [{backbone: b1}, {backbone: resnet50, seed: 7}]"
    sweep.write_text(f"study: polyp\ntitle: Few\ntrain: 2_train_torch\ndata: nowhere\n{rows}\n")
    text = documents.not_run(comparison, str(sweep))
    assert text.endswith("that were not run: backbone resnet50, seed 7.")
    sweep.write_text(sweep.read_text().replace(", {backbone: resnet50, seed: 7}", ""))
    assert documents.not_run(comparison, str(sweep)).startswith("All rows of")

"""What leaks from training into the tests: a table for the preparation, and what a report of runs has to say of it."""

from medseg.datasets import audit
from medseg.datasets.index import PreparedDataset
from medseg.names import joined
from medseg.reporting import measure_table
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Cell, Fragment, Table, numeric, words

_DRAWN = "The pictures are drawn: figures show that the machinery works, not how good a network is on patients."


def table(dataset: PreparedDataset) -> Fragment:
    """Leakage audit of a prepared dataset: groups in two splits, guessed groups, near duplicates, equal pictures."""
    rows = []
    for found in audit.leakage(dataset):
        times = "not known" if found.times is None else str(found.times)
        rows.append([Cell(found.what), Cell(times, found.times), Cell(found.detail)])
    notes = [
        "Near duplicates: the same picture under another name, size or JPEG quality, told by a perceptual hash and "
        "confirmed by its detail. Mirrored, turned and cropped copies are not recognised."
    ]
    return Table("Leakage audit", words("what") + numeric("found") + words("which"), rows, notes).fragment()


def caveats(comparison: Comparison) -> list[str]:
    """What the data of the runs takes from their scores, as their records keep it; [] where nothing is known of it."""
    counts: dict[str, int] = {}
    for record in (record for c in comparison.configurations for record in c.records):
        kept = record.get("dataset", {}).get("leakage") or {}
        for splits, pairs in (kept.get("near_duplicates") or {}).items():
            counts[splits] = max(pairs, counts.get(splits, 0))
    said = [_DRAWN] if measure_table.is_sample(comparison) else []
    if counts:
        named = joined(f"{pairs} over {splits}" for splits, pairs in sorted(counts.items()))
        said.append(
            f"Pairs of pictures that look the same lie in different splits ({named}): scores on what was trained on "
            "flatter. Preparing the data with drop_duplicates leaves them out."
        )
    unsure = guessed(comparison)
    tested = [name for name in unsure if name in comparison.test_sets]
    if trained := [name for name in unsure if name not in tested]:
        said.append(
            f"Which pictures of {joined(trained)} belong to one video or patient is a guess: where such a set is "
            "divided, pictures of one may lie in both parts, and scores of the second part flatter."
        )
    if tested:
        said.append(
            f"Which pictures of {joined(tested)} belong to one video or patient is a guess: their intervals and "
            "verdicts rest on it."
        )
    return said


def guessed(comparison: Comparison) -> list[str]:
    """Names of the sets whose groups are a guess, as the runs' records keep them."""
    kept = [(record.get("dataset", {}).get("leakage") or {}).get("groups_guessed") for record in comparison.records]
    return list(dict.fromkeys(name for names in kept for name in names or []))

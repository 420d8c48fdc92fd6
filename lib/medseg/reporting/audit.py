"""What leaks from training into the tests: a table for the preparation, and what a report of runs has to say of it."""

from medseg.datasets import audit
from medseg.datasets.index import PreparedDataset
from medseg.names import joined
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Cell, Fragment, Table, numeric, words


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
    guessed: dict[str, None] = {}
    for record in (record for c in comparison.configurations for record in c.records):
        kept = record.get("dataset", {}).get("leakage") or {}
        for splits, pairs in (kept.get("near_duplicates") or {}).items():
            counts[splits] = max(pairs, counts.get(splits, 0))
        guessed |= dict.fromkeys(kept.get("groups_guessed") or [])
    said = []
    if counts:
        named = joined(f"{pairs} over {splits}" for splits, pairs in sorted(counts.items()))
        said.append(
            f"Pairs of pictures that look the same lie in different splits ({named}): scores on what was trained on "
            "flatter. Preparing the data with drop_duplicates leaves them out."
        )
    if guessed:
        said.append(
            f"Which frames of {joined(guessed)} belong to one video or patient is a guess: where such a set is "
            "divided, frames of one may be trained on and tested on, and intervals rest on the guess."
        )
    return said

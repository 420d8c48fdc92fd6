"""Cases at which every configuration fails: hard ones, or ones whose label is wrong."""

import pandas as pd

from medseg import registry
from medseg.reporting import gallery
from medseg.reporting.comparison import Comparison
from medseg.reporting.fragments import Cell, Figure, Fragment, Parts, Table, number, numeric, sentence, words

FAILED = 0.5  # Dice below which a case is one


def page(comparison: Comparison, most: int = 6) -> Parts:
    """Cases of which no configuration reaches a Dice of :data:`FAILED`, those with the lowest first.

    The table names all up to 20, with the highest Dice that any configuration has; the pictures show ``most`` as the
    configuration predicted them that came nearest. A case with an empty label is one where every one found something.
    """
    if len(comparison.configurations) < 2:
        return Parts((sentence("To say which cases every network fails at takes two configurations or more."),))
    found, counts = failures(comparison)
    words_ = registry.find(comparison.records[0]["study"]).items
    every = len(comparison.configurations)
    said = f"{len(found)} of {counts} {words_} are failed by {f'all {every}' if every > 2 else 'both'} configurations"
    if found.empty:
        return Parts((sentence(f"{said}: each of them reaches a Dice of {FAILED:g} or more with some network."),))
    rows = [
        [
            *map(Cell, (row.case_id, row.test_set)),
            number(row.highest),
            *map(Cell, (row.label if row.highest > 0 else "", row.remark)),
        ]
        for row in found.head(20).itertuples()
    ]
    notes = [
        f"{said} (Dice below {FAILED:g}, mean over seeds and classes). Where many networks agree against a label, look "
        "at the label first: it may be missing a lesion, mark one that is not there, or belong to another picture.",
        *([f"The 20 of lowest Dice of {len(found)}."] if len(found) > 20 else []),
    ]
    columns = [*words("Case", "Test set"), *numeric("Highest Dice"), *words("By", "Remark")]
    parts: list[Fragment | Figure] = [Table("Failed by all", columns, rows, notes).fragment()]
    by_label = {c.label: c for c in comparison.configurations}
    for (test_set, label), rows_ in found.head(most).groupby(["test_set", "label"], sort=False):
        captions = {row.case_id: f"{row.case_id}: highest Dice {row.highest:.3f}" for row in rows_.itertuples()}
        runs = by_label[str(label)].by_seed[0]
        parts += gallery.some(*runs, test_set=str(test_set), captions=captions).parts
    # Of pictures that are gone one sentence is enough.
    return Parts(tuple(dict.fromkeys(parts)))


def failures(comparison: Comparison) -> tuple[pd.DataFrame, int]:
    """The cases that all fail: test_set, case_id, highest (Dice), label (of the configuration) and remark; and how many
    cases there are.

    A case with nothing to find of which one configuration rightly found nothing is none.
    """
    scores, empty = {}, None
    for c in comparison.shared:
        seeds = []
        for cases in c.cases:
            # All classes of a case that are empty in truth and prediction: rightly nothing.
            by_case = cases.groupby(["test_set", "case_id"], sort=False)
            seeds.append(by_case["dice"].mean().fillna(1))
            empty = by_case[["tp", "fn"]].sum().sum(axis=1) == 0 if empty is None else empty
        scores[c.label] = pd.concat(seeds, axis=1).mean(axis=1)
    table = pd.DataFrame(scores)
    best = pd.DataFrame({"highest": table.max(axis=1), "label": table.idxmax(axis=1)})
    best["remark"] = empty.reindex(best.index).map({True: "empty label", False: ""}) if empty is not None else ""
    failed = best[best["highest"] < FAILED].sort_values("highest", kind="stable")
    return failed.reset_index(), len(best)

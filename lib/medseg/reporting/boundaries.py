"""How far the outlines are off: distances and surface overlap beside Dice."""

import numpy as np
import pandas as pd

from medseg.metrics.overlap import summarise
from medseg.reporting import provenance
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Fragment
from medseg.reporting.tables import Cell, Column, Row, Table, number

_LESS_IS_BETTER = ("hd95_mean", "hd95_median", "n_missed")


def measures(comparison: Comparison) -> Fragment:
    """Average Dice, HD95, surface Dice and misses of every configuration on every test set, the best in bold."""
    columns = [
        Column("Configuration", numeric=False),
        Column("Test set", numeric=False),
        *map(Column, ("Average Dice", "HD95, mean px", "HD95, median px", "Surface Dice", "Missed")),
    ]
    rows = []
    for test_set in comparison.test_sets:
        found = {c.number: _figures(c, test_set) for c in comparison.configurations}
        best = _best(found)
        for c in comparison.configurations:
            cells = [Cell(c.name, note=c.details), Cell(test_set)]
            for name, digits in (("dice", 4), ("hd95_mean", 2), ("hd95_median", 2), ("surface", 4), ("n_missed", 0)):
                values = found[c.number][name]
                spread = f"\u00b1 {values.std(ddof=1):.{digits}f}" if len(values) > 1 and digits else ""
                mark = "best" if best.get(name) == c.number else ""
                cells.append(number(float(values.mean()), digits, mark=mark, note=spread))
            rows.append(Row(cells))
    records = [record.get("evaluation", {}) for record in comparison.records]
    notes = [
        "Average Dice: mean over cases and classes. HD95: 95th percentile of the distances between the outlines, the "
        "larger of the two directions, in pixels of the picture; a structure that was missed altogether counts as far "
        "off as the picture's diagonal, it does not vanish. Surface Dice: share of both outlines within "
        f"{provenance.distinct(records, 'surface_tolerance_px')} px of the other; 0 for a miss. Missed: structures of "
        "which no pixel was found.",
        "Bold: best of its column, whether or not chance could explain the difference; that is tested for Dice alone.",
        *provenance.notes(comparison),
    ]
    return Table("Outlines", columns, rows, notes).fragment()


def _figures(configuration: Configuration, test_set: str) -> dict[str, np.ndarray]:
    """Each figure with one value per seed."""
    tables = [cases[cases["test_set"] == test_set] for cases in configuration.cases]
    summaries = pd.concat([summarise(table) for table in tables])
    return {
        "dice": summaries["mean_dice"].to_numpy(),
        "hd95_mean": np.array([table["hd95"].mean() for table in tables]),
        "hd95_median": np.array([table["hd95"].median() for table in tables]),
        "surface": np.array([table["surface_dice"].mean() for table in tables]),
        "n_missed": summaries["n_missed"].to_numpy(float),
    }


def _best(found: dict[int, dict[str, np.ndarray]]) -> dict[str, int]:
    """For every column the configuration with the best mean; none where they are all equal or there is but one."""
    best = {}
    for name in next(iter(found.values())):
        means = pd.Series({number: values[name].mean() for number, values in found.items()}).dropna()
        if len(means) > 1 and means.nunique() > 1:
            best[name] = means.idxmin() if name in _LESS_IS_BETTER else means.idxmax()
    return best

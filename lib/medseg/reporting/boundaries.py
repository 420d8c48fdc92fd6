"""How far the outlines are off: distances, surface overlap and whatever else is measured beside overlap."""

from medseg.evaluation.measures import Measure
from medseg.metrics.overlap import OVERLAP
from medseg.metrics.saliency import MEASURES as SALIENCY
from medseg.reporting import measure_table, statistics
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Fragment, capital, sentence
from medseg.reporting.measure_table import Shown

#: Follow from the counts as Dice does, or have a table of their own.
_ELSEWHERE = (*OVERLAP, "binary_iou", "class_accuracy", *SALIENCY)
_RULES = {
    "hd95": "HD95: 95th percentile of the distances between the outlines, the larger of the two directions, in pixels "
    "of the picture as it is; a structure of which nothing was marked counts as far off as the picture's diagonal, it "
    "does not vanish.",
    "hd95_mm": "HD95 in mm: by the size of a pixel that DICOM files tell, over the cases of which it is known.",
    "surface_dice": "Surface Dice: share of both outlines within {tolerance} px of the other; 0 for a miss.",
}
_EMPTY = (
    "A case with nothing to find counts as it does in Dice: an alarm as far off as the diagonal, its surface Dice 0; "
    "rightly nothing as 0 px and 1 where another network raised an alarm."
)
_PIXELS = "Distances in pixels compare networks on one test set, not test sets whose pictures differ in size."


def measures(comparison: Comparison, margin: float = statistics.MARGIN) -> Fragment:
    """Average Dice, HD95, surface Dice, further measures of the cases, and misses, of every configuration on every test
    set; a sentence instead where the runs were scored without distances.
    """
    found = further(comparison)
    if not found:
        return sentence(
            "Distances between outlines were not computed for these runs; score them again with 3_evaluate."
        )
    shown = [
        Shown("Average Dice", measure_table.summarised("mean_dice"), "dice", 4),
        *(column for measure in found for column in _columns(measure)),
        Shown("Missed wholly", measure_table.summarised("n_missed"), digits=0),
    ]
    tolerance = measure_table.distinct(comparison.records, "evaluation", "surface_tolerance_px")
    rules = [_RULES[measure.name].format(tolerance=tolerance) for measure in found if measure.name in _RULES]
    rules += [_EMPTY] if statistics.empties(comparison) else []
    rules += [_PIXELS] if len(comparison.test_sets) > 1 else []
    said = [
        "Average Dice: mean over cases and classes.",
        *rules,
        "Missed wholly: structures of which no pixel was found, whatever was marked elsewhere.",
    ]
    notes = [" ".join(said), statistics.MARKS, *measure_table.notes(comparison)]
    return measure_table.table("Outlines", comparison, shown, notes, margin=margin)


def further(comparison: Comparison) -> list[Measure]:
    """The measures of the cases that do not follow from the counts, and have no table of their own."""
    return statistics.measured(comparison, besides=_ELSEWHERE)


def _columns(measure: Measure) -> list[Shown]:
    """One column; two, mean and median, for a measure without bound."""
    title = capital(measure.title)
    if measure.high <= 1:
        return [Shown(title, _over_cases(measure.name, "mean"), measure.name, 4)]
    return [
        Shown(f"{title}, {how} {measure.unit}".strip(), _over_cases(measure.name, how), tested, 2)
        for how, tested in (("mean", measure.name), ("median", ""))
    ]


def _over_cases(name: str, how: str):
    def of(configuration: Configuration, test_set: str) -> list[float]:
        return [getattr(cases[name][cases["test_set"] == test_set], how)() for cases in configuration.cases]

    return of

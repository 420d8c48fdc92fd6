"""The comparison table: one row per configuration, test sets as columns, published figures beside ours."""

from collections import Counter
from pathlib import Path

import pandas as pd

from medseg.evaluation.measures import named
from medseg.experiments.identity import fold_of
from medseg.reporting import measure_table, published_figures, statistics
from medseg.reporting.comparison import MOST, Comparison, Configuration, readable
from medseg.reporting.configuration import summary
from medseg.reporting.fragments import Cell, Column, Fragment, Row, Table, number, numeric, sentence, words

METRICS = {name: named(name).title for name in ("dice", "iou")}


def table(
    comparison: Comparison,
    published: str | Path | None = None,
    *,
    digits: int = 3,
    margin: float = statistics.MARGIN,
) -> Fragment:
    """Mean Dice and IoU of every configuration on every test set, with size, epochs, steps and training time.

    Below every mean stands its 95 % interval. What may be called best is marked (:data:`statistics.MARKS`). A
    configuration with several seeds or folds shows the standard deviation over them under its mean.

    Args:
        comparison: of scored runs.
        published: CSV with the columns of ``published_figures.COLUMNS``: one published mean (``metric`` is ``dice`` or
            ``iou``) a row; ``epochs`` and ``backbone`` may be empty, and so may ``test_set`` where all ours are meant.
            Further columns are parameters of a run, such as ``resolution``. A row belongs to the configurations of the
            same architecture (``model``), backbone and further parameters; one without is listed apart. One whose
            ``protocol`` is another than that of our data is left out.
        digits: decimals of the scores.
        margin: see :func:`medseg.reporting.statistics.differences`.
    """
    test_sets = comparison.test_sets
    figures = published_figures.read(published) if published else pd.DataFrame(columns=published_figures.COLUMNS)
    figures = published_figures.of_protocol(figures, comparison.dataset.get("protocol"))
    figures = published_figures.in_our_test_sets(figures, test_sets)
    further = [column for column in figures.columns if column not in published_figures.COLUMNS]
    shown = [(name, metric) for name in test_sets for metric in METRICS]
    columns = words("Configuration") + [Column(METRICS[metric], name) for name, metric in shown]
    columns += numeric("Parameters, M", "Epochs", "Steps", "Training")
    marks = {metric: statistics.marks(comparison, metric, margin) for metric in METRICS}
    means = {
        metric: statistics.means(comparison, metric, own=True).set_index(["run", "test_set"]).to_dict("index")
        for metric in METRICS
    }
    rows, placed = [], set()
    for c in comparison.configurations:
        own = published_figures.of_configuration(c, figures)
        placed |= set(own.index)
        cells = [Cell(c.name, note=f"{c.details}\n{_repeats(c)}".strip())]
        for name, metric in shown:
            mean = means[metric][c.label, name]
            notes = [text] if (text := statistics.interval(mean)) else []
            notes += measure_table.spreads(c.complete, name, measure_table.summarised(f"mean_{metric}"), digits)
            known = published_figures.values(own, name, metric) if len(own) else []
            notes += [f"published {value:.{digits}f}" for value in known]
            mark = marks[metric].get((c.label, name), "")
            cells.append(number(mean["mean"], digits, mark=mark, note="\n".join(notes)))
        rows.append(Row([*cells, *_cost(c)], folded=c.number >= MOST))
    apart = figures.drop(index=list(placed))
    for (model, backbone, *others), own in apart.groupby(["model", "backbone", *further], sort=False):
        values = [
            number(value[0], digits) if (value := published_figures.values(own, *key)) else Cell("") for key in shown
        ]
        epochs = own["epochs"].dropna()
        cost = [Cell(""), number(epochs.max(), 0) if len(epochs) else Cell(""), Cell(""), Cell("")]
        stated = [(key, value) for key, value in zip(further, others, strict=True) if value]
        details = ", ".join(f"{value} px" if key == "resolution" else value for key, value in stated)
        network = Cell(f"{model} {backbone}".strip(), note=f"{details}\npublished, not run here".strip())
        rows.append(Row([network, *values, *cost], muted=True))
    return Table("Mean over the test cases", columns, rows, _notes(comparison, figures)).fragment()


def left_out(comparison: Comparison) -> Fragment:
    """The given runs that are not compared, and why."""
    if not comparison.left_out:
        number = len(comparison.runs)
        return sentence(f"All {number} runs found are compared." if number > 1 else "One run was found; it is shown.")
    rows = [[*map(Cell, entry)] for entry in comparison.left_out]
    return Table("Not in this comparison", words("Run", "Reason"), rows).fragment()


def means(comparison: Comparison) -> pd.DataFrame:
    """Means of every run on every test set, one row each: run_id, configuration, seed, with folds the fold, test_set
    and the columns of :func:`medseg.reporting.configuration.summary`.
    """
    tables = []
    for c in comparison.configurations:
        for (run_id, cases), record in zip(c.cases_by_run.items(), c.records, strict=True):
            found = summary(cases)
            named = {"run_id": run_id, "configuration": c.label, "seed": record.get("seed")}
            named |= {"fold": fold_of(record)} if c.folds else {}
            for place, (name, value) in enumerate(named.items()):
                found.insert(place, name, value)
            tables.append(found)
    return pd.concat(tables, ignore_index=True)


def _repeats(configuration: Configuration) -> str:
    """``5 folds, 3 seeds``, and what is lacking."""
    counts = ((len(configuration.folds), "fold"), (len(configuration.seeds), "seed"))
    # One fold is worth a word where the others have several; one seed is the rule.
    said = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in counts if n > (word == "seed")]
    return "\n".join(filter(None, (", ".join(said), configuration.lacks)))


def _notes(comparison: Comparison, figures: pd.DataFrame) -> list[str]:
    notes = [
        "Below a mean: its 95 % interval, over groups of cases (and over trainings from three seeds on); in brackets "
        "where it is not to be relied on (groups too unequal, or cut at the measure's bounds), none where groups are "
        "fewer than six or all alike."
    ]
    if len(comparison.configurations) > 1:
        notes.append(statistics.MARKS)
    if any(len(c.seeds) > 1 for c in comparison.configurations) and not comparison.folds:
        notes.append("±: standard deviation over the seeds.")
    notes += measure_table.notes(comparison)
    same = ", ".join(f"{key.replace('_', ' ')} {readable(value)}" for key, value in comparison.constant.items())
    brought = [c.name for c in comparison.configurations if c.brought]
    if brought:
        notes.append(
            f"Brought: the masks of {', '.join(brought)} were made elsewhere and scored here, by the same rules; how "
            "they were made is not known here."
        )
    notes.append(f"Same for all runs{' trained here' if brought else ''}: {same}.")
    notes.append(f"Training time on: {measure_table.distinct(comparison.records, 'device', 'name')}.")
    unsealed = sum("cases.csv" not in record.get("tables", {}) for record in comparison.records)
    if unsealed:
        notes.append(
            f"No checksum of the tables is on record for {unsealed} of {len(comparison.records)} runs, from before "
            "there were any: whether all their rows are as they were written cannot be told."
        )
    ended = Counter(record.get("selection", {}).get("ended_by") for record in comparison.records)
    known = [f"{reason.replace('_', ' ')} ({runs})" for reason, runs in ended.most_common() if reason]
    notes += [f"What ended the training, and of how many runs: {', '.join(known)}."] if known else []
    if len(figures):
        sources = "; ".join(dict.fromkeys(figures["source"]))
        notes.append(f"Published figures: {sources}. Other code, other pictures or splits: they are for orientation.")
        if measure_table.is_sample(comparison):
            notes.append(
                "The runs above use the built-in sample pictures, the published figures real ones: they show how the "
                "table reads and say nothing about each other."
            )
    return notes


def _cost(configuration: Configuration) -> list[Cell]:
    records = configuration.records
    size = records[0].get("model", {}).get("parameters_total")
    seconds = [r.get("durations", {}).get("train_seconds") for r in records]
    seconds = [s for s in seconds if s is not None]
    mean = sum(seconds) / len(seconds) if seconds else None
    return [
        Cell("") if size is None else number(size / 1e6, 1),
        *(_span([r.get("selection", {}).get(key) for r in records]) for key in ("epochs_trained", "steps_trained")),
        Cell("" if mean is None else duration(mean), mean),
    ]


def _span(found: list[int | None]) -> Cell:
    """The lowest and the highest of several numbers, those that are not known left out."""
    known = [value for value in found if value is not None]
    ends = dict.fromkeys((min(known), max(known))) if known else {}
    return Cell("\u2013".join(map(str, ends)), min(ends, default=None))


def duration(seconds: float) -> str:
    """A time as a person says it: ``48 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"

"""The comparison table: one row per configuration, test sets as columns, published figures beside ours."""

from pathlib import Path

import pandas as pd

from medseg.evaluation.measures import named
from medseg.metrics.overlap import summarise
from medseg.reporting import published_figures, sources, statistics
from medseg.reporting.comparison import Comparison, Configuration, readable
from medseg.reporting.fragments import Fragment, sentence
from medseg.reporting.tables import Cell, Column, Row, Table, number

METRICS = {name: named(name).title for name in ("dice", "iou")}


def table(comparison: Comparison, published: str | Path | None = None, *, digits: int = 3) -> Fragment:
    """Mean Dice and IoU of every configuration on every test set, with size, epochs and training time.

    The best value of a column is bold; configurations that cannot be told apart from the best are marked. A
    configuration with several seeds shows mean and standard deviation over the seeds.

    Args:
        comparison: of scored runs.
        published: CSV with the columns of ``published_figures.COLUMNS``: one published mean (``metric`` is ``dice`` or
            ``iou``) a row; ``epochs`` and ``backbone`` may be empty, and so may ``test_set`` where all ours are meant.
            Further columns are parameters of a run, such as ``resolution``. A row belongs to the configurations of the
            same architecture (``model``), backbone and further parameters; one without is listed apart.
        digits: decimals of the scores.
    """
    figures = published_figures.read(published) if published else pd.DataFrame(columns=published_figures.COLUMNS)
    test_sets = comparison.test_sets
    figures = published_figures.in_our_test_sets(figures, test_sets)
    further = [column for column in figures.columns if column not in published_figures.COLUMNS]
    shown = [(name, metric) for name in test_sets for metric in METRICS]
    columns = [
        Column("Configuration", numeric=False),
        *(Column(METRICS[metric], name) for name, metric in shown),
        *map(Column, ("Parameters, M", "Epochs", "Training")),
    ]
    means = {(c.number, *key): value for c in comparison.configurations for key, value in _means(c).items()}
    marks = _marks(comparison, means)
    rows, placed = [], set()
    for c in comparison.configurations:
        own = published_figures.of_configuration(c, figures)
        placed |= set(own.index)
        cells = [Cell(c.name, note="\n".join(word for word in (c.details, _seeds_word(c)) if word))]
        for key in shown:
            place = (c.number, *key)
            mean, spread = means[place]
            notes = [] if spread is None else [f"± {spread:.{digits}f}"]
            notes += [f"published {value:.{digits}f}" for value in published_figures.values(own, *key)]
            cells.append(number(mean, digits, mark=marks.get(place, ""), note="\n".join(notes)))
        rows.append(Row([*cells, *_cost(c)]))
    apart = figures.drop(index=list(placed))
    for (model, backbone, *others), own in apart.groupby(["model", "backbone", *further], sort=False):
        values = [
            number(value[0], digits) if (value := published_figures.values(own, *key)) else Cell("") for key in shown
        ]
        epochs = own["epochs"].dropna()
        cost = [Cell(""), number(epochs.max(), 0) if len(epochs) else Cell(""), Cell("")]
        details = ", ".join(
            f"{value} px" if key == "resolution" else value for key, value in zip(further, others, strict=True) if value
        )
        name = Cell(
            f"{model} {backbone}".strip(), note="\n".join(word for word in (details, "published, not run here") if word)
        )
        rows.append(Row([name, *values, *cost], muted=True))
    return Table("Mean over the test cases", columns, rows, _notes(comparison, figures)).fragment()


def left_out(comparison: Comparison) -> Fragment:
    """The given runs that are not compared, and why."""
    if not comparison.left_out:
        number = len(comparison.runs)
        return sentence(f"All {number} runs found are compared." if number > 1 else "One run was found; it is shown.")
    rows = [Row([Cell(name), Cell(reason)]) for name, reason in comparison.left_out]
    columns = [Column("Run", numeric=False), Column("Reason", numeric=False)]
    return Table("Not in this comparison", columns, rows).fragment()


def means(comparison: Comparison) -> pd.DataFrame:
    """Means of every run on every test set, one row each: run_id, configuration, seed, test_set and the columns of
    :func:`medseg.metrics.overlap.summarise`.
    """
    tables = []
    for c in comparison.configurations:
        for run, seed, cases in zip(c.runs, c.seeds, c.cases, strict=True):
            summary = summarise(cases)
            for place, (name, value) in enumerate((("run_id", run.id), ("configuration", c.label), ("seed", seed))):
                summary.insert(place, name, value)
            tables.append(summary)
    return pd.concat(tables, ignore_index=True)


def _notes(comparison: Comparison, figures: pd.DataFrame) -> list[str]:
    notes = []
    if len(comparison.configurations) > 1:
        notes.append(
            "Bold: highest of its column. ≈: cannot be told apart from the highest (see the statistics of paired "
            "differences)."
        )
    if any(len(c.runs) > 1 for c in comparison.configurations):
        notes.append("±: standard deviation over the seeds.")
    notes += sources.notes(comparison)
    same = ", ".join(f"{key.replace('_', ' ')} {readable(value)}" for key, value in comparison.constant.items())
    notes.append(f"Same for all runs: {same}.")
    devices = sources.distinct([record.get("device", {}) for record in comparison.records], "name")
    notes.append(f"Training time on: {devices}.")
    if len(figures):
        notes.append(f"Published figures: {'; '.join(dict.fromkeys(figures['source']))}.")
        if sources.is_sample(comparison):
            notes.append(
                "The runs above use the built-in sample pictures, the published figures real ones: they show how the "
                "table reads and say nothing about each other."
            )
    return notes


def _means(configuration: Configuration) -> dict[tuple[str, str], tuple[float, float | None]]:
    """Mean over the seeds and its standard deviation (None for one seed), by test set and metric."""
    summaries = pd.concat([summarise(cases) for cases in configuration.cases])
    values = {}
    for test_set, part in summaries.groupby("test_set", sort=False):
        for metric in METRICS:
            column = part[f"mean_{metric}"]
            values[str(test_set), metric] = (column.mean(), column.std() if len(column) > 1 else None)
    return values


def _marks(comparison: Comparison, means: dict) -> dict[tuple[int, str, str], str]:
    marks = {}
    for metric in METRICS:
        told_apart = statistics.differences(comparison, metric)
        for test_set in comparison.test_sets:
            values = {c.number: means[c.number, test_set, metric][0] for c in comparison.configurations}
            known = {k: v for k, v in values.items() if not pd.isna(v)}
            if len(known) < 2:
                continue
            rows = told_apart[(told_apart["test_set"] == test_set) & told_apart["distinguishable"].astype(bool)]
            best, different = max(known, key=known.__getitem__), set(rows["run"])
            for c in comparison.configurations:
                if c.number == best:
                    marks[c.number, test_set, metric] = "best"
                elif c.number in known and c.label not in different:
                    marks[c.number, test_set, metric] = "tied"
    return marks


def _cost(configuration: Configuration) -> list[Cell]:
    records = configuration.records
    size = records[0].get("model", {}).get("parameters_total")
    epochs = sorted({r.get("selection", {}).get("epochs_trained") for r in records} - {None})
    seconds = [r.get("durations", {}).get("train_seconds") for r in records]
    seconds = [s for s in seconds if s is not None]
    span = "\u2013".join(dict.fromkeys(str(e) for e in (epochs[0], epochs[-1]))) if epochs else ""
    mean = sum(seconds) / len(seconds) if seconds else None
    return [
        Cell("") if size is None else number(size / 1e6, 1),
        Cell(span, epochs[0] if epochs else None),
        Cell("" if mean is None else duration(mean), mean),
    ]


def duration(seconds: float) -> str:
    """A time as a person says it: ``48 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _seeds_word(configuration: Configuration) -> str:
    return f"{len(configuration.runs)} seeds" if len(configuration.runs) > 1 else ""

"""Learning curves: one small panel per configuration, all others faint behind it."""

import math
from collections.abc import Sized
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from medseg.evaluation.measures import named
from medseg.reporting import style
from medseg.reporting.comparison import Comparison, Configuration
from medseg.reporting.fragments import Figure, Fragment, capital, sentence

_PANELS_PER_ROW = 4
_LETTER, _LINE = 7.5, 13  # CSS pixels of a letter of the details, and of a further line of them
_LETTERS = 100  # of a line of the legend
_TRAINING: dict[str, Any] = {"linewidth": 1.2, "linestyle": (0, (3, 1.5))}
_RING: dict[str, Any] = {"markersize": 7, "markerfacecolor": style.PAPER, "markeredgewidth": 1.6, "zorder": 4}


def learning(comparison: Comparison, metric: str = "dice") -> Figure | Fragment:
    """Training and validation values of ``metric``, a column of ``history.csv``, over the epochs.

    One panel per configuration; its seeds and folds share the panel. The epoch whose weights were kept is marked.
    Where no run has the column, a sentence says so instead.
    """
    trained = [c for c in comparison.best.configurations if not c.brought]
    histories = [[run.history() for run in c.runs] for c in trained]
    if not any(metric in history for group in histories for history in group):
        return sentence(f"{_title(metric)} was not recorded over the epochs of these runs.")
    histories = [[h if metric in h else h.assign(**{metric: np.nan}) for h in group] for group in histories]
    rows = math.ceil(len(histories) / _PANELS_PER_ROW)
    columns = math.ceil(len(histories) / rows)  # as few rows as possible, filled evenly
    width = style.WIDTH if columns > 1 else 560
    details = [style.in_lines(c.details, letters=int(width / columns / _LETTER)) for c in trained]
    further = max(text.count("\n") for text in details)
    with style.canvas(46 + (190 + _LINE * further) * rows if columns > 1 else 340 + _LINE * further, width) as figure:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        lines = [
            [_split(history, "validation")[["epoch", metric]].to_numpy() for history in group] for group in histories
        ]
        for place, (panel, c) in enumerate(zip(panels, trained, strict=False)):
            others = [line for number, group in enumerate(lines) if number != place for line in group]
            panel.add_collection(
                LineCollection(others, colors=style.FAINT, linewidths=1, capstyle="projecting", zorder=1)
            )
            _draw(panel, c, details[place], histories[place], metric, width / columns)
        for panel in panels[len(histories) :]:
            panel.set_visible(False)
        _limits(panels[0], histories, metric)
        for panel in panels[::columns]:
            panel.set_ylabel(_title(metric))
        ink = style.MUTED if len(histories) > 1 else style.PALETTE[0]
        handles = [
            Line2D([], [], color=ink, label="validation"),
            Line2D([], [], color=ink, label="training", **_TRAINING),
            Line2D([], [], color=ink, marker="o", linestyle="", markerfacecolor=style.PAPER, label="kept epoch"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3)
        caption = (
            f"{_title(metric)} on training and validation data over the epochs. The ring marks the epoch that was kept."
        )
        if len(histories) > 1:
            caption += " Grey: validation curves of the other configurations."
        caption += comparison.cut
        if comparison.folds:
            caption += " Every fold has a curve of its own; folds are validated on different cases."
        shown = [
            (c.label, _split(group[0], "validation")[metric].dropna())
            for c, group in zip(trained, histories, strict=True)
        ]
        spans = [f"{label} from {curve.iloc[0]:.2f} to {curve.iloc[-1]:.2f}" for label, curve in shown if len(curve)]
        alt = f"Curves of {_title(metric)} on validation data, first to last epoch: {'; '.join(spans)}."
        return style.finish(figure, caption, alt)


def learning_rate(comparison: Comparison) -> Figure | Fragment:
    """Learning rate over the epochs, on a logarithmic axis; configurations with the same schedule share a line.

    Where it never changes, a sentence says so instead.
    """
    schedules: dict[tuple[float, ...], list[Configuration]] = {}
    for c in comparison.best.configurations:
        if c.brought:
            continue
        rates = _split(c.runs[0].history(), "train")["learning_rate"]
        schedules.setdefault(tuple(rates), []).append(c)
    if all(len(set(rates)) <= 1 for rates in schedules):
        rates = sorted({rates[0] for rates in schedules if rates})
        return sentence(f"Learning rate: {', '.join(f'{rate:g}' for rate in rates)} throughout.")
    told = [style.in_lines(_together(members, schedules), letters=_LETTERS) for members in schedules.values()]
    with style.canvas(200 + 18 * sum(text.count("\n") + 1 for text in told), 720) as figure:
        axes = figure.subplots()
        for label, (rates, members) in zip(told, schedules.items(), strict=True):
            look = {"color": members[0].colour, "linestyle": style.dashes(members[0].number)}
            axes.step(range(1, len(rates) + 1), rates, where="mid", label=label, **look)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}".replace("e-0", "e-"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="Epoch", ylabel="Learning rate")
        style.plain(axes)
        figure.legend(loc="outside upper left")
        spans = [f"{_together(m, schedules)} {max(r):.1e} to {min(r):.1e}" for r, m in schedules.items() if r]
        return style.finish(
            figure, f"Learning rate over the epochs.{comparison.cut}", f"Learning rates: {'; '.join(spans)}."
        )


def _together(members: list[Configuration], schedules: Sized) -> str:
    if len(schedules) == 1 and len(members) > 1:
        return "all configurations"
    return members[0].label + (f" and {len(members) - 1} more" if len(members) > 1 else "")


def _draw(
    panel: Axes,
    configuration: Configuration,
    details: str,
    histories: list[pd.DataFrame],
    metric: str,
    width: float,
) -> None:
    """A panel of so many CSS pixels."""
    for history, record in zip(histories, configuration.records, strict=True):
        train, validation = _split(history, "train"), _split(history, "validation")
        panel.plot(train["epoch"], train[metric], color=configuration.colour, **_TRAINING)
        panel.plot(validation["epoch"], validation[metric], color=configuration.colour)
        kept = validation[validation["epoch"] == record.get("selection", {}).get("best_epoch")]
        panel.plot(kept["epoch"], kept[metric], "o", color=configuration.colour, **_RING)
    further = details.count("\n")
    title = panel.set_title(configuration.name, pad=21 + 0.75 * _LINE * further if details else None)
    panel.annotate(details, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", color=style.MUTED)
    # A long one must not run into the next panel.
    title.set_fontsize(float(title.get_fontsize()) * min(1.0, width / (10.0 * max(len(configuration.name), 1))))
    panel.set_xlabel("Epoch")
    panel.label_outer()
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    style.plain(panel)


def _limits(panel: Axes, histories: list[list[pd.DataFrame]], metric: str) -> None:
    values = pd.concat([h[metric] for group in histories for h in group]).dropna()
    if metric == "loss" and len(values):
        # One wild first epoch must not press every curve flat.
        panel.set_ylim(min(0.0, values.min()), float(np.quantile(values, 0.99)) * 1.05)
    else:
        panel.set_ylim(0, 1)


def _title(metric: str) -> str:
    return "Loss" if metric == "loss" else capital(named(metric).title)


def _split(history: pd.DataFrame, split: str) -> pd.DataFrame:
    return history[history["split"] == split]

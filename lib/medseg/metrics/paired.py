"""The cases of several runs beside each other, checked once for whatever measure is then compared."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from medseg.errors import MedsegError
from medseg.metrics.cluster_bootstrap import Estimate, Noise, estimates, training_noise
from medseg.metrics.overlap import COUNTS

KEY = ["test_set", "case_id", "class"]
ENOUGH_TRAININGS = 3  # of each side, for a statement about configurations
_DRAWS = 9999

Trainings = Sequence[pd.DataFrame]


class Scored:
    """The values of every training of every run on one test set, (cases, trainings) each.

    ``nothing``: bool of the same shapes, where nothing was to be found and nothing was found.
    """

    def __init__(
        self,
        values: Mapping[str, np.ndarray],
        nothing: Mapping[str, np.ndarray],
        groups: np.ndarray,
        lower: bool,
        bounds: tuple[float, float],
    ) -> None:
        self.values, self.groups, self.lower, self.bounds = values, groups, lower, bounds
        self._nothing = nothing
        self.perfect = bounds[0] if lower else bounds[1]

    @property
    def runs(self) -> list[str]:
        return list(self.values)

    def mean(self, run: str) -> float:
        """Over the cases of which any run has a value; NaN where there is none."""
        kept, sides = self.kept(run, among=self.runs)
        return float(sides[0].mean()) if kept.any() else float("nan")

    def estimates(
        self, wanted: Sequence[tuple[str, ...]], among: Sequence[str] = (), draws: int = _DRAWS
    ) -> list[tuple[Estimate, int]]:
        """For each of ``wanted``, one run or two: the estimate of the mean of the one, or of the first one's mean minus
        the second's; and trainings of the smaller side.
        """
        columns: dict[bytes, list[tuple[int, np.ndarray, Noise]]] = {}
        trainings = []
        for number, runs in enumerate(wanted):
            kept, sides = self.kept(*runs, among=among)
            trainings.append(min(side.shape[1] for side in sides))
            noise = Noise()
            if trainings[-1] >= ENOUGH_TRAININGS and kept.any():
                noise = training_noise(*(side.mean(axis=0) for side in sides))
            values = sides[0].mean(axis=1) - (sides[1].mean(axis=1) if len(sides) > 1 else 0)
            columns.setdefault(kept.tobytes(), []).append((number, values, noise))
        found: dict[int, Estimate] = {}
        for mask, members in columns.items():  # over the same cases, so with the same draws
            numbers, values, noises = zip(*members, strict=True)
            groups = self.groups[np.frombuffer(mask, bool)]
            found |= zip(numbers, estimates(np.column_stack(values), groups, noises=noises, draws=draws), strict=True)
        return [(found[number], trainings[number]) for number in range(len(wanted))]

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The bounds, an infinite one replaced by the largest value of any training."""
        low, high = self.bounds
        if np.isfinite(high):
            return low, high
        known = np.concatenate([each[~np.isnan(each)] for each in self.values.values()])
        return low, float(known.max(initial=low))

    @property
    def uneven(self) -> bool:
        """Whether some trainings rightly found nothing where others found something."""
        nothing = np.column_stack(list(self._nothing.values()))
        return bool((nothing.any(axis=1) & ~nothing.all(axis=1)).any())

    def one_sided(self, *runs: str) -> int:
        """Cases with nothing to find where one of two runs rightly found nothing, with every training."""
        one, other = (self._nothing[run].all(axis=1) for run in runs)
        return int((one != other).sum())

    def kept(self, *runs: str, among: Sequence[str] = ()) -> tuple[np.ndarray, list[np.ndarray]]:
        """(cases,) bool, which of them have a value in any run ``among``, or of ``runs``; of these, (kept, trainings)
        for each of ``runs``.
        """
        kept = np.logical_or.reduce([self._scored[run] for run in among or runs])
        return kept, [self._filled[run][kept] for run in runs]

    @cached_property
    def _scored(self) -> dict[str, np.ndarray]:
        """(cases,) bool of every run: which of them have a value in any of its trainings."""
        return {run: (~np.isnan(values)).any(axis=1) for run, values in self.values.items()}

    @cached_property
    def _filled(self) -> dict[str, np.ndarray]:
        """(cases, trainings) of every run, what is missing counted as perfect."""
        return {run: np.where(np.isnan(values), self.perfect, values) for run, values in self.values.items()}


class _Table(NamedTuple):
    """A training's cases: texts of :data:`KEY` and group, pixels of the truth, of the picture and of the prediction."""

    keys: pd.DataFrame
    group: np.ndarray
    truth: np.ndarray
    pixels: np.ndarray
    found: np.ndarray

    @property
    def index(self) -> pd.MultiIndex:
        return pd.MultiIndex.from_frame(self.keys)


class Paired:
    """Runs that were scored on the same cases, one or more trainings each.

    Args:
        cases_by_run: for each run the ``cases.csv`` of its trainings.

    Raises:
        MedsegError: a missing column, a case that is there twice, or runs scored on different cases or against
            different truth.
    """

    def __init__(self, cases_by_run: Mapping[str, Trainings]) -> None:
        self._cases_by_run = cases_by_run
        self._base: _Table | None = None
        #: Of every training the rows of its table in the order of the first one's.
        self._rows: dict[str, list[np.ndarray | slice]] = {}
        found: dict[str, np.ndarray] = {}  # predicted pixels, (cases, trainings) in the same order
        for run, trainings in cases_by_run.items():
            placed = [self._placed(run, cases) for cases in trainings]
            self._rows[run] = [rows for rows, _ in placed]
            found[run] = np.column_stack([own for _, own in placed])
        empty = np.zeros(0, bool) if self._base is None else self._base.truth == 0
        self._nothing = {run: empty[:, None] & (own == 0) for run, own in found.items()}

    @classmethod
    def of(cls, cases_by_run: "Mapping[str, Trainings] | Paired") -> "Paired":
        """These, where they are paired already."""
        return cases_by_run if isinstance(cases_by_run, Paired) else cls(cases_by_run)

    def __contains__(self, run: str) -> bool:
        return run in self._cases_by_run

    def __iter__(self) -> Iterator[str]:
        return iter(self._cases_by_run)

    def by_test_set(self, metric: str, lower: bool, bounds: tuple[float, float]) -> Iterator[tuple[str, Scored]]:
        """The scores of every test set by a measure.

        Raises:
            MedsegError: a run lacks it, or has a value out of its bounds.
        """
        if self._base is None:
            return
        values = {
            run: np.column_stack(
                [
                    _values(run, cases, metric, bounds)[rows]
                    for cases, rows in zip(trainings, self._rows[run], strict=True)
                ]
            )
            for run, trainings in self._cases_by_run.items()
        }
        codes, names = pd.factorize(self._base.keys["test_set"])
        for number, name in enumerate(names):
            part = codes == number
            own, empties = ({run: each[part] for run, each in every.items()} for every in (values, self._nothing))
            yield str(name), Scored(own, empties, self._base.group[part], lower, bounds)

    def _placed(self, run: str, cases: pd.DataFrame) -> tuple[np.ndarray | slice, np.ndarray]:
        table, base = _table(run, cases), self._base
        if base is None:
            _refuse_doubled(run, table.index)
            self._base = table
            return slice(None), table.found
        if table.keys.equals(base.keys):  # the rule, and much faster
            rows: np.ndarray | slice = slice(None)
        else:
            rows = self._matched(run, base.index, table.index)
        first = next(iter(self._cases_by_run))
        same = (
            (base.group == table.group[rows]) & (base.truth == table.truth[rows]) & (base.pixels == table.pixels[rows])
        )
        if not same.all():
            raise MedsegError(
                f"The runs {first} and {run} were scored against different truth: the group, the size or the number of "
                f"true pixels differs in {_named(base.index[~same])}. Score both on the same prepared dataset."
            )
        return rows, table.found[rows]

    def _matched(self, run: str, base: pd.MultiIndex, index: pd.MultiIndex) -> np.ndarray:
        """The place in ``index`` of every case of ``base``."""
        _refuse_doubled(run, index)
        first = next(iter(self._cases_by_run))
        for these, those, other in ((base, index, run), (index, base, first)):
            missing = these.difference(those, sort=False)
            if len(missing):
                raise MedsegError(
                    f"The runs {first} and {run} were scored on different cases: {_named(missing)} missing from "
                    f"{other}. Compare runs of one protocol, or score them again with 3_evaluate."
                )
        return index.get_indexer(base)


def _table(run: str, cases: pd.DataFrame) -> _Table:
    _refuse_lacking(run, cases, (*KEY, "group", *COUNTS))
    return _Table(
        cases[KEY].astype(str).fillna("").reset_index(drop=True),
        cases["group"].astype(str).fillna("").to_numpy(),
        (cases["tp"] + cases["fn"]).to_numpy(),
        cases[list(COUNTS)].sum(axis=1).to_numpy(),
        (cases["tp"] + cases["fp"]).to_numpy(),
    )


def _values(run: str, cases: pd.DataFrame, metric: str, bounds: tuple[float, float]) -> np.ndarray:
    """(cases,) float64."""
    _refuse_lacking(run, cases, (metric,))
    values = cases[metric].to_numpy(float)
    if ((values < bounds[0]) | (values > bounds[1])).any():
        raise MedsegError(
            f"{metric} of run {run} is not a score between {bounds[0]:g} and {bounds[1]:g} and cannot be compared here."
        )
    return values


def _refuse_lacking(run: str, cases: pd.DataFrame, columns: Iterable[str]) -> None:
    if absent := [column for column in columns if column not in cases.columns]:
        raise MedsegError(f"The cases of run {run} lack the column(s) {', '.join(absent)}. Score it with 3_evaluate.")


def _refuse_doubled(run: str, index: pd.MultiIndex) -> None:
    doubled = index[index.duplicated()].unique()
    if len(doubled):
        raise MedsegError(f"The cases of run {run} hold {_named(doubled)} more than once. Score it again.")


def _named(keys: pd.MultiIndex) -> str:
    named = [" / ".join(key) for key in keys[:10]]
    return ", ".join(named) + (f" and {len(keys) - 10} more" if len(keys) > 10 else "")

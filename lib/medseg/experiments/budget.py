"""The limits of a training besides its epochs: steps and minutes; decided once for all frameworks.

A step is a batch of as many pictures as ``batch_size`` asks for, whether or not the weights change after it. Minutes
are those of the epochs, validation included; not those in which a notebook starts, loads data or builds a network.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medseg.experiments.outcome import batches


@dataclass(frozen=True)
class Budget:
    """What a training may use; 0 is no limit. It ends with the epoch in which the first limit is reached.

    Since it ends, and goes on after a kill, at the end of an epoch, ``steps_per_epoch`` and the seconds in the history
    say at any time what was used.
    """

    max_steps: int = 0
    max_minutes: float = 0.0
    steps_per_epoch: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, Any], batches_per_epoch: int) -> "Budget":
        """That of a training's parameters; those of before there were budgets have no limit.

        Args:
            batches_per_epoch: of the training pictures, in batches as they are trained on. Where they were halved for
                lack of memory, two of them are a step.
        """
        share = batches(parameters)[0] / parameters["batch_size"]
        steps = max(1, math.ceil(round(batches_per_epoch * share, 6)))
        return cls(parameters.get("max_steps", 0), parameters.get("max_minutes", 0.0), steps)

    def used_up(self, epochs: int, seconds: float) -> str:
        """The limit that is reached after so many epochs and seconds: max_steps, max_minutes, or nothing."""
        return next((name for name, used, limit in self._limits(epochs, seconds) if used >= limit), "")

    def progress(self, epochs: int, seconds: float) -> tuple[int, int, str] | None:
        """Done, total and a few words, of the limit that is nearest; None where there is none."""
        limits = self._limits(epochs, seconds)
        if not limits:
            return None
        name, used, limit = max(limits, key=lambda entry: entry[1] / entry[2])
        words = f"step {used:.0f}/{limit:.0f}" if name == "max_steps" else f"{used / 60:.1f}/{limit / 60:g} min"
        return min(round(used), math.ceil(limit)), math.ceil(limit), words

    def _limits(self, epochs: int, seconds: float) -> list[tuple[str, float, float]]:
        steps = ("max_steps", epochs * self.steps_per_epoch, self.max_steps)
        every = (steps, ("max_minutes", seconds, 60 * self.max_minutes))
        return [(name, used, limit) for name, used, limit in every if limit]

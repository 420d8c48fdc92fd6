"""The people whose hands are imagined."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

#: One number, 0 or more, or several such numbers.
Seed = int | Sequence[int]


def generator(seed: Seed, *further: int) -> np.random.Generator:
    """A source of randomness of its own for each purpose, named by ``further`` numbers."""
    return np.random.default_rng([*np.atleast_1d(seed), *further])


@dataclass(frozen=True)
class Patient:
    """Who is imagined; ``age`` in years, ``weight`` in kg, ``height`` in cm."""

    sex: Literal["F", "M"]
    age: int
    weight: float
    height: float

    @property
    def body_mass_index(self) -> float:
        """kg / m^2."""
        return self.weight / (self.height / 100) ** 2


def imagine_patient(seed: Seed) -> Patient:
    """A grown-up; women are smaller. The same seed gives the same person."""
    rng = generator(seed, 1)
    sex: Literal["F", "M"] = "F" if rng.random() < 0.5 else "M"
    height = rng.normal(*((162, 5.0) if sex == "F" else (175, 5.5)))
    index = np.clip(rng.normal(22 if sex == "F" else 24, 2.8), 17.5, 33)
    age = int(rng.integers(20, 70))
    return Patient(sex, age, round(float(index * (height / 100) ** 2), 1), round(float(height), 1))

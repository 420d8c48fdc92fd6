"""What is known of the patients: sex, age, weight and height from a table with Korean or English headings."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medseg import project
from medseg.datasets.folders import entries, plain_name
from medseg.datasets.texts import read_rows
from medseg.errors import MedsegError

FACTS = ("sex", "age", "weight", "height")
EXPECTED = "a table with the headings ID, age, sex, weight, height, or ID, 나이, 성별, 체중, 키, in any order"

_HEADINGS = {
    "id": ("id", "patientid", "patient", "환자id", "환자번호"),
    "age": ("age", "나이", "연령"),
    "sex": ("sex", "gender", "성별"),
    "weight": ("weight", "bodyweight", "체중", "몸무게"),
    "height": ("height", "bodyheight", "stature", "키", "신장"),
}
_SEXES = {
    **dict.fromkeys(("m", "male", "man", "남", "남자", "남성"), "M"),
    **dict.fromkeys(("f", "female", "woman", "여", "여자", "여성"), "F"),
}
_UNITS: dict[str, dict[str, float]] = {
    "age": dict.fromkeys(("", "y", "yr", "yrs", "year", "years", "yearsold", "세", "살"), 1.0),
    "weight": {"": 1.0, "kg": 1.0, "kgs": 1.0, "킬로": 1.0, "g": 1e-3, "lb": 0.45359237, "lbs": 0.45359237},
    "height": {"": 1.0, "cm": 1.0, "센티": 1.0, "m": 100.0, "mm": 0.1},
}
_LIMITS = {"age": (0, 120, "years"), "weight": (1, 400, "kg"), "height": (30, 260, "cm")}
_UNKNOWN = ("", "-", "--", "?", "nan", "na", "n/a", "none", "null", "unknown", "미상", "모름")


@dataclass(frozen=True)
class Patient:
    """One patient: sex (``F``, ``M``), age in years, weight in kg, height in cm; "" where not known."""

    sex: str = ""
    age: float | str = ""
    weight: float | str = ""
    height: float | str = ""


@dataclass(frozen=True)
class PatientTable:
    """A table as read, from ``file`` (None where there is none): the patients by :func:`patient_key`.

    ``problems`` are cells and lines that could not be read, with the reason.
    """

    file: Path | None = None
    patients: Mapping[str, Patient] = field(default_factory=dict)
    problems: Sequence[tuple[str, str]] = ()


def patient_key(name: str) -> str:
    """What is the same for one patient however written: ``ID001``, ``id1``, ``1`` and ``1.0`` agree."""
    plain = unicodedata.normalize("NFKC", name).strip().casefold()
    number = re.fullmatch(r"(?:id)?[\s_-]*0*([0-9]+)(?:\.0+)?", plain)
    return number[1] if number else plain


def find(folders: Sequence[Path]) -> Path | None:
    """The first ``meta_data.xlsx``, else ``.csv``, else ``.xls``, in the first of ``folders`` that holds one."""
    for folder in folders:
        named = [entry for entry in entries(folder) if plain_name(entry.stem) == "metadata" and entry.is_file()]
        for suffix in (".xlsx", ".csv", ".xls"):
            if found := [entry for entry in named if entry.suffix.casefold() == suffix]:
                return found[0]
    return None


def read(path: Path) -> PatientTable:
    """Read a table of patients.

    Headings count whatever their case, punctuation and remarks in brackets; ``height (m)`` also gives the unit of bare
    numbers, which are else years, kg and cm. Cells may carry a unit of their own. What cannot be read stays unknown and
    is listed in ``problems``. Raises MedsegError: the file cannot be read, has no column of patients or one heading
    twice, gives one patient different facts, or says the sexes in numbers.
    """
    rows = [[_clean(cell) for cell in row] for row in read_rows(path)]
    lines = [(number, row) for number, row in enumerate(rows, 1) if any(row)]
    where = project.display(path)
    if not lines:
        raise MedsegError(f"The table {where} is empty; expected {EXPECTED}.")
    columns = _columns(lines[0][1], where)
    patients: dict[str, Patient] = {}
    problems: list[tuple[str, str]] = []
    seen: dict[str, int] = {}
    for number, row in lines[1:]:
        cells = {name: row[place] if place < len(row) else "" for name, (place, _) in columns.items()}
        if cells["id"].casefold() in _UNKNOWN:
            problems.append((f"{path.name}: line {number}", "has no ID"))
            continue
        if re.fullmatch(r"[0-9]+(\.0+)?", sex := cells.get("sex", "")):
            raise MedsegError(
                f"Line {number} of {where} gives the sex as {sex!r}: which number means which is not said, and will "
                "not be guessed. Write F and M (or 여 and 남) into the table."
            )
        facts: dict[str, Any] = {}
        for name in FACTS:
            try:
                facts[name] = _fact(name, cells.get(name, ""), columns.get(name, (0, ""))[1])
            except ValueError as error:
                facts[name] = ""
                problems.append((f"{path.name}: line {number}, {name} of {cells['id']}", str(error)))
        patient, key = Patient(**facts), patient_key(cells["id"])
        if patients.setdefault(key, patient) != patient:
            raise MedsegError(
                f"{where} describes the patient {cells['id']} twice and differently, in the lines {seen[key]} and "
                f"{number}. Keep the right line."
            )
        seen.setdefault(key, number)
    return PatientTable(path, patients, problems)


def _clean(cell: str) -> str:
    """Without control characters (the published table has some in its sexes), in composed form."""
    visible = "".join(" " if c.isspace() else c for c in cell if c.isspace() or unicodedata.category(c)[0] != "C")
    return unicodedata.normalize("NFKC", visible).strip()


def _columns(headings: Sequence[str], where: str) -> dict[str, tuple[int, str]]:
    """For each known heading its place and the unit that it names, if any."""
    found: dict[str, tuple[int, str]] = {}
    for place, heading in enumerate(headings):
        remark = re.search(r"[(\[](.*?)[)\]]", heading)
        bare = "".join(c for c in re.sub(r"[(\[].*?([)\]]|$)", "", heading).casefold() if c.isalnum())
        for name, known in _HEADINGS.items():
            if bare not in known:
                continue
            if name in found:
                raise MedsegError(f"{where} has two columns for {name}: {headings[found[name][0]]} and {heading}.")
            unit = remark[1].strip().casefold() if remark else ""
            found[name] = (place, unit if unit in _UNITS.get(name, {}) else "")
    if "id" not in found:
        listed = ", ".join(filter(None, headings))[:200]
        raise MedsegError(f"{where} has no column ID; its first line reads: {listed}. Expected {EXPECTED}.")
    return found


def _fact(name: str, cell: str, unit: str) -> float | str:
    if cell.casefold() in _UNKNOWN:
        return ""
    if name == "sex":
        if sex := _SEXES.get(cell.casefold().rstrip(".")):
            return sex
        raise ValueError(f"{cell[:40]!r} is not understood, expected F or M, 여 or 남; left empty")
    lowest, highest, wanted = _LIMITS[name]
    number = re.fullmatch(r"([0-9]+(?:[.,][0-9]+)?)\s*(\D*)", cell)
    own_unit = number[2].casefold().replace(" ", "").rstrip(".") if number else ""
    if number is None or own_unit not in _UNITS[name]:
        raise ValueError(f"{cell[:40]!r} is not a number of {wanted}; left empty")
    value = round(float(number[1].replace(",", ".")) * _UNITS[name][own_unit or unit], 2)
    if not lowest <= value <= highest:
        raise ValueError(f"{cell[:40]!r} is not between {lowest} and {highest} {wanted}; left empty")
    return int(value) if value.is_integer() else value

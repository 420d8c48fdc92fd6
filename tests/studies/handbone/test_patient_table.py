import io
import zipfile
from pathlib import Path

import openpyxl
import pytest

from medseg.errors import MedsegError
from medseg.studies.handbone import patient_table
from medseg.studies.handbone.patient_table import Patient, patient_key

KOREAN = ["ID", "나이", "성별", "체중(몸무게)", "키(신장)", "Unnamed: 5"]


def write_csv(path: Path, *rows, encoding="utf-8-sig", delimiter=",") -> Path:
    path.write_bytes("".join(delimiter.join(map(str, row)) + "\r\n" for row in rows).encode(encoding))
    return path


def write_xlsx(path: Path, *rows: list, doctype: str = "") -> Path:
    """A workbook whose first sheet holds ``rows``, its parts headed by ``doctype``."""
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.create_sheet("other").append(["ID"])
    book.save(buffer)
    with zipfile.ZipFile(buffer) as made, zipfile.ZipFile(path, "w") as archive:
        for name in made.namelist():
            archive.writestr(name, doctype.encode() + made.read(name))
    return path


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_korean_headings_as_published(tmp_path, kind):
    # The published workbook holds a backspace in some sexes, which xlsx writes as _x0008_.
    rows = [
        KOREAN,
        [1, 44, "남", 90.3, 174.7],
        [2, 31, "_x0008_여" if kind == "xlsx" else "\b여", 52, None, "네일아트"],
    ]
    if kind == "csv":
        path = write_csv(tmp_path / "meta_data.csv", *([v if v is not None else "" for v in row] for row in rows))
    else:
        path = write_xlsx(tmp_path / "meta_data.xlsx", *rows)
    table = patient_table.read(path)
    assert table.patients == {"1": Patient("M", 44, 90.3, 174.7), "2": Patient("F", 31, 52, "")}
    assert not table.problems
    assert isinstance(table.patients["1"].age, int)


def test_headings_in_any_order_case_and_encoding(tmp_path):
    english = write_csv(
        tmp_path / "a.csv", ["Height (m)", " SEX ", "note", "patient_ID", "Age"],
        ["1.75", "Male", "x", "ID 007", "30 years"],
        delimiter=";",
    )  # fmt: skip
    assert patient_table.read(english).patients == {"7": Patient("M", 30, "", 175)}
    korean = write_csv(tmp_path / "b.csv", ["성별", "나이", "ID"], ["여자", "25세", "ID010"], encoding="cp949")
    assert patient_table.read(korean).patients == {"10": Patient("F", 25)}


def test_numbers_may_carry_units_and_nonsense_is_listed(tmp_path):
    path = write_csv(
        tmp_path / "t.csv", ["id", "age", "weight", "height", "sex"],
        [1, "44 y", "60,5kg", "170 cm", "f"], [2, "old", "150 lb", "1.7m", "diverse"], [3, "-", "3 stone", "1.7", ""],
        ["", "3", "", "", ""],
        delimiter="\t",
    )  # fmt: skip
    table = patient_table.read(path)
    assert table.patients == {"1": Patient("F", 44, 60.5, 170), "2": Patient("", "", 68.04, 170), "3": Patient()}
    assert [place for place, _ in table.problems] == [
        "t.csv: line 3, sex of 2", "t.csv: line 3, age of 2", "t.csv: line 4, weight of 3",
        "t.csv: line 4, height of 3", "t.csv: line 5",
    ]  # fmt: skip
    reasons = dict(table.problems)
    assert "'1.7' is not between 30 and 260 cm" in reasons["t.csv: line 4, height of 3"]
    assert "'3 stone' is not a number of kg" in reasons["t.csv: line 4, weight of 3"]


@pytest.mark.parametrize("code", ["0", "1", "2.0"])
def test_sexes_in_numbers_are_not_guessed(tmp_path, code):
    path = write_csv(tmp_path / "t.csv", ["ID", "sex"], ["ID001", code])
    with pytest.raises(MedsegError, match=r"Line 2 of .*t.csv gives the sex as '.*will not be guessed. Write F and M"):
        patient_table.read(path)


def test_a_patient_twice_must_be_the_same_patient(tmp_path):
    same = write_csv(tmp_path / "a.csv", ["ID", "age"], ["ID001", 30], [1, "30"])
    assert patient_table.read(same).patients == {"1": Patient("", 30)}
    other = write_csv(tmp_path / "b.csv", ["ID", "age"], ["ID001", 30], ["ID002", 5], [1, 31])
    with pytest.raises(MedsegError, match="the patient 1 twice and differently, in the lines 2 and 4"):
        patient_table.read(other)


def test_names_of_one_patient():
    assert {patient_key(name) for name in ("ID001", "id1", " 1 ", "1.0", "ID_01", "\uff29\uff24\uff11")} == {"1"}
    assert patient_key("0") == patient_key("ID000") == "0"
    assert len({patient_key(name) for name in ("ID10", "ID1", "ID01a", "A1", "1.5")}) == 5


def test_tables_that_cannot_be_read_say_why(tmp_path):
    file = tmp_path / "t.xlsx"
    cases = {
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest": "old format .xls. or has a password. Save it as xlsx",
        b"PK\x03\x04 but no archive": "damaged or of a kind that is not read",
        b"": "is empty; expected a table with the headings ID, age",
        b"name,age\nA,3\n": "no column ID; its first line reads: name, age",
        b"id,age,Age (years)\nA,3,4\n": "two columns for age: age and Age",
    }
    for data, message in cases.items():
        file.write_bytes(data)
        with pytest.raises(MedsegError, match=message.replace("(", r"\(")):
            patient_table.read(file)
    with pytest.raises(MedsegError, match="No such file"):
        patient_table.read(tmp_path / "gone.csv")


def test_a_workbook_expands_no_entities(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "1111111111"><!ENTITY b "&a;&a;&a;&a;">]>'
    with pytest.raises(MedsegError, match="it holds a DOCTYPE"):
        patient_table.read(write_xlsx(tmp_path / "t.xlsx", ["ID"], [1], doctype=bomb))


def test_the_workbook_comes_before_the_csv_and_hidden_files_do_not_count(tmp_path):
    assert patient_table.find([tmp_path]) is None
    (tmp_path / "train").mkdir()
    for name in ("train/meta_data.csv", ".~lock.meta_data.xlsx#", "metadata_old.csv"):
        (tmp_path / name).touch()
    assert patient_table.find([tmp_path, tmp_path / "train"]) == tmp_path / "train" / "meta_data.csv"
    (tmp_path / "Meta-Data.CSV").touch()
    (tmp_path / "meta_data.xlsx").touch()
    assert patient_table.find([tmp_path, tmp_path / "train"]) == tmp_path / "meta_data.xlsx"

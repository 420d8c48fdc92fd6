"""Cells of small tables, from CSV files and from Excel workbooks (Office Open XML, ECMA-376).

Everything comes as text: what a cell means is for the reader of the table to say.
"""

import csv
import io
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from medseg import project
from medseg.datasets.text_encoding import decoded
from medseg.errors import MedsegError

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_LARGEST = 64 * 2**20  # bytes of one unpacked part; a table of patients has a few kilobytes
_COLUMNS = 16_384  # of an Excel sheet
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")  # how a workbook writes a control character


def read_rows(path: Path) -> list[list[str]]:
    """Rows of a CSV file (comma, semicolon or tab; any common encoding) or of the first sheet of a workbook.

    Rows may differ in length. Numbers of a workbook come as it holds them (``60.5``); formulas by their last result;
    cells in error are empty.

    Raises:
        MedsegError: the file cannot be read, is damaged, or is of Excel's old format or encrypted.
    """
    where = project.display(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MedsegError(f"The table {where} cannot be read: {error.strerror or error}.") from error
    if data.startswith(_OLE):
        raise MedsegError(
            f"The table {where} is a workbook of Excel's old format (xls) or has a password. Save it as xlsx without a "
            "password, or as CSV."
        )
    try:
        return _workbook(data) if data.startswith(_ZIP) else _csv(decoded(data))
    except (
        *(csv.Error, zipfile.BadZipFile, zlib.error, ElementTree.ParseError),
        *(ValueError, KeyError, IndexError, EOFError, RuntimeError),  # RuntimeError: a part is encrypted
    ) as error:
        raise MedsegError(
            f"The table {where} is damaged or of a kind that is not read ({error}). Save it as xlsx or as CSV anew."
        ) from error


def _csv(text: str) -> list[list[str]]:
    heading = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=heading.count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def _workbook(data: bytes) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        workbook = _part(archive, "xl/workbook.xml")
        relation = next(_named(workbook, "sheet")).get(_RELATION)
        targets = {r.get("Id"): r.get("Target", "") for r in _part(archive, "xl/_rels/workbook.xml.rels")}
        sheet = _part(archive, str(PurePosixPath("/xl") / targets.get(relation, "worksheets/sheet1.xml")).lstrip("/"))
        shared = []
        if "xl/sharedStrings.xml" in archive.namelist():
            shared = [_text(item) for item in _named(_part(archive, "xl/sharedStrings.xml"), "si")]
    return [_row(row, shared) for row in _named(sheet, "row")]


def _row(row: ElementTree.Element, shared: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in _named(row, "c"):
        reference = re.match("[A-Z]+", cell.get("r", ""))
        place = _column(reference[0]) if reference else len(cells)  # empty cells are left out of the file
        if place >= _COLUMNS:
            raise ValueError(f"a cell in column {place + 1}")
        cells += [""] * (place + 1 - len(cells))
        kind, value = cell.get("t", "n"), next(_named(cell, "v"), None)
        if kind == "inlineStr":
            cells[place] = _text(cell)
        elif value is not None and value.text and kind != "e":
            cells[place] = shared[int(value.text)] if kind == "s" else _unescaped(value.text)
    return cells


def _column(letters: str) -> int:
    """Number from 0 of a column: A is 0, Z 25, AA 26."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _text(item: ElementTree.Element) -> str:
    """Text of a string, whose parts may be formatted differently; phonetic hints (rPh) are not part of it."""
    hints = {id(text) for hint in _named(item, "rPh") for text in _named(hint, "t")}
    return _unescaped("".join(text.text or "" for text in _named(item, "t") if id(text) not in hints))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _named(element: ElementTree.Element, name: str):
    """Elements below by their local name: the two variants of the format differ in their namespaces."""
    return (found for found in element.iter() if found.tag.rpartition("}")[2] == name)


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > _LARGEST:
        raise ValueError(f"{name} is larger than {_LARGEST // 2**20} MiB")
    return ElementTree.fromstring(archive.read(name), ElementTree.XMLParser(target=_NoDoctype()))


class _NoDoctype(ElementTree.TreeBuilder):
    """Entities are defined in a DOCTYPE; a workbook has none."""

    def doctype(self, name: str, pubid: str, system: str) -> None:
        raise ValueError("it holds a DOCTYPE")

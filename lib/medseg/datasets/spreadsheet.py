"""Cells of small tables, from CSV files and from Excel workbooks.

Everything comes as text: what a cell means is for the reader of the table to say.
"""

import csv
import io
import warnings
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

import openpyxl
from openpyxl.utils.escape import unescape
from openpyxl.utils.exceptions import InvalidFileException

from medseg import project
from medseg.datasets.text_encoding import decoded
from medseg.errors import MedsegError

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_LARGEST = 64 * 2**20  # bytes of one unpacked part; a table of patients has a few kilobytes


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
        *(ValueError, KeyError, IndexError, EOFError, TypeError, InvalidFileException),
        RuntimeError,  # a part is encrypted
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
        for part in archive.infolist():
            if part.file_size > _LARGEST:
                raise ValueError(f"{part.filename} is larger than {_LARGEST // 2**20} MiB")
            # Entities are defined in a DOCTYPE; a workbook has none.
            if part.filename.endswith((".xml", ".rels")) and b"<!DOCTYPE" in archive.read(part)[:4096]:
                raise ValueError("it holds a DOCTYPE")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions, which say nothing of the values
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    rows = [list(map(_text, row)) for row in book.worksheets[0].iter_rows(values_only=True)]
    while rows and not any(rows[-1]):
        rows.pop()
    return rows


def _text(value: object) -> str:
    """A cell as text; nothing for an empty one and for one in error (``#N/A``)."""
    if value is None or (isinstance(value, str) and value.startswith("#")):
        return ""
    return unescape(str(value))

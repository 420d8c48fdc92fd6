"""Texts that people wrote: their encoding, keys (YAML), lists for the preparation (CSV), tables of any headings.

A list is in UTF-8 or EUC-KR, and its first line names the columns. The cells of a table, CSV or Excel, come as text.
"""

import codecs
import csv
import io
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import openpyxl
import yaml
from openpyxl.utils.escape import unescape
from openpyxl.utils.exceptions import InvalidFileException

from medseg import project
from medseg.errors import MedsegError

# Name and codec. Korean text in EUC-KR is no valid UTF-8, so the order decides nothing else; CP949 is EUC-KR with the
# syllables that Windows adds.
_ENCODINGS = (("utf-8", "utf-8-sig"), ("euc-kr", "cp949"))
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16 does, so it is asked first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_LARGEST = 64 * 2**20  # bytes of one unpacked part; a table of patients has a few kilobytes


def utf8_or_korean(data: bytes) -> tuple[str, str]:
    """Text of ``data``, and ``utf-8`` or ``euc-kr``, in which it is written; UnicodeError where it is in neither."""
    for name, codec in _ENCODINGS:
        try:
            return data.decode(codec), name
        except UnicodeDecodeError:
            continue
    raise UnicodeError("neither in UTF-8 nor in EUC-KR")


def decoded(data: bytes) -> str:
    """Text of ``data``, whatever wrote it; never fails, though of a file that is no text no text will come.

    A byte order mark decides; else UTF-8, else Windows code page 949 (Korean; holds EUC-KR), else Windows-1252.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return utf8_or_korean(data)[0]
    except UnicodeError:
        return data.decode("cp1252", "replace")


def file_bytes(path: Path, what: str = "", expected: str = "") -> bytes:
    """Content of a file, by default called by its path in the MedsegError that it raises where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        what = what or project.display(path)
        raise MedsegError(f"{what} cannot be read: {error.strerror or error}{expected}.") from error


def read_keys(path: Path, expected: str) -> dict[str, Any]:
    """Keys and values of a YAML file; a MedsegError, with the keys that are ``expected``, where it holds none."""
    here = project.display(path)
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MedsegError(f"{here} cannot be read as YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(raw, dict):
        raise MedsegError(f"{here}: found {type(raw).__name__}, expected keys such as {expected}.")
    return raw


def read_list(path: Path, columns: Sequence[str], what: str) -> list[tuple[int, dict[str, str]]]:
    """Read a list; see :func:`parse_list`. MedsegError also where it cannot be read."""
    return parse_list(file_bytes(path, what, f"; {_wanted(columns)}"), columns, what)


def parse_list(
    data: bytes,
    columns: Sequence[str],
    what: str,
    *,
    optional: Sequence[str] = (),
    aliases: Mapping[str, str] | None = None,
) -> list[tuple[int, dict[str, str]]]:
    """Read the bytes of a list; messages call it ``what``, such as ``The corrections FILE``.

    It must have ``columns`` and may have ``optional`` ones, given in lower case; there in any order and case, a blank
    for ``_`` will do, and others are passed over. ``aliases`` are other names of columns. Cells are parted by commas,
    semicolons or tabs, as the first line is. Gives the number of each line that is not empty, and its cells by column,
    without blanks around them. Raises MedsegError: another encoding, no CSV, or a column is missing.
    """
    wanted = _wanted((*columns, *optional))
    try:
        text = utf8_or_korean(data)[0]
        source = io.StringIO(text, newline="")
        reader = csv.reader(source, delimiter=_delimiter(text), strict=True, skipinitialspace=True)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except UnicodeError as error:
        raise MedsegError(f"{what} cannot be read: it is {error}. Save it again as 'CSV UTF-8'; {wanted}.") from error
    except csv.Error as error:
        raise MedsegError(f"{what} cannot be read, it is not a valid CSV file: {error}; {wanted}.") from error
    if not lines:
        raise MedsegError(f"{what} has the columns (none), it is empty; {wanted}.")
    names = ["_".join(name.casefold().split()) for name in lines[0][1]]
    headings = [(aliases or {}).get(name, name) for name in names]
    if missing := [name for name in columns if name not in headings]:
        without = f", without {missing[0]}" if len(missing) < len(columns) else ""
        raise MedsegError(f"{what} has the columns {', '.join(lines[0][1])[:200] or '(none)'}{without}; {wanted}.")
    empty = dict.fromkeys((*columns, *optional), "")
    return [(number, empty | dict(zip(headings, row, strict=False))) for number, row in lines[1:] if any(row)]


def _wanted(columns: Sequence[str]) -> str:
    return f"expected a CSV file with the columns {','.join(columns)}"


def read_rows(path: Path) -> list[list[str]]:
    """Rows of a CSV file (comma, semicolon or tab; any common encoding) or of the first sheet of a workbook.

    Rows may differ in length. Numbers of a workbook come as it holds them (``60.5``); formulas by their last result;
    cells in error are empty. Raises MedsegError: the file cannot be read, is damaged, or is of Excel's old format or
    encrypted.
    """
    where = project.display(path)
    data = file_bytes(path, f"The table {where}")
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
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))


def _delimiter(text: str) -> str:
    """Comma, semicolon or tab: what the first line with content has most of."""
    heading = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=heading.count)


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
    if value is None or (isinstance(value, str) and value.startswith("#")):  # empty, or in error (#N/A)
        return ""
    return unescape(str(value))

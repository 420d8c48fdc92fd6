"""Lists that a user writes beside the data: CSV files in UTF-8 or EUC-KR, whose first line names the columns."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.datasets.text_encoding import utf8_or_korean
from medseg.errors import MedsegError


def read(path: Path, columns: Sequence[str], what: str, **options: Any) -> list[tuple[int, dict[str, str]]]:
    """Read a list; see :func:`parse`.

    Raises:
        MedsegError: it cannot be read, or as :func:`parse`.
    """
    try:
        return parse(path.read_bytes(), columns, what, **options)
    except OSError as error:
        raise MedsegError(f"{what} cannot be read: {error.strerror or error}; {_wanted(columns)}.") from error


def parse(
    data: bytes,
    columns: Sequence[str],
    what: str,
    *,
    optional: Sequence[str] = (),
    aliases: Mapping[str, str] | None = None,
) -> list[tuple[int, dict[str, str]]]:
    """Read the bytes of a list.

    Args:
        data: the file.
        columns: that it must have, lower case; in any order and case, and others are passed over.
        what: what messages call it, such as ``The corrections FILE``.
        optional: columns that it may have.
        aliases: other names of columns.

    Returns:
        Number of each line that is not empty, and its cells by column, without blanks around them; "" where there is
        none.

    Raises:
        MedsegError: another encoding, no CSV, or a column is missing.
    """
    wanted = _wanted((*columns, *optional))
    try:
        reader = csv.reader(io.StringIO(utf8_or_korean(data)[0], newline=""), strict=True, skipinitialspace=True)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except UnicodeError as error:
        raise MedsegError(f"{what} cannot be read: it is {error}. Save it again as 'CSV UTF-8'; {wanted}.") from error
    except csv.Error as error:
        raise MedsegError(f"{what} cannot be read, it is not a valid CSV file: {error}; {wanted}.") from error
    if not lines:
        raise MedsegError(f"{what} has the columns (none), it is empty; {wanted}.")
    headings = [(aliases or {}).get(name.casefold(), name.casefold()) for name in lines[0][1]]
    missing = [name for name in columns if name not in headings]
    if missing:
        without = f", without {missing[0]}" if len(missing) < len(columns) else ""
        raise MedsegError(f"{what} has the columns {', '.join(lines[0][1])[:200] or '(none)'}{without}; {wanted}.")
    empty = dict.fromkeys((*columns, *optional), "")
    return [(number, empty | dict(zip(headings, row, strict=False))) for number, row in lines[1:] if any(row)]


def _wanted(columns: Sequence[str]) -> str:
    return f"expected a CSV file with the columns {','.join(columns)}"

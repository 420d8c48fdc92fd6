"""The pictures to predict: a file, a folder of them, a list; DICOM files of one or several frames, videos."""

import csv
from dataclasses import dataclass
from pathlib import Path

from medseg import project
from medseg.datasets import dicom, spacing
from medseg.datasets.folders import is_picture
from medseg.datasets.index import PreparedDataset
from medseg.errors import MedsegError

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".mpg", ".mpeg", ".wmv", ".webm")
DICOM = ".dcm"
#: Columns of a list that may name its files, in the order in which they are looked for; else the first one does.
FILE_COLUMNS = ("image", "picture", "file", "path", "image_name")


@dataclass(frozen=True)
class Source:
    """A file to predict: a picture, a DICOM file or a video.

    Attributes:
        path: of the file.
        name: of what is written for it: its path below the folder that was given, without the ending.
        spacing: height and width of a pixel, mm, where a list says so.
    """

    path: Path
    name: str
    spacing: tuple[float, float] | None = None

    @property
    def file(self) -> str:
        """For a person: the name with its ending."""
        return self.name if self.name.endswith(self.path.suffix) else self.name + self.path.suffix

    @property
    def is_video(self) -> bool:
        return self.path.suffix.casefold() in VIDEOS

    @property
    def is_dicom(self) -> bool:
        return _is_dicom(self.path)

    def frames(self) -> list[int | None]:
        """Numbers of the frames of a DICOM file of several, from 0; [None] of a picture. BadFile: not to be read."""
        count = dicom.count_frames(self.path) if self.is_dicom else 1
        return [None] if count == 1 else list(range(count))

    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of a pixel, mm, where the list or the header of a DICOM file says them."""
        if self.spacing is None and self.is_dicom and (known := spacing.read(self.path)):
            return known.y, known.x
        return self.spacing


def find(pictures: Path) -> list[Source]:
    """What lies at ``pictures``: one file, all pictures, DICOM files and videos below a folder, or a CSV list.

    A list names a file a row, relative to itself, in a column of :data:`FILE_COLUMNS` or its first, and may say
    ``spacing_y_mm`` and ``spacing_x_mm``. Two files that differ in their endings alone keep them in their names.

    Raises:
        MedsegError: nothing there, no picture below the folder, or a list that cannot be read or names no file.
    """
    shown = project.display(pictures)
    if pictures.is_dir():
        files = sorted(path for path in pictures.rglob("*") if path.is_file() and _usable(path))
        if not files:
            raise MedsegError(
                f"{shown} holds no picture, DICOM file ({DICOM}) or video ({', '.join(VIDEOS)}). Give the folder, file "
                "or CSV list to predict."
            )
        return _named([(path, path.relative_to(pictures), None) for path in files])
    if not pictures.is_file():
        raise MedsegError(f"There is nothing at {shown}. Give the folder, file or CSV list to predict.")
    if pictures.suffix.casefold() == ".csv":
        return _named(_listed(pictures))
    return _named([(pictures, Path(pictures.name), None)])


def of_test_cases(dataset: PreparedDataset) -> list[Source]:
    """The test pictures of a prepared dataset, by their cases, as if they were new; a MedsegError without any."""
    rows = dataset.split("test")
    if rows.empty:
        raise MedsegError(f"{project.display(dataset.folder)} has no test pictures. Name pictures to predict.")
    return [Source(dataset.path(row["image"]), row["case_id"]) for _, row in rows.iterrows()]


def _usable(path: Path) -> bool:
    return not path.name.startswith(".") and (is_picture(path) or path.suffix.casefold() in VIDEOS or _is_dicom(path))


def _is_dicom(path: Path) -> bool:
    """By its ending, or where it has none by the mark of such files."""
    if path.suffix:
        return path.suffix.casefold() == DICOM
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _named(files: list[tuple[Path, Path, tuple[float, float] | None]]) -> list[Source]:
    plain = [relative.with_suffix("").as_posix() for _, relative, _ in files]
    twice = {name for name in plain if plain.count(name) > 1} if len(set(plain)) < len(plain) else set()
    sources = [
        Source(path, relative.as_posix() if name in twice else name, size)
        for (path, relative, size), name in zip(files, plain, strict=True)
    ]
    if len({source.name for source in sources}) < len(sources):
        raise MedsegError("The list names a file more than once. Name each once.")
    return sources


def _listed(path: Path) -> list[tuple[Path, Path, tuple[float, float] | None]]:
    shown = project.display(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MedsegError(f"The list {shown} cannot be read ({error}). Save it as CSV in UTF-8.") from error
    columns = list(rows[0]) if rows else []
    if not columns:
        raise MedsegError(f"The list {shown} has no row below its header. Name a file in each.")
    column = next((name for name in FILE_COLUMNS if name in columns), columns[0])
    found = []
    for line, row in enumerate(rows, 2):
        written = (row[column] or "").strip()
        if not written:
            raise MedsegError(f"{shown}, line {line}: the column {column} is empty, expected the name of a file.")
        file = (path.parent / written).resolve() if not Path(written).is_absolute() else Path(written)
        relative = Path(written) if not Path(written).is_absolute() and ".." not in written else Path(file.name)
        found.append((file, relative, _size_of(row, f"{shown}, line {line}")))
    return found


def _size_of(row: dict[str, str], where: str) -> tuple[float, float] | None:
    given = [row.get(f"spacing_{axis}_mm") for axis in "yx"]
    if not any(given):
        return None
    try:
        height, width = (float(value or "nan") for value in given)
    except ValueError:
        height = width = 0.0
    if not (0 < height < 100 and 0 < width < 100):
        raise MedsegError(f"{where}: spacing_y_mm and spacing_x_mm are {given}, expected two sizes of a pixel in mm.")
    return height, width

"""Where each mask stands in a submission, so that files whose rows are in another order can be read side by side."""

import hashlib
from array import array
from pathlib import Path

import numpy as np

from medseg import project
from medseg.errors import MedsegError
from medseg.masks import submission


class SubmissionIndex:
    """A submission whose masks are read on demand; use it as a context.

    Kept in memory are 20 bytes a row (a digest of its names, its places in the file and in the order) and no code.

    Attributes:
        path: of the file.
        offsets: int64, the byte where each row begins, in the order of the file.
    """

    def __init__(self, path: Path) -> None:
        """Read the names of all rows.

        Raises:
            MedsegError: as :func:`medseg.masks.submission.read`.
        """
        self.path = path
        self._file = submission.opened(path)
        digests, offsets = array("Q"), array("q")
        try:
            place = self._file.tell()
            for number, line in enumerate(self._file, 2):
                if not line.isspace():
                    row = submission.parse(line, path, number)
                    digests.append(_digest(row.image_name, row.class_name))
                    offsets.append(place)
                place += len(line)
            self.offsets = np.frombuffer(offsets, np.int64) if offsets else np.empty(0, np.int64)
            unsorted = np.frombuffer(digests, np.uint64) if digests else np.empty(0, np.uint64)
            self._order = np.argsort(unsorted, kind="stable").astype(np.int32)
            self._digests = unsorted[self._order]
            self._refuse_doubles()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "SubmissionIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.offsets)

    def row(self, number: int) -> submission.Row:
        """The row at a position in the order of the file, from 0."""
        return self._at(int(self.offsets[number]))

    def find(self, image_name: str, class_name: str) -> int:
        """The position of a mask in the order of the file, or -1 where it is missing."""
        digest = np.uint64(_digest(image_name, class_name))
        place = int(np.searchsorted(self._digests, digest))
        return int(self._order[place]) if place < len(self) and self._digests[place] == digest else -1

    def line(self, number: int) -> int:
        """The line of a row, counted from 1, for messages."""
        self._file.seek(0)
        ahead = int(self.offsets[number])
        lines = 1
        while ahead > 0:
            block = self._file.read(min(ahead, 1 << 20))
            ahead -= len(block)
            lines += block.count(b"\n")
        return lines

    def _at(self, offset: int) -> submission.Row:
        self._file.seek(offset)
        return submission.parse(self._file.readline(), self.path, 0)

    def _refuse_doubles(self) -> None:
        equal = np.flatnonzero(self._digests[1:] == self._digests[:-1])
        if equal.size:
            # The sort is stable: of two equal rows the earlier one stands first.
            first, second = int(self._order[equal[0]]), int(self._order[equal[0] + 1])
            raise submission.twice(self.path, self.line(second), self.row(second), self.line(first))


def missing(index: SubmissionIndex, other: SubmissionIndex) -> list[str]:
    """Names, "class of image", of the masks that ``index`` lacks and ``other`` holds, in the order of ``other``."""
    absent = np.sort(other._order[~np.isin(other._digests, index._digests)])
    return [f"{row.class_name} of {row.image_name}" for row in map(other.row, absent.tolist())]


def check_same_masks(indices: list[SubmissionIndex]) -> None:
    """Assert that all files hold the same masks.

    Raises:
        MedsegError: names the file and the masks it lacks.
    """
    for index in indices:
        for other in indices:
            absent = missing(index, other)
            if absent:
                shown = ", ".join(absent[:10]) + (f" and {len(absent) - 10} more" if len(absent) > 10 else "")
                raise MedsegError(
                    f"{project.display(index.path)} has no row for {shown}; {project.display(other.path)} has. "
                    "Expected the same pictures and classes in every submission, with an empty code for an empty "
                    "mask. Predict the missing ones, or leave the file out."
                )


def _digest(image_name: str, class_name: str) -> int:
    # 64 bits: among a million rows, two agree by chance once in 30 million files.
    names = f"{image_name}\n{class_name}".encode()
    return int.from_bytes(hashlib.blake2b(names, digest_size=8).digest(), "big")

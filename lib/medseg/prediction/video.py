"""Videos: their frames one after the other, and a video of pictures."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from medseg import atomic
from medseg.datasets.folders import BadFile
from medseg.errors import MedsegError

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # it tells of damaged files what is told here
#: Codecs in the order in which they are tried: VP9 plays in browsers, MPEG-4 is in every build of OpenCV.
_CODECS = ("vp09", "mp4v")


def frames(path: Path) -> Iterator[np.ndarray]:
    """The frames of a video one after the other, (H, W, 3) uint8 RGB; BadFile where there is none."""
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise BadFile("not a video that OpenCV can read, or damaged", path)
        number = 0
        while True:
            there, frame = capture.read()
            if not there:
                break
            number += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if not number:
            raise BadFile("holds no frame that can be read", path)
    finally:
        capture.release()


def length(path: Path) -> tuple[int, float]:
    """Frames of a video by its header, 0 where it does not say, and frames a second, 25 where it does not say."""
    capture = cv2.VideoCapture(str(path))
    count, rate = (capture.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))
    capture.release()
    return max(int(count), 0), rate if 0 < rate < 1000 else 25.0


class VideoWriter(AbstractContextManager["VideoWriter"]):
    """Writes an mp4 file, which is there when the block ends well; ``rate`` is in frames a second."""

    def __init__(self, path: Path, rate: float) -> None:
        self._path, self._rate = path, rate
        self._partial = path.with_name(f".{path.stem}.partial.mp4")
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def add(self, picture: np.ndarray) -> None:
        """The next frame, (H, W, 3) uint8 RGB, of the size of the first one; MedsegError where it cannot be written."""
        if self._writer is None:
            self._size = picture.shape[1], picture.shape[0]
            self._writer = self._opened()
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if error is None:
            with atomic.explained(self._path):
                self._partial.replace(self._path)
        self._partial.unlink(missing_ok=True)

    def _opened(self) -> cv2.VideoWriter:
        with atomic.explained(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        for codec in _CODECS:
            code = cv2.VideoWriter.fourcc(*codec)
            writer = cv2.VideoWriter(str(self._partial), code, self._rate, self._size)
            if writer.isOpened():
                return writer
        raise MedsegError(f"OpenCV cannot write {self._path.name}: none of the codecs {', '.join(_CODECS)} is there.")

"""Write a sample of drawn data into a folder, once: as a whole, in several threads, with a mark of what it is."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from medseg import atomic, project
from medseg.errors import MedsegError

MARKER = "sample.json"


def write(
    folder: Path,
    marker: Mapping[str, Any],
    jobs: Callable[[Path], Iterable[Callable[[], None]]],
    finish: Callable[[Path], None],
) -> Path:
    """Fill ``folder`` unless it holds this very sample already; returns it.

    Args:
        folder: new, empty, or an earlier sample, which is replaced as a whole.
        marker: what the sample is; kept as :data:`MARKER`, and compared with the one that is there.
        jobs: gives what is to be drawn into the folder that it gets, in any order and at the same time.
        finish: writes what is left when all of that is done.

    Raises:
        MedsegError: ``folder`` holds something other than sample data, or the disk refused.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise MedsegError(
                f"{project.display(folder)} exists and holds something other than sample data; it would be replaced "
                "as a whole. Choose a new or an empty folder."
            )
        if _read(folder / MARKER) == marker:
            return folder
    with atomic.replacing_folder(folder) as draft:
        # OpenCV and NumPy release the interpreter while they draw.
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
            started = [pool.submit(job) for job in jobs(draft)]
            try:
                for job in started:
                    job.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        finish(draft)
        atomic.write_json(draft / MARKER, dict(marker))
    return folder


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError:
        return None

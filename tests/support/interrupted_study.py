"""A project with one study whose training takes no time, to be killed, cut and filled up in every place.

The study is as that of ``tests/studies/test_toy_study.py``, but that its training goes on from checkpoints.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pandas as pd
import psutil
import toy_cells
from nbformat import v4

from medseg import project
from medseg.datasets import index

MODULES = {
    "__init__": '"""Levels."""\n',
    "study": """
from medseg.registry import Study, Training

STUDY = Study(
    name="toy", label="binary", prepare="none:none",
    trainings=(Training("2_train", "NumPy", "", "medseg.studies.toy.level"),),
)
""",
    "level": """
import io, json, os, time
from types import SimpleNamespace

import numpy as np

from medseg import atomic, project
from medseg.experiments import outcome
from medseg.experiments.history import History

DEVICE = SimpleNamespace(
    kind="cpu", name="none", precision="fp32", count=1, peak_memory_mb=lambda: {}, is_out_of_memory=lambda error: False,
)
MODEL = SimpleNamespace(weights="random", parameters_total=1, parameters_trainable=1)

def save(path, **arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    atomic.write_bytes(path, buffer.getvalue())

def read_state(run):
    path = run.checkpoints / "last.npz"
    if not path.is_file():
        return None
    with outcome.reading(path), np.load(path) as content:
        return json.loads(str(content["state"]))

def wait_where_held(epoch):
    hold = project.root() / "hold"
    if hold.exists() and epoch == 2:
        (project.root() / "pid").write_text(str(os.getpid()))
        while hold.exists():
            time.sleep(0.05)

def train(run, parameters):
    def fit(state):
        history = History(run, parameters["max_epochs"], "dice")
        history.restore(state)
        level = 90 + history.epoch
        while not history.ending():
            epoch, level = history.epoch + 1, level + 1
            for split in ("train", "validation"):
                figures = {"loss": 1 / epoch, "dice": 1 - 1 / epoch, "iou": 1 - 1 / epoch}
                history.add(epoch, split, figures, 0.1, 0.1)
            save(run.checkpoints / "best.npz", level=level)
            state = json.dumps(history.state(ended=bool(history.ending())))
            save(run.checkpoints / "last.npz", level=level, state=np.array(state))
            history.write()
            wait_where_held(epoch)

    asked = {**parameters, "batch_size": 1, "accumulate": 1, "architecture": "level"}
    outcome.train(run, MODEL, asked, DEVICE, read_state, fit, metric="dice", rule="best", lower=None)

def load_predictor(run, device):
    path = run.checkpoints / "best.npz"
    try:
        with np.load(path) as content:
            level = float(content["level"])
    except Exception as error:
        raise outcome.unusable(path, error) from error
    return lambda pictures: [(p.mean(axis=2) > level).astype(np.float32) for p in pictures]
""",
}
NOTEBOOKS = {
    "2_train": (
        "data: str = 'data/toy'  # dataset\nmax_epochs: int = 4  # lines of the history\nseed: int = 1  # of nothing",
        *toy_cells.TRAIN,
    ),
    "3_evaluate": toy_cells.EVALUATE,
    "4_results": toy_cells.RESULTS,
}
#: Every process of a test knows the temporary project, has a full disk where the file ``full`` names a file, and a
#: clock that is as many seconds ahead as the file ``ahead`` says.
START = """
import errno, os, time
from pathlib import Path
from medseg import project, studies
root = Path({root!r})
project.root = lambda: root
studies.__path__.append(str(root / "studies"))
write_bytes = Path.write_bytes
def written(path, data):
    full = root / "full"
    if full.exists() and full.read_text() in path.name:
        raise OSError(errno.ENOSPC, "No space left on device")
    return write_bytes(path, data)
Path.write_bytes = written
if (root / "ahead").exists():
    ahead = float((root / "ahead").read_text())
    clock, clock_ns, replace = time.time, time.time_ns, os.replace
    time.time = lambda: clock() + ahead
    time.time_ns = lambda: clock_ns() + int(ahead * 1e9)
    def replaced(source, target, **options):
        os.utime(source, (time.time(), time.time()))
        replace(source, target, **options)
    os.replace = replaced
"""


class Toy:
    """The project at ``root``; the processes of its sweeps are known by that folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, source in MODULES.items():
            self._write(f"studies/toy/{name}.py", source)
        self._write("start/sitecustomize.py", START.format(root=str(root)))
        self._write("sweep.yaml", "study: toy\ntitle: Toy\ntrain: 2_train\ndata: data/toy\n")
        for name, (parameters, *cells) in NOTEBOOKS.items():
            kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
            notebook = v4.new_notebook(metadata={"kernelspec": kernel})
            notebook.cells = [v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
            notebook.cells += [v4.new_code_cell(cell) for cell in cells]
            path = root / "notebooks" / "toy" / f"{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, path)
        self.prepare()
        library = str(Path(project.__file__).parents[1])
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "start"), library])}
        self.environment.pop(project.RUNS_VARIABLE, None)
        self._known: set[psutil.Process] = set()

    def _write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, "utf-8")

    def prepare(self, bright: int = 170) -> None:
        """Write the dataset: nine pictures of a bright disc."""
        with index.writing(self.root / "data" / "toy", study="toy", name="discs", classes=["disc"]) as draft:
            for number in range(9):
                mask = np.zeros((24, 32), np.uint8)
                cv2.circle(mask, (10 + number, 12), 5 + number % 4, 255, -1)
                picture = cv2.merge([np.where(mask > 0, bright, 60).astype(np.uint8)] * 3)
                picture[:3] = 240  # brighter than any disc
                names = {"image": f"images/{number}.png", "label": f"labels/{number}.png"}
                draft.write_file(names["image"], cv2.imencode(".png", picture)[1].tobytes())
                draft.write_file(names["label"], cv2.imencode(".png", mask)[1].tobytes())
                split = index.SPLITS[number % 3]
                row = {"case_id": str(number), **names, "group": str(number), "split": split, "fold": -1}
                draft.rows.append({**row, "test_set": "discs" if split == "test" else ""})

    @property
    def run(self) -> Path:
        """The folder of its one run."""
        (folder,) = (self.root / "reports" / "runs" / "toy").iterdir()
        return folder

    def start(self, *options: str) -> subprocess.Popen:
        """Begin the sweep."""
        command = [sys.executable, "-m", "medseg.cli", "sweep", str(self.root / "sweep.yaml"), "--no-report", *options]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.root,
            start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def sweep(self, *options: str) -> tuple[int, str]:
        """The sweep from its beginning to its end: exit code, and what was said, its white space as single blanks.

        Without a report, unless ``--report`` is among the ``options``.
        """
        process = self.start(*options)
        said, _ = process.communicate(timeout=600)
        return process.returncode, " ".join(said.split())

    def set_clock(self, ahead: float) -> None:
        """Let the clock of what is started from now on be ``ahead``, seconds."""
        (self.root / "ahead").write_text(str(ahead))

    @property
    def report(self) -> Path:
        """The page of its sweep."""
        return self.root / "reports" / "toy-sweep.html"

    def evaluate(self, run: Path) -> tuple[int, str]:
        """``3_evaluate`` of a run by hand: exit code and errors."""
        notebook, out = self.root / "notebooks" / "toy" / "3_evaluate.ipynb", self.root / "evaluated.ipynb"
        command = [sys.executable, "-m", "papermill", str(notebook), str(out), "-p", "run_id", str(run)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, cwd=self.root, timeout=600)
        return done.returncode, done.stderr

    def hold(self) -> None:
        """Let the training wait after its second epoch."""
        (self.root / "hold").touch()

    def release(self) -> None:
        """Let it go on."""
        (self.root / "hold").unlink()

    def held(self, process: subprocess.Popen) -> psutil.Process:
        """Wait until the training waits; gives the process of its kernel."""
        pid = self.root / "pid"
        while not pid.exists() or not pid.read_text():
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.05)
        kernel = psutil.Process(int(pid.read_text()))
        pid.unlink()
        return kernel

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """``history.csv`` and ``cases.csv``."""
        return tuple(pd.read_csv(self.run / name) for name in ("history.csv", "cases.csv"))

    def left(self) -> list[psutil.Process]:
        """The processes of the project that are still there after some seconds."""
        for _ in range(200):
            if not (found := self.processes()):
                break
            time.sleep(0.1)
        return found

    def processes(self) -> list[psutil.Process]:
        """Those of the project. One that was seen stays until it has ended: its environment goes before its locks."""
        self._known.update(process for process in psutil.process_iter() if self._is_mine(process))
        self._known = {process for process in self._known if self._is_there(process)}
        return list(self._known)

    def _is_there(self, process: psutil.Process) -> bool:
        try:
            # Its first thread may be gone while others, which share its files and so its locks, are still to end.
            ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
            return process.is_running() and not ended
        except psutil.Error:
            return False

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            return process.pid != os.getpid() and str(self.root / "start") in process.environ().get("PYTHONPATH", "")
        except psutil.Error:
            return False

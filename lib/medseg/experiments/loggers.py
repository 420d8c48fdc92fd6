"""Further places for the figures of a training, beside ``history.csv`` and never instead of it.

TensorBoard's event files are written with its own records and messages, without TensorFlow or PyTorch. wandb and mlflow
are used where the user installed them. A logger that fails is left out of the rest of the training, and that is said.
"""

import importlib.util
import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from PIL import Image

from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.names import did_you_mean


class Logger(Protocol):
    """One place that figures go to; ``step`` is the epoch, from 1."""

    def begin(self, step: int) -> None:
        """A training begins, or goes on, with an epoch; what was logged of it and later ones counts no more."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of an epoch, by ``COLUMN/SPLIT``."""

    def picture(self, step: int, tag: str, data: bytes) -> None:
        """A picture, as the bytes of a PNG or JPEG file."""


class TensorBoard:
    """An event file in the run's folder, which is its name in TensorBoard; each call adds to it and closes it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._file = run.folder / f"events.out.tfevents.{time.time():.0f}.{run.id}"

    def begin(self, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self._write(0, file_version="brain.Event:2")
        self._write(step, session_log=SessionLog(status=SessionLog.START))
        record = self._run.record
        words = {"run": self._run.id, **record.get("parameters", {}), "commit": (record.get("git") or {}).get("commit")}
        text = "\n".join(f"- **{name}**: {json.dumps(value, ensure_ascii=False)}" for name, value in words.items())
        self._write(step, summary=_text("parameters", text))

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        listed = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step, summary=Summary(value=listed))

    def picture(self, step: int, tag: str, data: bytes) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        with Image.open(io.BytesIO(data)) as image:
            size = image.size
        drawn = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=data)
        self._write(step, summary=Summary(value=[Summary.Value(tag=tag, image=drawn)]))

    def _write(self, step: int, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        event = Event(wall_time=time.time(), step=step, **content)
        with self._file.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())


class Wandb:
    """A run of Weights & Biases of the same id, in the project ``medseg-STUDY``."""

    def __init__(self, run: Run) -> None:
        import wandb

        record, self._wandb = run.record, wandb
        self._run = wandb.init(
            project=f"medseg-{record['study']}", id=run.id, name=run.id, config=record["parameters"],
            dir=str(run.folder), resume="allow",
        )  # fmt: skip

    def begin(self, step: int) -> None:
        """It goes on by the id."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, step: int, tag: str, data: bytes) -> None:
        self._run.log({tag: self._wandb.Image(Image.open(io.BytesIO(data)))}, step=step)


class Mlflow:
    """A run of MLflow of the same name, in the experiment ``medseg-STUDY``."""

    def __init__(self, run: Run) -> None:
        import mlflow

        record, self._mlflow = run.record, mlflow
        mlflow.set_experiment(f"medseg-{record['study']}")
        mlflow.start_run(run_name=run.id)
        mlflow.log_params({name: str(value)[:500] for name, value in record["parameters"].items()})

    def begin(self, step: int) -> None:
        """Steps that are logged again stand beside the earlier ones."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def picture(self, step: int, tag: str, data: bytes) -> None:
        self._mlflow.log_image(Image.open(io.BytesIO(data)), f"{tag}-{step:04d}.png")


LOGGERS: dict[str, type[Any]] = {"tensorboard": TensorBoard, "wandb": Wandb, "mlflow": Mlflow}


def check(names: Sequence[str]) -> None:
    """MedsegError where there is no such logger, or it is not installed."""
    for name in names:
        if name not in LOGGERS:
            raise MedsegError(
                f"There is no logger {name!r}.{did_you_mean(name, LOGGERS)} There are {', '.join(LOGGERS)}."
            )
        if importlib.util.find_spec(name) is None:
            raise MedsegError(
                f"The logger {name} is not installed. Install it ('uv pip install {name}'), or leave it out."
            )


class Loggers:
    """The loggers that a run's parameter ``logger`` names; one that fails is left out, and that is printed."""

    def __init__(self, run: Run) -> None:
        self._run, self._names = run, list(run.record.get("parameters", {}).get("logger", ()))
        self._open: dict[str, Logger] | None = None

    def begin(self, step: int) -> None:
        """See :class:`Logger`."""
        self._each("begin", step)

    def epoch(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log the rows of one epoch of a history."""
        values = {
            name if name in ("learning_rate", "seconds") else f"{name}/{row['split']}": float(value)
            for row in rows
            for name, value in row.items()
            if name not in ("epoch", "split")
        }
        self._each("figures", rows[0]["epoch"], values)

    def picture(self, step: int, tag: str, data: bytes) -> None:
        """See :class:`Logger`."""
        self._each("picture", step, tag, data)

    def _each(self, method: str, *arguments: Any) -> None:
        for name in list(self._names):
            try:
                if self._open is None:
                    self._open = {}
                if name not in self._open:
                    self._open[name] = LOGGERS[name](self._run)
                getattr(self._open[name], method)(*arguments)
            except Exception as error:  # a server that cannot be reached must not end a training
                self._names.remove(name)
                print(f"logger {name} stopped: {type(error).__name__}: {str(error)[:200]}")


def log_picture(run: Run, tag: str, data: bytes) -> None:
    """Log a picture of the checkpoint that is kept of a finished training, the bytes of a PNG or JPEG file."""
    step = run.record.get("selection", {}).get("best_epoch", 0)
    Loggers(run).picture(step, tag, data)


def _text(tag: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=shape)
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])

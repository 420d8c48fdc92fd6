"""What happens at the end of each epoch besides training: history, progress, checkpoints, validation pictures.

A kill cannot spoil a checkpoint. ``best.h5`` holds the weights as Keras itself saves them; ``last.npz`` all that
training goes on from: weights, the optimizer's variables, and the state of the loop as JSON. Neither needs pickle.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import tensorflow as tf
import tf_keras

from medseg import atomic
from medseg.datasets.augmentation.warp import plain_resize
from medseg.datasets.frames import Frames
from medseg.datasets.index import PreparedDataset
from medseg.experiments import checkpoints, schedules
from medseg.experiments.history import History
from medseg.experiments.runs import Run
from medseg.keras_legacy.data import Preprocess
from medseg.masks import outlines
from medseg.tf_shared import npz

#: Attributes in which Keras's own callbacks keep their place.
_KEPT = {
    "EarlyStopping": ("wait", "best", "best_epoch", "stopped_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
}
_TILE = 192  # side of a validation picture, pixels


class Bookkeeping(tf_keras.callbacks.Callback):
    """Keeps ``history.csv``, ``best.h5`` and ``last.npz`` in step, shows one line of progress, and ends the training
    with the epoch in which a limit is reached; ``due`` says when ``last.npz`` is written.

    After a kill training goes on from ``state``, see :func:`medseg.tf_shared.npz.read_state`: the rows and the place of
    the ``others`` (callbacks of ``_KEPT``). Put it behind them in the list of callbacks: it saves what they reach at
    the end of an epoch, and gives it back after they have reset themselves.
    """

    def __init__(
        self,
        run: Run,
        history: History,
        seed: int,
        others: list[tf_keras.callbacks.Callback],
        state: Mapping[str, Any] | None,
        due: checkpoints.Due,
    ) -> None:
        super().__init__()
        self._run, self._history, self._seed, self._due = run, history, seed, due
        self._others, self._state = others, state

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self._state:
            for callback, kept in zip(self._others, self._state["callbacks"], strict=True):
                vars(callback).update(kept)
        self._history.begin()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.model.begin_epoch(self._seed, epoch)
        self._started = time.monotonic()
        self._learning_rate = float(str(self.model.optimizer.learning_rate.numpy()))  # 0.001 and not 0.0010000000475

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        seconds = time.monotonic() - self._started
        for split, prefix in (("train", ""), ("validation", "val_")):
            figures = {name: float(logs[prefix + name]) for name in ("loss", "dice", "iou")}
            self._history.add(epoch + 1, split, figures, self._learning_rate, seconds)
        best = self._history.best("iou")
        if improved := bool(best and best["epoch"] == epoch + 1):
            save_best(self.model, self._run.checkpoints / "best.h5")
        if self._history.ending():
            self.model.stop_training = True
        if self._due.now(improved=improved, ended=self.model.stop_training):
            self._save_last()
            self._due.written()
        self._history.write()

    def _save_last(self) -> None:
        # Some are numbers of NumPy, which JSON cannot say.
        places = [
            {name: np.asarray(vars(callback)[name]).item() for name in _KEPT[type(callback).__name__]}
            for callback in self._others
        ]
        state = {**self._history.state(ended=self.model.stop_training), "callbacks": places}
        save_last(self.model, state, self._run.checkpoints / "last.npz")


def save_best(network: tf_keras.Model, path: Path) -> None:
    """Write the weights of ``network`` to ``path``, a HDF5 file."""
    with atomic.replacing_file(path) as temporary:
        network.save_weights(temporary, save_format="h5")


def lower_precision(path: Path, precision: str) -> None:
    """Write the kernels of a file of ``save_best`` as float16; see :func:`checkpoints.halved`."""
    with atomic.replacing_file(path) as temporary, h5py.File(path) as content, h5py.File(temporary, "w") as smaller:
        smaller.attrs.update(content.attrs)

        def copy(name: str, entry: h5py.Group | h5py.Dataset) -> None:
            if isinstance(entry, h5py.Dataset):
                target = smaller.create_dataset(name, data=checkpoints.halved(np.asarray(entry[()])))
            else:
                target = smaller.require_group(name)
            target.attrs.update(entry.attrs)

        content.visititems(copy)


def save_last(network: tf_keras.Model, state: dict[str, Any], path: Path) -> None:
    """Write the compiled ``network``, its optimizer and ``state`` (what JSON can say, NaN and infinity included)."""
    npz.write(path, _variables(network), state)


def restore(network: tf_keras.Model, path: Path) -> None:
    """Give the compiled ``network`` and its optimizer the values in ``path``; a :class:`MedsegError` if damaged."""
    network.optimizer.build(network.trainable_variables)
    npz.assign(path, _variables(network))


def _variables(network: tf_keras.Model) -> dict[str, tf.Variable]:
    optimizer = network.optimizer
    # Keras does not count the learning rate among the variables: number of steps, moments.
    optimizer_variables = [*optimizer.variables, optimizer.learning_rate]
    if isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        scale = optimizer._loss_scale
        optimizer_variables += [scale.current_loss_scale, scale.counter]
    return {**npz.numbered("network", network.weights), **npz.numbered("optimizer", optimizer_variables)}


class ReduceLROnPlateau(tf_keras.callbacks.ReduceLROnPlateau):
    """Keras's own, from epoch ``begin`` on (from 0): not while the rate still rises."""

    def __init__(self, monitor: str, begin: int, **options: Any) -> None:
        super().__init__(monitor, **options)
        self._begin = begin

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch >= self._begin:
            super().on_epoch_end(epoch, logs)


class LearningRate(tf_keras.callbacks.Callback):
    """Sets the rate of each epoch by the schedule and the warm-up of a training's ``parameters``.

    With the schedule ``plateau`` that of the warm-up and of the first epoch after it alone.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self._rate, self._schedule = parameters["learning_rate"], parameters["schedule"]
        self._options = {
            "max_epochs": parameters["max_epochs"],
            "restart_epochs": parameters.get("restart_epochs", 10),
            "restart_factor": parameters.get("restart_factor", 1),
            "warmup_epochs": parameters.get("warmup_epochs", 0),
        }

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self._schedule != "plateau" or epoch <= self._options["warmup_epochs"]:
            rate = self._rate * schedules.factor(epoch, self._schedule, **self._options)
            self.model.optimizer.learning_rate.assign(rate)


class ValidationPictures(tf_keras.callbacks.Callback):
    """After each epoch, a strip of validation frames with the outlines of truth (green) and prediction (orange).

    ``validation/epoch-0001.jpg`` and so on in the run folder. The frames stay the same: ``count`` of them, evenly
    spaced over the split.
    """

    def __init__(
        self, run: Run, dataset: PreparedDataset, preprocess: Preprocess, resolution: int, count: int = 4
    ) -> None:
        super().__init__()
        rows = dataset.split("validation")
        frames = Frames(dataset, rows.iloc[:: max(1, len(rows) // count)].head(count), budget=0)
        pairs = [plain_resize(*frames[number], resolution) for number in range(len(frames))]
        self._pictures, self._masks = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        self._folder, self._preprocess = run.folder / "validation", preprocess

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logits = self.model(tf.constant(self._preprocess(self._pictures)), training=False).numpy()[..., 0]
        predicted = (logits > 0).astype(np.uint8)
        strip = np.hstack([_outlined(*item) for item in zip(self._pictures, self._masks, predicted, strict=True)])
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(strip, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
        atomic.write_bytes(self._folder / f"epoch-{epoch + 1:04d}.jpg", jpeg.tobytes())


def _outlined(picture: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    size = (_TILE, _TILE)
    tile = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for mask, colour in ((truth, outlines.TRUTH), (predicted, outlines.PREDICTED)):
        outlines.draw(tile, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), colour)
    return tile

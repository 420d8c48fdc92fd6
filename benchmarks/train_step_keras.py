"""The three ways of ``train_step.py`` in Keras 3: TransUNet on maps of classes."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from train_step_clock import Clock, Memory
from train_step_data import repeated

from medseg.datasets.index import PreparedDataset
from medseg.experiments import runs
from medseg.keras import training
from medseg.keras.augment import parse
from medseg.keras.data import training_batches
from medseg.keras.losses import build_loss
from medseg.keras.models import BuiltModel, build_model
from medseg.keras.steps import Steps
from medseg.studies.gastric import prepare as gastric
from medseg.tf_shared import device as devices
from phantoms.gastric.sample import write_gastric_sample

AHEAD = 3  # batches that tf.data makes ahead


class DeviceMemory(Memory):
    """That of a GPU."""

    there = True

    def begin(self) -> None:
        tf.config.experimental.reset_memory_stats("GPU:0")
        self._before = tf.config.experimental.get_memory_info("GPU:0")["current"]

    def peak(self) -> float:
        return float(tf.config.experimental.get_memory_info("GPU:0")["peak"] - self._before)


def measure(study: str, stage: str, parameters: Mapping[str, Any], steps: int, folder: Path, tiny: bool) -> Clock:
    """Turns of the three ways; ``parameters`` are those of the training notebook ``stage``."""
    device = devices.choose(parameters["device"], parameters["precision"])
    raw = write_gastric_sample(folder / "raw", patients=4 if tiny else 8)
    drawn = gastric.prepare(raw, folder / "data", overlay="published", outputs=())
    of_a_turn = min(steps, 5)
    clock = Clock(
        "ours",
        {},
        steps=of_a_turn,
        ahead=AHEAD + parameters["workers"],
        rounds=-(-steps // of_a_turn),
        synchronise=tf.test.experimental.sync_devices if device.kind == "cuda" else lambda: None,
        memory=DeviceMemory() if device.kind == "cuda" else Memory(),
    )
    dataset = repeated(drawn, clock.total * parameters["batch_size"])
    clock.others["straightforward"] = published_step(dataset, parameters, _built(parameters, drawn, device))
    clock.others["ceiling"] = ceiling_step(dataset, parameters, _built(parameters, drawn, device))
    ours(study, stage, parameters, dataset, _built(parameters, drawn, device), clock)
    return clock


def _built(parameters: Mapping[str, Any], drawn: PreparedDataset, device: devices.Device) -> BuiltModel:
    names = ("size", "variant", "encoder_trainable", "resolution", "norm_momentum", "seed")
    chosen = {name: parameters[name] for name in names}
    return build_model(device, num_classes=1 + len(drawn.info["classes"]), **chosen)


def ours(
    study: str,
    stage: str,
    parameters: Mapping[str, Any],
    dataset: PreparedDataset,
    model: BuiltModel,
    clock: Clock,
) -> None:
    """Train as the notebook does for two epochs: the first fills caches, the second is measured."""
    done = itertools.count(1)

    class Clocked(Steps):
        """Tells the clock of each step."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            step = self._train

            def stepped(batches: Iterator) -> None:
                step(batches)
                number = next(done)
                if number > clock.total:
                    clock.stepped()
                elif number == clock.total:
                    clock.start()

            self._train = stepped

    parameters = {**parameters, "max_epochs": 2}
    run = runs.prepare_run(study, stage, parameters, dataset)
    training.Steps = Clocked  # type: ignore[misc]
    try:
        with runs.training(run, study, stage, parameters, dataset):
            training.train(run, model, dataset, parameters)
    finally:
        training.Steps = Steps  # type: ignore[misc]


def ceiling_step(dataset: PreparedDataset, parameters: Mapping[str, Any], model: BuiltModel) -> Callable[[], None]:
    """Forward pass, loss, backward pass and optimizer of the network, the loss and the data of ours, on the device."""
    network = model.network
    loss = build_loss(parameters["cross_entropy_weight"], parameters["dice_weight"])
    optimizer = keras.optimizers.SGD(parameters["learning_rate"], momentum=0.9)
    optimizer.build(network.trainable_variables)
    options = {name: parameters[name] for name in ("resolution", "batch_size", "seed")}
    made = training_batches(dataset, augmentation=parse(parameters["augmentation"]), **options)
    batch = [tf.identity(part) for part in next(iter(made.dataset))]

    @tf.function(autograph=False, jit_compile=parameters["compile"] or None)
    def compiled(pictures: tf.Tensor, truth: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            value = loss(truth, network(pictures, training=True))
        gradients = tape.gradient(value, [variable.value for variable in network.trainable_variables])
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))

    return lambda: compiled(*batch)


def published_step(dataset: PreparedDataset, parameters: Mapping[str, Any], model: BuiltModel) -> Callable[[], None]:
    """A loop as it is usually written: NumPy, and ``train_on_batch`` of a compiled network with its figures."""
    rows, size, resolution = dataset.split("train"), parameters["batch_size"], parameters["resolution"]
    classes = 1 + len(dataset.info["classes"])
    rng = np.random.default_rng(0)
    shares = parameters["cross_entropy_weight"], parameters["dice_weight"]

    def loss(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        probability = tf.nn.softmax(logits)
        overlap = tf.reduce_sum(truth * probability, (0, 1, 2))
        total = tf.reduce_sum(truth**2, (0, 1, 2)) + tf.reduce_sum(probability**2, (0, 1, 2))
        dice = 1 - tf.reduce_mean((2 * overlap + 1e-5) / (total + 1e-5))
        cross_entropy = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(truth, logits))
        return shares[0] * cross_entropy + shares[1] * dice

    optimizer = keras.optimizers.SGD(parameters["learning_rate"], momentum=0.9)
    figures = [keras.metrics.OneHotMeanIoU(classes), keras.metrics.CategoricalAccuracy()]
    model.network.compile(optimizer, loss, metrics=figures, jit_compile=parameters["compile"])
    numbers = itertools.cycle(range(len(rows)))

    def step() -> None:
        chosen = [rows.iloc[next(numbers)] for _ in range(size)]
        pairs = [published_item(dataset, row, resolution, classes, rng) for row in chosen]
        pictures, truth = (np.stack(part) for part in zip(*pairs, strict=True))
        model.network.train_on_batch(pictures, truth)

    return step


def published_item(
    dataset: PreparedDataset, row: Mapping[str, Any], resolution: int, classes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The augmentation ``published`` in NumPy: picture (R, R, 3) and truth (R, R, C), one-hot, both float32."""
    picture = cv2.cvtColor(cv2.imread(str(dataset.path(row["image"]))), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    label = cv2.imread(str(dataset.path(row["label"])), cv2.IMREAD_GRAYSCALE)
    height, width = label.shape
    share = rng.uniform(0.8, 1)
    top, left = (int(rng.uniform(0, (1 - share) * side)) for side in (height, width))
    part = slice(top, top + int(share * height)), slice(left, left + int(share * width))
    picture = cv2.resize(picture[part], (resolution, resolution))
    label = cv2.resize(label[part], (resolution, resolution), interpolation=cv2.INTER_NEAREST)
    for axis in (0, 1):
        if rng.random() < 0.5:
            picture, label = np.flip(picture, axis), np.flip(label, axis)
    turns = rng.integers(4)
    picture, label = np.rot90(picture, turns), np.rot90(label, turns)
    picture = picture + rng.uniform(-0.2, 0.2) + rng.normal(0, 0.05, picture.shape)
    return np.clip(picture, 0, 1).astype(np.float32), np.eye(classes, dtype=np.float32)[label]

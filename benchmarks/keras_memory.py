"""Growth of resident memory while Keras trains: predicting and keeping pictures at every step against our two loops.

Straightforward: as the published loop went, with either way to feed: after each training step ``model.predict`` on
four validation frames, the pictures kept to be shown later. Ours: ``medseg.keras_legacy.data.feed`` with validation and
validation pictures once an epoch, drawn and written, nothing kept. Same network, same batches of the sample data. Each
loop has a process of its own, for memory once taken is seldom given back; the growth is the least-squares slope over
300 steps after 100 of warm-up, in MB (1e6 bytes) per 100 steps. Below 0.5 it counts as 0.5, so that a ratio says no
more than was measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil

WARM_UP, STEPS = 100, 300
RESOLUTION, BATCH = 96, 8
FLOOR = 0.5
CASES = ("fit", "train_on_batch")


def resident(case: str, ours: bool) -> list[int]:
    """Bytes of this process after each training step."""
    from medseg.datasets import sample
    from medseg.experiments.runs import Run
    from medseg.keras_legacy.callbacks import ValidationPictures
    from medseg.keras_legacy.data import TrainingBatches, ValidationBatches, feed
    from medseg.keras_legacy.network import SegmentationModel
    from medseg.keras_legacy.training import compile_network, tf_keras
    from medseg.tf_shared import device

    device.choose("cpu")
    layers, process = tf_keras.layers, psutil.Process()
    measured: list[int] = []

    class Watcher(tf_keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            measured.append(process.memory_info().rss)

    class Preview(tf_keras.callbacks.Callback):
        kept: list[np.ndarray] = []  # noqa: RUF012 one loop a process

        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            self.kept.append(self.model.predict(shown, verbose=0))

    pictures = x = layers.Input((None, None, 3))
    for _ in range(2):
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x)))
    network = SegmentationModel(pictures, layers.Conv2D(1, 3, padding="same")(x))
    compile_network(network, "bce+dice", tf_keras.optimizers.Adam(1e-3))
    dataset, normalise = sample.load("data/sample/polyp"), lambda uint8: uint8.astype(np.float32) / 127.5 - 1
    common = {"resolution": RESOLUTION, "batch_size": BATCH}
    training = TrainingBatches(dataset, normalise, augmentation="warp", seed=1, **common)
    validation = ValidationBatches(dataset, normalise, **common)
    shown = validation[0][0][:4]
    epochs = -(-(WARM_UP + STEPS) // len(training))
    if ours:
        with tempfile.TemporaryDirectory() as folder:
            drawn = ValidationPictures(Run(Path(folder)), dataset, normalise, RESOLUTION)
            watching = [Watcher(), drawn]
            feed(case, network, training, validation, watching, first_epoch=0, max_epochs=epochs)
    elif case == "fit":
        network.fit(training, epochs=epochs, callbacks=[Preview(), Watcher()], shuffle=False, verbose=0)
    else:
        preview, watcher = Preview(), Watcher()
        preview.set_model(network)
        for _ in range(epochs):
            for step in range(len(training)):
                network.train_on_batch(*training[step])
                preview.on_train_batch_end(step)
                watcher.on_train_batch_end(step)
            training.on_epoch_end()
    return measured


def growth(case: str, ours: bool) -> tuple[float, float]:
    """Slope in MB per 100 steps, and growth over all of them in per cent, of one loop in a process of its own."""
    command = [sys.executable, __file__, "--loop", case, *(["--ours"] if ours else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    megabytes = np.array(json.loads(done.stdout.splitlines()[-1])[WARM_UP : WARM_UP + STEPS]) / 1e6
    slope, start = np.polyfit(np.arange(STEPS), megabytes, 1)
    return float(100 * slope), float(100 * slope * STEPS / start)


def main() -> None:
    """Print the growth of every loop as a table, or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of a table")
    parser.add_argument("--loop", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.loop:
        print(json.dumps(resident(asked.loop, asked.ours)))
        return
    results = []
    if not asked.json:
        print(f"{'case':<16}{'straightforward':>28}{'ours':>28}{'ratio':>8}")
    for case in CASES:
        (theirs, their_share), (own, own_share) = growth(case, ours=False), growth(case, ours=True)
        ratio = max(theirs, FLOOR) / max(own, FLOOR)
        entry = {"case": case, "metric": "memory", "straightforward": round(theirs, 3), "ours": round(own, 3)}
        results.append({**entry, "ratio": round(ratio, 1)})
        if not asked.json:
            columns = [f"{mb:.2f} MB ({share:+.2f} %)" for mb, share in ((theirs, their_share), (own, own_share))]
            print(f"{case:<16}{columns[0]:>28}{columns[1]:>28}{ratio:>7.0f}x")
    if asked.json:
        print(json.dumps(results))
    else:
        print(f"MB per 100 steps, and growth over {STEPS} steps in per cent of the process's memory.")


if __name__ == "__main__":
    main()

"""Time of one training step: the loop of a study's training against the bare step, and against a loop as published.

Ours: ``train`` of the study, as its notebook calls it, with our data, augmentation, loss, optimizer, figures of the
epoch and checkpoints; the first of two epochs fills caches, steps of the second count. Straightforward: the loop as
published code has it. Polyps: Augmentor on PIL pictures read from their files, a plain loop. Hand bones: 29 masks
filled at the picture's full size, Albumentations, a plain loop. Gastroscopies: NumPy, and ``train_on_batch`` of Keras.
Ceiling: forward pass, loss, backward pass and optimizer of the same network on a batch that is on the device already.

Each case has a process of its own, in which the ways take turns, of a single step where nothing is made in the
background. ``time`` is that of the clock, ``processor time`` that of all threads, ``memory`` the peak over what is held
between steps (of the GPU where it computes; Linux only on a CPU), ``waiting`` the share of the time in which the loop
waits for its next batch (PyTorch). The pictures are drawn: 574 x 500, 2048 x 2048, 640 x 480.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BAR = 10  # per cent that ours may take over its ceiling, on a CPU


@dataclass(frozen=True)
class Case:
    """A training: its study, its notebook, and what it asks for beside that notebook's defaults."""

    study: str
    notebook: str
    parameters: dict[str, Any]
    tiny: dict[str, Any] = field(default_factory=dict)  # to see that it runs


_POLYP = {"architecture": "smp-unet", "backbone": "resnet34", "resolution": 256, "batch_size": 4, "learning_rate": 1e-4}
_BONES = {"augmentation": "crop_rotate", "learning_rate": 2e-4, "batch_size": 2}
_TRANSUNET = {"size": "base", "encoder_trainable": False, "resolution": 224, "batch_size": 2, "learning_rate": 1e-3}
_SMALL = {"backbone": "resnet18", "resolution": 64, "batch_size": 2}

#: The last two are for a GPU.
CASES = {
    "polyp": Case("polyp", "2_train_torch", _POLYP, _SMALL),
    "handbone": Case(
        "handbone",
        "2_train",
        {**_BONES, "architecture": "smp-upernet", "backbone": "efficientnet-b0", "resolution": 512},
        {**_SMALL, "architecture": "smp-unet"},
    ),
    "gastric": Case("gastric", "2_train", _TRANSUNET, {"size": "tiny", "resolution": 32, "encoder_trainable": True}),
    "upernet-b7": Case(
        "handbone",
        "2_train",
        {**_BONES, "architecture": "smp-upernet", "backbone": "efficientnet-b7", "resolution": 1024},
    ),
    "unetplusplus-b7": Case(
        "handbone",
        "2_train",
        {**_BONES, "architecture": "smp-unetplusplus", "backbone": "efficientnet-b7", "resolution": 1024},
    ),
}
ON_A_CPU = ("polyp", "handbone", "gastric")


def measure(name: str, steps: int, tiny: bool, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a case, whose framework is loaded here."""
    from train_step_clock import rows

    from medseg import project
    from medseg.experiments import params

    case = CASES[name]
    schema = params.read_schema(project.root() / "notebooks" / case.study / f"{case.notebook}.ipynb")
    known = {key: value for key, value in asked.items() if key in schema.defaults}
    parameters = schema.complete({**case.parameters, **(case.tiny if tiny else {}), **known}, f"The case {name}")
    if case.study == "gastric":
        from train_step_keras import measure as measured
    else:
        from train_step_torch import measure as measured
    with tempfile.TemporaryDirectory() as folder, project.environment({project.RUNS_VARIABLE: f"{folder}/runs"}):
        clock = measured(case.study, case.notebook, parameters, steps, Path(folder), tiny)
    return rows(name, clock, waits=case.study != "gastric")


def print_table(found: list[dict[str, Any]]) -> None:
    units = {"memory": ("MB", 1e-6), "waiting": ("%", 1e2)}
    print(f"{'case':17}{'metric':20}{'straightforward':>16}{'ours':>9}{'ceiling':>9}{'ratio':>8}{'over ceiling':>14}")
    for row in found:
        unit, scale = units.get(row["metric"], ("s", 1))
        digits = 3 if scale == 1 else 1
        values = [
            f"{scale * row[way]:.{digits}f}" if way in row else "" for way in ("straightforward", "ours", "ceiling")
        ]
        over = f"{row['over_ceiling']:+.1f} %" if "over_ceiling" in row else ""
        label = f"{row['metric']}, {unit}"
        print(f"{row['case']:17}{label:20}{values[0]:>16}{values[1]:>9}{values[2]:>9}{row['ratio']:7.2f}x{over:>14}")
    print(f"Bar on a CPU: the time of ours at most {BAR} % over its ceiling.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of the table")
    parser.add_argument("--case", action="append", choices=CASES, help=f"one of them; without: {', '.join(ON_A_CPU)}")
    parser.add_argument("--steps", type=int, default=20, help="of each way that count")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--compile", action="store_true", help="torch.compile, XLA in Keras")
    parser.add_argument("--optimizer", help="of ours and the ceiling, such as 'adam(fused=True)'")
    parser.add_argument("--workers", type=int, default=0, help="that make batches")
    parser.add_argument("--batch-size", type=int, dest="batch_size")
    parser.add_argument("--tiny", action="store_true", help="small networks and pictures: to see that it runs")
    parser.add_argument("--measure", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        names = ("device", "precision", "compile", "optimizer", "workers", "batch_size")
        asked = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
        print(json.dumps(measure(options.measure, options.steps, options.tiny, asked)))
        return
    found = []
    for name in options.case or ON_A_CPU:
        command = [sys.executable, __file__, *sys.argv[1:], "--measure", name]
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=quiet)
        if done.returncode:
            sys.exit(f"The case {name} failed.")
        found += json.loads(done.stdout.splitlines()[-1])
    if options.json:
        print(json.dumps(found))
    else:
        print_table(found)


if __name__ == "__main__":
    main()

"""A run as a file of its own: written, checked against the framework that trained it, timed, described."""

import importlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from medseg import registry
from medseg.errors import MedsegError
from medseg.evaluation import cost, kinds
from medseg.evaluation.averaging import thresholds_of
from medseg.evaluation.common import check_finished, load_predictor
from medseg.evaluation.rules import MaskRules
from medseg.evaluation.views import views
from medseg.experiments.runs import Run, dataset_of
from medseg.export import card
from medseg.export.parity import MOST_DIFFERENCE, compare
from medseg.prediction import exported
from medseg.prediction.exported import KEY, ExportedNetwork
from medseg.prediction.onnx_model import require
from medseg.project import display

CASES = 8  # test pictures that are compared
#: What a file may be, by the ending of its name.
FORMATS = {"onnx": ".onnx", "torch": ".pt2", "keras": ".keras"}
_OWN = {"PyTorch": "torch", "Keras": "keras"}  # format of a framework's own
_ENGINES = {"onnx": "onnxruntime", "torch": "the program", "keras": "the model"}  # what computes a file
_NEEDED = {"PyTorch": ("onnx", "onnxruntime", "onnxscript"), "Keras": ("onnx", "onnxruntime", "tf2onnx")}


def export(run: Run, out: Path, wanted: str = "") -> list[str]:
    """Write ``out`` and, beside it, the model card ``card.md``; gives what to tell a person.

    ``wanted`` is one of :data:`FORMATS`; empty: that of the ending of ``out``. A file that predicts otherwise than the
    framework is not kept.

    Raises:
        MedsegError: a run that is not finished, or was brought; an extra that is not installed; a format that its
            framework does not have, or the ending of another; magnified views of a network whose graph takes one size;
            a network that cannot be written, or a file that predicts otherwise.
    """
    chosen, training = _checked(run, out, wanted)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    try:
        sizes = _write(run, training, chosen, partial)
        network = exported.load(partial, "cpu")
        predict = load_predictor(run, "cpu")
        parity = compare(run, predict, network, CASES)
        if not parity.holds:
            raise MedsegError(
                f"The graph of {run.id} predicts otherwise than {training.framework}: {parity.told()}; expected at "
                f"most {MOST_DIFFERENCE:g}. It was not kept. A network trained in 16 bits may differ so much."
            )
        times = _times(predict, network)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    kept = card.write(out.parent, card.text(run, out.name, network.facts, parity))
    height = "any multiple of " + str(sizes["multiple"]) if sizes["any_size"] else str(sizes["multiple"])
    own, there = times
    return [
        f"{display(out)}: {out.stat().st_size / 1e6:.1f} MB, pictures of {height} pixels a side, any number at a time",
        f"against {training.framework} on {parity.cases} {parity.what}: {parity.told()}",
        f"a picture takes {there:.1f} ms in {_ENGINES[chosen]}, {own:.1f} ms in {training.framework} (network alone, "
        f"{network.facts['resolution']} px, CPU, median)",
        f"{display(out.with_name(card.NAME))}: the model card; its gaps are for you to fill"
        + (f"; the one that was there is {kept} now" if kept else ""),
    ]


def facts_of(run: Run, sizes: dict[str, Any]) -> dict[str, Any]:
    """The metadata: ``sizes`` (see the exporters), and what turns pictures into this run's masks.

    Also run, study, classes, resolution, views (magnification, mirrored), window and stride (pixels of the picture),
    upsampling, thresholds, rules, the data's fingerprint and the parameters.
    """
    record = run.record
    parameters = record["parameters"]
    kind = kinds.of_study(record["study"], record["dataset"]["classes"])
    return {
        **sizes,
        "run": run.id,
        "study": record["study"],
        "classes": list(kind.classes),
        "resolution": parameters["resolution"],
        "views": [(view.scale, view.flipped) for view in views(parameters.get("tta", ()))],
        "window": parameters.get("window", 0),
        "stride": parameters.get("stride", 0),
        "upsampling": parameters.get("upsampling") or "bilinear",
        "thresholds": thresholds_of(run, kind),
        "rules": asdict(MaskRules.of(parameters)),
        "data": record["dataset"]["fingerprint"],
        "pictures": "grey" if kind.grey else "RGB",
        "licence": "weights follow the licences of the data and of the pretrained weights that they were trained from",
        "parameters": parameters,
        "info": _info(run),
    }


def _info(run: Run) -> dict[str, Any]:
    """How the data were prepared, as readers of new pictures want it; {} where the data are not here."""
    try:
        info = dataset_of(run).info
    except MedsegError:
        return {}
    return {"overlay": {"mode": info["overlay"]["mode"]}} if "mode" in info.get("overlay", {}) else {}


def _checked(run: Run, out: Path, wanted: str) -> tuple[str, registry.Training]:
    """Format and training of a run that can be exported; everything that can be known before is refused here."""
    check_finished(run, "is exported")
    chosen = wanted or next((name for name, ending in FORMATS.items() if ending == out.suffix), "")
    if wanted and wanted not in FORMATS:
        raise MedsegError(f"There is no format {wanted!r}. Choose one of: {', '.join(FORMATS)}.")
    if out.is_dir() or out.suffix != FORMATS.get(chosen):
        endings = FORMATS[chosen] if chosen else ", ".join(FORMATS.values())
        raise MedsegError(f"--out is {display(out)}; expected a file whose name ends in {endings}.")
    record = run.record
    training = registry.find(record["study"]).training(record["stage"])
    if not training.exporter:
        raise MedsegError(f"Networks of {training.framework} in the study {record['study']} cannot be exported.")
    if chosen not in ("onnx", own := _OWN[training.framework]):
        raise MedsegError(
            f"The run {run.id} was trained in {training.framework} and cannot be written as {chosen}; take onnx or "
            f"{own} ({FORMATS[own]})."
        )
    if chosen == "onnx":
        require(*_NEEDED[training.framework])
    return chosen, training


def _write(run: Run, training: registry.Training, chosen: str, path: Path) -> dict[str, Any]:
    """Write a file with its metadata inside; gives what is known of its sizes."""
    exporter = importlib.import_module(training.exporter)

    def described(sizes: dict[str, Any]) -> str:
        _check_views(run, sizes)
        return json.dumps(facts_of(run, sizes))

    if chosen == "onnx":
        sizes = exporter.write_onnx(run, path)
        _describe(path, described(sizes))
        return sizes
    try:
        return exporter.write_own(run, path, described)
    except MedsegError:
        raise
    except Exception as error:  # frameworks refuse what they cannot write with whatever exception comes to hand
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise MedsegError(
            f"{training.framework} cannot write the network of {run.id} as {chosen} ({reason}). Take --format onnx."
        ) from error


def _check_views(run: Run, sizes: dict[str, Any]) -> None:
    magnified = [view.scale for view in views(run.record["parameters"].get("tta", ())) if view.scale != 1]
    if magnified and not sizes["any_size"]:
        raise MedsegError(
            f"The run {run.id} predicts at {magnified[0]:g} times its resolution (tta), but the graph of its network "
            f"takes {sizes['multiple']} pixels alone. Use 'medseg predict' with the run itself."
        )


def _describe(path: Path, told: str) -> None:
    import onnx

    model = onnx.load(str(path))
    model.producer_name = "medseg"
    facts = json.loads(told)
    for key, value in {KEY: facts, "classes": facts["classes"], "thresholds": facts["thresholds"]}.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    onnx.save(model, str(path))


def _times(predict: Any, exported: ExportedNetwork) -> tuple[float, float]:
    """Milliseconds a picture: of the framework, and of onnxruntime."""
    bare = predict.bare()
    picture = np.random.default_rng(0).integers(0, 256, (1, *bare.shape), np.uint8)
    own = cost.timed(lambda: bare.through(picture))
    there = cost.timed(lambda: (exported.network.logits(picture), None)[1])
    return float(np.median(own)) * 1000, float(np.median(there)) * 1000

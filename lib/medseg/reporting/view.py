"""One offline page to look through all test cases of a run, with truth, prediction and difference."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from markupsafe import Markup

from medseg import atomic, project
from medseg.datasets.splits import hold_out
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.experiments.identity import fold_of
from medseg.experiments.runs import Run, dataset_of, predictions_of
from medseg.masks import outlines, rle
from medseg.reporting.fragments import TEMPLATES
from medseg.reporting.gallery import AREAS, predicted_masks

PAGE, PICTURES = "view.html", "view-pictures"
#: Bytes of pictures that go into the page itself; more lie in a folder beside it.
MOST_EMBEDDED = 40_000_000
_QUALITY = 88
_TEMPLATE = Path(__file__).parent / "template"


def write(run: Run, most_embedded: int = MOST_EMBEDDED) -> Path:
    """Write ``view.html`` into the run's folder: every test case at its own size, as JPEG, its masks as run lengths.

    Pictures of more than ``most_embedded`` bytes together lie in the folder ``view-pictures`` beside it.

    Raises:
        MedsegError: the run is not evaluated, its tables are damaged, or its data is gone.
    """
    if not run.evaluated:
        raise MedsegError(f"The run {run.id} is {run.status} and has no scored cases: run 3_evaluate on it first.")
    cases = list(_cases(run))
    embedded = sum(len(case["jpeg"]) for case in cases) <= most_embedded
    for number, case in enumerate(cases):
        jpeg = case.pop("jpeg")
        if embedded:
            case["picture"] = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        else:
            case["picture"] = f"{PICTURES}/{number + 1:05d}.jpg"
            atomic.write_bytes(run.folder / case["picture"], jpeg)
    record = run.record
    content = {
        "classes": list(cases[0]["truth"]),
        "colours": {"truth": outlines.TRUTH, "predicted": outlines.PREDICTED, **AREAS},
        "cases": cases,
    }
    page = TEMPLATES.get_template("view.html.j2").render(
        title=run.id,
        study=record["study"],
        data=record["dataset"]["name"],
        style=Markup((_TEMPLATE / "view.css").read_text("utf-8")),
        script=Markup((_TEMPLATE / "view.js").read_text("utf-8")),
        # A name with </script> must not end the element that holds it.
        content=Markup(json.dumps(content, ensure_ascii=False).replace("</", "<\\/")),
    )
    atomic.write_text(run.folder / PAGE, page)
    return run.folder / PAGE


def _cases(run: Run) -> Iterator[dict[str, Any]]:
    dataset = hold_out(dataset_of(run), -1 if fold_of(run.record) is None else fold_of(run.record) or 0)
    kind = kinds.of_study(run.record["study"], dataset.info["classes"])
    scores = run.cases()
    predicted = {name: predictions_of(run, name) for name in scores["test_set"].unique()}
    for _, row in dataset.split("test").iterrows():
        own = scores[scores["case_id"] == row["case_id"]]
        if own.empty:
            continue
        picture, label = kind.read(dataset, row)
        truth = {name: rle.encode(mask) for name, mask in kind.true_pieces(label)}
        masks = predicted_masks(predicted[row["test_set"]], row, kind.classes, picture.shape)
        yield {
            "id": row["case_id"],
            "group": str(row["group"]),
            "set": row["test_set"],
            "dice": _number(own["dice"].mean()),
            "by_class": {name: _number(value) for name, value in zip(own["class"], own["dice"], strict=True)},
            "width": picture.shape[1],
            "height": picture.shape[0],
            "truth": truth,
            "predicted": {name: rle.encode(mask) for name, mask in zip(kind.classes, masks, strict=True)},
            "jpeg": _jpeg(picture),
        }


def _number(value: float) -> float | None:
    return None if pd.isna(value) else round(float(value), 4)


def _jpeg(picture: np.ndarray) -> bytes:
    shown = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    return cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def link(run: Run) -> str:
    """Address of the page of a run as the reports see it; empty where there is none."""
    page = run.folder / PAGE
    return Path(os.path.relpath(page, project.reports_folder())).as_posix() if page.is_file() else ""

"""Calibration in the report: what is shown follows from the counts; runs without any are named."""

import shutil

from medseg.experiments.runs import Run
from medseg.metrics.calibration import ece
from medseg.reporting import calibration
from medseg.reporting.comparison import compare


def test_the_table_has_the_figures_of_the_counts(runs):
    table, figure = calibration.page(compare(runs)).parts
    own = runs[0].table("calibration.csv", "").query("test_set == 'ETIS'").reset_index(drop=True)
    line = next(line for line in repr(table).splitlines() if line.startswith("attention-unet") and "ETIS" in line)
    assert f"  {ece(own):.4f}  " in line
    assert f"{own['dice'][128]:.3f}" == line.split()[-1].rstrip(",")
    assert "ETIS ECE" in figure.alt


def test_of_many_configurations_the_best_are_drawn(runs, monkeypatch):
    monkeypatch.setattr(calibration, "_MOST", 2)
    figure = calibration.page(compare(runs)).parts[1]
    assert "The 2 of 4 configurations" in figure.caption
    assert "efficientnet-b1" not in figure.alt


def test_runs_without_probabilities_are_named(runs, tmp_path):
    old = Run(tmp_path / "polyp" / runs[1].id)
    shutil.copytree(runs[1].folder, old.folder)
    (old.folder / "calibration.csv").unlink()
    table, figure = calibration.page(compare([runs[0], old])).parts
    assert "Without probabilities: dilated-unet resnet34." in repr(table)
    assert "dilated" not in figure.alt
    (only,) = calibration.page(compare([old])).parts
    assert repr(only).startswith("Calibration is not known")

"""The table of objects: what was found by configuration and test set, and runs that have no such table."""

import shutil

import pandas as pd
import pytest

from medseg.experiments.runs import Run
from medseg.reporting import objects
from medseg.reporting.comparison import compare


def test_shares_are_those_of_the_tables(runs):
    compared = compare(runs)
    text = repr(objects.table(compared))
    best = runs[0].table("objects.csv", "")
    own = best[(best["kind"] == "truth") & (best["test_set"] == "ETIS")]
    line = next(line for line in text.splitlines() if line.startswith("attention-unet") and "ETIS" in line)
    assert line.split()[2] == f"{own['found'].mean():.3f},"
    assert f"{own['found'].sum():.0f} of {len(own)}" in line
    marked = int((best["kind"] != "truth").any())
    assert f"{marked} of 1, " in line  # alarms in the one picture without a finding
    assert "ETIS 15 objects in 16 frames, 1 of them without any" in text
    assert "Smallest, middle, largest: share found of a third" in text
    assert "nan" not in text  # ClinicDB has no picture without a finding


def test_runs_from_before_are_named(runs, tmp_path):
    old = Run(tmp_path / "polyp" / runs[1].id)
    shutil.copytree(runs[1].folder, old.folder)
    (old.folder / "objects.csv").unlink()
    text = repr(objects.table(compare([runs[0], old])))
    assert "Without objects: dilated-unet resnet34." in text
    assert repr(objects.table(compare([old]))).startswith("Objects were not counted")


def test_a_table_that_lost_rows_is_refused(runs, tmp_path):
    run = Run(tmp_path / "polyp" / runs[0].id)
    shutil.copytree(runs[0].folder, run.folder)
    run.update(tables=run.checksums("cases.csv", "objects.csv"))
    table = pd.read_csv(run.folder / "objects.csv")
    run.write_table("objects.csv", table.iloc[:-1])
    with pytest.raises(Exception, match=r"objects\.csv has 3\d rows"):
        objects.table(compare([run]))

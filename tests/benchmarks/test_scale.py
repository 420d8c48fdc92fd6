import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("metrics", [["plan", "seconds", "checked"], ["report", "seconds", "memory", "page"]])
def test_every_value_stands_beside_its_bar(metrics):
    case, *metrics = metrics
    command = [sys.executable, "benchmarks/scale.py", "--tiny", "--json", "--case", case]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["case"], row["metric"]) for row in rows] == [(case, metric) for metric in metrics]
    for row in rows:
        assert set(row) == {"case", "metric", "value", "most", "met"}
        assert row["value"] > 0
        assert row["met"] == (row["value"] <= row["most"])

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_benchmark_runs_and_prints_one_json_list():
    script = [sys.executable, "benchmarks/handbone_data.py", "--tiny", "--json"]
    done = subprocess.run(script, capture_output=True, text=True, check=True, cwd=ROOT)
    rows = json.loads(done.stdout)
    metrics = ["time", "memory", "fidelity"] if sys.platform == "linux" else ["time", "fidelity"]
    assert [(row["case"], row["metric"]) for row in rows] == [("512", metric) for metric in metrics]
    for row in rows:
        assert set(row) == {"case", "metric", "straightforward", "ours", "ratio"}
        assert row["straightforward"] > 0
        assert row["ours"] > 0
        if row["metric"] == "fidelity":
            assert row["straightforward"] < row["ours"] <= 1
            assert row["ours"] > 0.95
            assert row["ratio"] == pytest.approx((1 - row["straightforward"]) / (1 - row["ours"]))
        else:
            assert row["ratio"] == pytest.approx(row["straightforward"] / row["ours"])

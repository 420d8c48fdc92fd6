import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("masks.py", [("dice", "time"), ("rle", "time"), ("postprocess", "time")]),
        ("ensemble.py", [("majority", "time"), ("majority", "memory")]),
    ],
)
def test_the_benchmark_finds_equal_results_and_prints_one_json_list(script, expected):
    command = [sys.executable, f"benchmarks/{script}", "--tiny", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr  # it fails where the two ways disagree
    rows = json.loads(done.stdout)
    assert [(row["case"], row["metric"]) for row in rows] == expected
    for row in rows:
        assert set(row) == {"case", "metric", "straightforward", "ours", "ratio"}
        assert row["straightforward"] > 0
        assert row["ours"] > 0
        assert row["ratio"] == pytest.approx(row["straightforward"] / row["ours"])

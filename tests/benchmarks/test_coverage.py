import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows(*options):
    command = [sys.executable, "benchmarks/coverage.py", "--json", "--samples", "2", "--workers", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_setting_has_a_row_of_both_ways():
    found = rows()
    assert len({(row["distribution"], row["sizes"], row["groups"]) for row in found}) == 4 * 3 * 5 == len(found)
    for row in found:
        assert row["samples"] == 2
        for way in ("ours", "percentile"):
            assert {"coverage", "mean_width", "false_alarms", "power"} <= set(row[way])
            assert 0 <= row[way]["coverage"] <= 1
        assert row["ours"]["doubt"] in (0, 0.5, 1)


def test_trainings_are_repeated_with_one_seed_and_with_several():
    found = rows("--seeds")
    assert {(row["seeds"], row["difference"]) for row in found} == {(n, d) for n in (1, 3, 5) for d in (0, 0.03, 0.05)}
    assert all(row["told_apart"] in (0, 0.5, 1) for row in found)

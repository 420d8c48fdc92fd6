import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from train_step_clock import DROPPED, Clock, Memory, rows  # noqa: E402


class NoMemory(Memory):
    there = False


def clocked(steps, ahead, rounds):
    """A clock after all turns, and the order in which the ways did their steps."""
    order = []
    others = {name: lambda name=name: order.append(name) for name in ("straightforward", "ceiling")}
    clock = Clock("ours", others, steps, ahead, rounds, memory=NoMemory())
    clock.start()
    for _ in range(clock.total):
        with clock.waiting():
            order.append("ours")
        clock.stepped()
    return clock, order


@pytest.mark.parametrize(("steps", "ahead"), [(1, 0), (3, 0), (2, 4)])
def test_every_way_does_the_same_steps_in_turns(steps, ahead):
    clock, order = clocked(steps, ahead, rounds=5)
    turn = [way for way in ("ours", "straightforward", "ceiling") for _ in range(ahead + steps)]
    assert order == (5 + DROPPED) * turn
    assert {name: len(clock.counted(name)) for name in clock.turns} == {
        "ours": 5, "straightforward": 5, "ceiling": 5
    }  # fmt: skip


def test_a_turn_is_timed_by_the_step_without_what_was_made_ahead(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("time.process_time", lambda: 2 * now[0])

    def step(seconds):
        now[0] += seconds

    others = {"straightforward": lambda: step(4.0), "ceiling": lambda: step(2.0)}
    clock = Clock("ours", others, steps=2, ahead=1, rounds=1, memory=NoMemory())
    clock.start()
    for number in range(clock.total):
        with clock.waiting():
            step(0.5)
        step(100.0 if number % 3 == 0 else 2.5)  # the first of a turn does not count
        clock.stepped()
    found = {row["metric"]: row for row in rows("case", clock, waits=True)}
    assert set(found) == {"time", "processor time", "waiting"}
    time = {"straightforward": 4.0, "ours": 3.0, "ceiling": 2.0, "ratio": 4 / 3, "over_ceiling": 50}
    assert found["time"] == pytest.approx({"case": "case", "metric": "time", **time})
    assert found["processor time"]["ours"] == pytest.approx(6)
    assert found["waiting"]["ours"] == pytest.approx(0.5 / 3)


@pytest.mark.parametrize("case", ["polyp", "gastric"])
def test_the_three_ways_run_and_one_json_list_is_printed(case):
    script = [sys.executable, "benchmarks/train_step.py", "--tiny", "--json", "--steps", "1", "--case", case]
    done = subprocess.run([*script, "--device", "cpu"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    metrics = ["time", "processor time"]
    metrics += ["memory"] if sys.platform == "linux" else []
    metrics += ["waiting"] if case == "polyp" else []
    assert [(row["case"], row["metric"]) for row in found] == [(case, metric) for metric in metrics]
    for row in found[:2]:
        assert set(row) == {"case", "metric", "straightforward", "ours", "ceiling", "ratio", "over_ceiling"}
        assert min(row[way] for way in ("straightforward", "ours", "ceiling")) > 0
        assert row["ratio"] == pytest.approx(row["straightforward"] / row["ours"])
    if case == "polyp":
        assert 0 <= found[-1]["ours"] <= 1

"""Speed and size: how often a network is called, what is written down, and when times are worth nothing."""

import numpy as np
import psutil
import pytest

from medseg.evaluation import cost
from medseg.experiments.provenance import Device
from medseg.experiments.runs import Run


class Memory(Exception):
    pass


class Processor(Device):
    def is_out_of_memory(self, error):
        return isinstance(error, Memory)


class Fake:
    """A predictor on a clock of its own: a picture takes ``seconds``, and a batch above ``room`` the memory."""

    def __init__(self, monkeypatch, seconds, room=99):
        self.now, self.seconds, self.room, self.batches = 0.0, seconds, room, []
        monkeypatch.setattr(cost.timed, "__defaults__", (lambda: self.now,))

    def bare(self):
        device = Processor("cpu", "a processor", "fp32")
        return cost.BareNetwork(self._through, (4, 6, 3), 6, 1234, lambda: 56_000_000, device, 2)

    def _through(self, pictures):
        assert pictures.dtype == np.uint8
        assert pictures.shape[1:] == (4, 6, 3)
        self.batches.append(len(pictures))
        self.now += len(pictures) * self.seconds
        if len(pictures) > self.room:
            raise Memory


@pytest.mark.parametrize(("seconds", "warming", "expected"), [(0.001, 250, 200), (0.01, 25, 75), (10, 1, 3)])
def test_calls_are_many_where_they_are_short_and_few_where_they_are_long(seconds, warming, expected):
    calls = []
    # The clock stands still but for calls: it says how many there were.
    found = cost.timed(lambda: calls.append(1), lambda: len(calls) * seconds)
    assert len(found) == pytest.approx(expected, abs=1)
    assert len(calls) - len(found) == pytest.approx(warming, abs=1)
    assert found == pytest.approx([seconds] * len(found))


def test_the_record_says_what_was_measured(tmp_path, monkeypatch):
    run, fake = Run(tmp_path / "run"), Fake(monkeypatch, 0.02)
    run.update(status="finished")
    found = cost.measure(run, fake)
    assert run.record == {"status": "finished", "cost": found}
    assert (found["resolution"], found["parameters"], found["macs"]) == (6, 1234, 56_000_000)
    assert found["latency"]["ms"] == pytest.approx(20)
    assert found["latency"]["quartiles_ms"] == pytest.approx([20, 20])
    assert found["throughput"]["pictures_per_second"] == pytest.approx(50)
    assert (found["latency"]["batch"], found["throughput"]["batch"]) == (1, cost.BATCH)
    assert found["device"] == {"kind": "cpu", "name": "a processor", "precision": "fp32"}
    assert (found["threads"], found["processors"]) == (2, psutil.cpu_count())
    assert 0 <= found["others"] <= 1
    assert set(fake.batches) == {1, cost.BATCH}


@pytest.mark.parametrize(("seconds", "room", "batch"), [(0.4, 99, 4), (5, 99, 1), (0.01, 3, 2), (0.01, 1, 1)])
def test_a_batch_that_takes_too_long_or_too_much_is_halved(tmp_path, monkeypatch, seconds, room, batch):
    found = cost.measure(Run(tmp_path / "run"), Fake(monkeypatch, seconds, room))
    assert found["throughput"]["batch"] == batch
    assert found["throughput"]["pictures_per_second"] == pytest.approx(1 / seconds)


def test_an_error_that_is_not_of_memory_is_told(tmp_path, monkeypatch):
    fake = Fake(monkeypatch, 0.01, room=1)
    monkeypatch.setattr(Processor, "is_out_of_memory", lambda self, error: False)
    with pytest.raises(Memory):
        cost.measure(Run(tmp_path / "run"), fake)


def test_the_work_of_others_is_that_of_all_without_ones_own(monkeypatch):
    times = {"clock": 0.0, "all": 100.0, "own": 10.0}
    monkeypatch.setattr(cost.time, "monotonic", lambda: times["clock"])
    monkeypatch.setattr(cost.psutil, "cpu_count", lambda: 4)
    every = psutil.cpu_times()
    zero = every._replace(**dict.fromkeys(every._fields, 0.0))
    # Idle time is nobody's work.
    monkeypatch.setattr(cost.psutil, "cpu_times", lambda: zero._replace(user=times["all"], idle=5e6 * times["clock"]))
    monkeypatch.setattr(
        cost.psutil.Process,
        "cpu_times",
        lambda self: type("Own", (), {"user": times["own"], "system": 0.0})(),
    )
    others = cost.OtherWork()
    times.update(clock=2.0, all=106.0, own=12.0)  # of 8 seconds of processors 6 were used, 2 of them by oneself
    assert others.share() == pytest.approx(0.5)
    times.update(own=17.0)
    assert others.share() == 0


@pytest.mark.parametrize(
    ("kind", "threads", "others", "expected"),
    [("cpu", 1, 0.55, False), ("cpu", 2, 0.05, False), ("cpu", 2, 0.5, True), ("cuda", 2, 0.9, False)],
)
def test_times_are_contended_where_more_is_computed_than_there_are_processors(kind, threads, others, expected):
    record = {"device": {"kind": kind}, "threads": threads, "processors": 2, "others": others}
    assert cost.contended(record) is expected

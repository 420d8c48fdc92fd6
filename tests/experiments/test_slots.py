"""Shares of a machine: its GPUs, or its cores."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from medseg.experiments import slots


def test_slots_are_gpus_where_there_are_some(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots.local_slots()] == ["2", "5"]
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots.local_slots(3)] == ["2", "5", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [slot["OMP_NUM_THREADS"] for slot in slots.local_slots()] == ["4", "4"]


def test_a_job_on_several_devices_takes_as_many_slots_at_once(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    free = slots.Slots(slots.local_slots(3))
    first = free.take(1)
    assert slots.together(first) == {"CUDA_VISIBLE_DEVICES": "2"}
    waiting = ThreadPoolExecutor(1).submit(free.take, 2)
    both = waiting.result(timeout=5)  # the third slot is on the same GPU as the first
    assert slots.together(both)["CUDA_VISIBLE_DEVICES"] in ("2,5", "5,2")
    late = ThreadPoolExecutor(1).submit(free.take, 9)
    time.sleep(0.2)
    assert not late.done()
    free.give(both)
    assert len(late.result(timeout=5)) == 2

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    on_cpu = slots.together(slots.Slots(slots.local_slots()).take(2))
    assert on_cpu == {"CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "8"}

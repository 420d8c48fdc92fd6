"""When the checkpoint that training goes on from is written."""

import time

from medseg.experiments import checkpoints


def test_the_last_checkpoint_is_due_by_minutes_with_a_better_one_and_at_the_end(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    due = checkpoints.Due({"checkpoint_minutes": 5.0})
    assert not due.now(improved=False, ended=False)
    assert due.now(improved=True, ended=False)
    assert due.now(improved=False, ended=True)
    clock[0] = 300
    assert due.now(improved=False, ended=False)
    due.written()
    clock[0] = 599
    assert not due.now(improved=False, ended=False)
    clock[0] = 600
    assert due.now(improved=False, ended=False)
    assert checkpoints.Due({}).now(improved=False, ended=False), "of a training of before: every epoch"

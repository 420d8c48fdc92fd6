"""When the checkpoint that training goes on from is written, what of all stays, and in which precision."""

import time

import numpy as np

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


def test_the_best_checkpoint_alone_stays_of_a_finished_training(tmp_path):
    for name in ("best.ckpt", "epoch-0003.ckpt", "last.ckpt", "last.npz", "best_iou.npz", "latest.npz"):
        (tmp_path / name).touch()
    checkpoints.drop_last(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "best_iou.npz", "latest.npz"]


def test_the_precision_of_weights_is_lowered_where_asked_but_not_of_what_training_goes_on_from(tmp_path):
    for name in ("best.ckpt", "epoch-0003.ckpt", "last.ckpt", "last.npz", "best.h5", "notes.txt"):
        (tmp_path / name).touch()
    lowered = []
    for parameters in ({}, {"checkpoint_precision": "fp32"}, {"checkpoint_precision": "fp16"}):
        checkpoints.lower_precision(tmp_path, parameters, lambda *found: lowered.append(found))
    assert lowered == [(tmp_path / name, "fp16") for name in ("best.ckpt", "best.h5", "epoch-0003.ckpt")]


def test_kernels_that_fit_are_halved_and_nothing_else():
    kernel = np.array([[1.0, 65504.0], [-2.0, 1e-3]], np.float32)
    assert checkpoints.halved(kernel).dtype == np.float16
    for kept in (kernel[0], kernel * 2, kernel.astype(np.int64), np.float32(3.0)):
        assert checkpoints.halved(kept).dtype == kept.dtype

"""The guess of how long a sweep still takes, with a clock that is set by hand."""

import pytest

from medseg.experiments.console import duration
from medseg.experiments.remaining import Remaining


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_nothing_is_said_before_a_run_shows_its_pace(clock):
    remaining = Remaining(3, clock)
    assert remaining.seconds() is None
    remaining.begin("a")
    clock.now = 5
    remaining.reached("a", 0.01)
    assert remaining.seconds() is None
    remaining.reached("a", 0.05)
    assert remaining.seconds() == pytest.approx(95 + 2 * 100)  # one slot has been seen so far


def test_waiting_runs_share_the_slots_and_scoring_is_added_once_it_is_known(clock):
    remaining = Remaining(4, clock)
    remaining.begin("a")
    remaining.begin("b")
    clock.now = 50
    remaining.reached("a", 0.5)
    remaining.reached("b", 0.25)
    assert remaining.seconds() == pytest.approx((50 + 150 + 2 * 150) / 2)  # 100 and 200 whole, 150 on average
    clock.now = 100
    remaining.reached("a", 1.0)
    remaining.reached("b", 0.5)
    remaining.reached("a", 0.1)  # its scoring
    clock.now = 120
    remaining.end("a")  # 100 of training, 20 of scoring
    remaining.reached("b", 0.6)
    assert remaining.seconds() == pytest.approx((80 + 20 + 2 * 170) / 2)  # b 220 in all, a 120
    remaining.begin("c")
    clock.now = 130
    remaining.reached("b", 0.65)  # 200 in all, and 20 of scoring
    assert remaining.seconds() == pytest.approx((90 + (170 - 10) + 170) / 2)


def test_the_slowest_run_is_waited_for_and_skipped_ones_are_not(clock):
    remaining = Remaining(3, clock)
    remaining.end("skipped")
    remaining.begin("a")
    remaining.begin("b")
    clock.now = 10
    remaining.reached("a", 0.9)
    remaining.reached("b", 0.1)
    assert remaining.seconds() == pytest.approx(90)
    remaining.reached("a", 0.1)
    for run in ("a", "b"):
        remaining.end(run)
    assert remaining.seconds() is None


def test_durations_are_said_as_a_person_would():
    assert [duration(s) for s in (3, 89, 3599, 12000)] == ["1 min", "1 min", "1 h 0 min", "3 h 20 min"]

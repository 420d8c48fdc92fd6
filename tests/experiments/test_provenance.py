"""The highest memory of this process."""

import psutil

from medseg.experiments.provenance import peak_resident_mb


def test_the_peak_is_no_less_than_what_is_taken_now():
    now = psutil.Process().memory_info().rss / 1e6
    assert 0.99 * now < peak_resident_mb() < 100_000

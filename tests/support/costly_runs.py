"""Costs of runs as 3_evaluate records them, without any network."""

from medseg.experiments.runs import Run


def cost(gmacs=1.0, ms=10.0, *, name="a processor", kind="cpu", precision="fp32", threads=1, others=0.1, batch=8):
    """The entry ``cost`` of a record; of three threads on four processors others may use a quarter."""
    return {
        "resolution": 64,
        "parameters": round(1e7 * gmacs),
        "macs": None if gmacs is None else round(1e9 * gmacs),
        "latency": {"batch": 1, "ms": ms, "quartiles_ms": [ms, ms], "calls": 9},
        "throughput": {"batch": batch, "pictures_per_second": 2000 / ms, "calls": 9},
        "device": {"kind": kind, "name": name, "precision": precision},
        "threads": threads,
        "processors": 4,
        "others": others,
        "measured": "2026-01-01T00:00:00+00:00",
    }


def costly(run: Run, *figures, **further) -> Run:
    """The run with a :func:`cost`."""
    run.update(cost=cost(*figures, **further))
    return run

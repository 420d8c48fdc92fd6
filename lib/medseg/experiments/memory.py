"""How much memory this process has taken at most, on whatever system it runs."""

import sys

import psutil


def peak_resident_mb() -> float:
    """Highest resident memory of this process so far, MB (1e6 bytes), one decimal."""
    if sys.platform == "win32":
        return round(psutil.Process().memory_info().peak_wset / 1e6, 1)
    import resource  # there is none on Windows; psutil knows the peak there alone

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)

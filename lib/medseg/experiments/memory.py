"""How much memory this process has taken at most, on whatever system it runs."""

import sys

import psutil


def peak_resident_mb() -> float:
    """Highest resident memory of this process so far, MB (1e6 bytes), one decimal."""
    try:
        import resource
    except ImportError:  # Windows, where alone psutil knows the peak
        memory = psutil.Process().memory_info()
        return round(getattr(memory, "peak_wset", memory.rss) / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)

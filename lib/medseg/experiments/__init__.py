"""Parameters, run folders, sweeps and their execution; no framework."""

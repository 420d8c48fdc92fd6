"""Hand X-rays with 29 overlapping bones."""

"""Counts, scores and statistics; no framework."""

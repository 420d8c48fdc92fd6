"""Datasets: from a public layout to one prepared folder; no framework."""

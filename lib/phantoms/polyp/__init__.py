"""Drawn colonoscopies."""

"""Drawn gastroscopies."""

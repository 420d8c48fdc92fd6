"""Drawn hand X-rays."""

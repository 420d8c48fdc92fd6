"""Polyps in colonoscopy pictures."""

"""Scores of what was predicted for test cases, by kind of label; no framework."""

"""Trained networks as files that other programs run: export, check, model card."""

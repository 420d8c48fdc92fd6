"""Augmentation of pictures together with their masks or polygons; no framework."""

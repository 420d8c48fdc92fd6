"""Procedural sample data, one module per study."""

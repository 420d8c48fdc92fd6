"""Tables, curves, galleries and HTML; no framework."""

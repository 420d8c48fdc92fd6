"""Drawn sample data: pictures and labels of every study, in the layouts of the public datasets."""

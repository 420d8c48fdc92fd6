"""Trained networks on new pictures: what is read, how it is segmented, and what is written."""

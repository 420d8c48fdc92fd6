"""What both endoscopies share: the inside of an organ, its shading, the camera."""

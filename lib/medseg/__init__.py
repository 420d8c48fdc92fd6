"""medseg: compare segmentation models on medical images."""

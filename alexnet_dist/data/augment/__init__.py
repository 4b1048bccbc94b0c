"""The augmentations, one a file; `data/augmentations.py` has their names."""

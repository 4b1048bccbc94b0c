"""The data sets: each file here is one, and registers itself. None imports torch before it is opened."""

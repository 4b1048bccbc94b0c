"""Photographs in files: ILSVRC-2012 as people have it, any folder of class folders, and what was prepared of either."""

"""Measuring a run and recording it: metrics, the summary, trackers, progress."""

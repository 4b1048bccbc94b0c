"""Checks, before a long job, for what would make it fail, and measures the links between ranks."""

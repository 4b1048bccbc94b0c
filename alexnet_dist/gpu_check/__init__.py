"""One command that tries on a GPU what can only be tried there.

lines: what is tried. on_device, on_steps, on_ranks, norm: how, as functions of a device, which tests run on a CPU.
worker: runs lines in one process. check: starts workers, ends those that take too long. results: their file.
report: shows it.
"""

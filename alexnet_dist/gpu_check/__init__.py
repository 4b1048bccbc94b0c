"""One command that tries on a GPU what can only be tried there.

lines: what is tried. on_device, on_steps, on_ranks: how, as functions of a device, so that tests run them on a CPU.
worker: runs lines in one process. check: starts workers, ends those that take too long, reports.
"""

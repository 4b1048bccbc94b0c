"""A command for `--start-with`: `starter.py RANKS PROGRAM ARGUMENTS …` starts ranks on this machine."""

import sys

from alexnet_dist.launcher.processes import run_without_launcher

print(f"starting {sys.argv[1]} ranks", flush=True)
sys.exit(run_without_launcher(int(sys.argv[1]), sys.argv[2:]))

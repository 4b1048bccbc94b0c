"""A command for `--start-with`, as tests/launcher/starter.py; it starts the planted `killed` with the launcher.

That takes seconds for each run; what the launcher says of a killed rank is the reason of that case.
"""

import os
import sys

from alexnet_dist.launcher.launch_line import launch_line
from alexnet_dist.launcher.processes import run_without_launcher

ranks, program = int(sys.argv[1]), sys.argv[2:]
if "killed" in program:
    line = launch_line(ranks, program)
    os.execv(line[0], line)
sys.exit(run_without_launcher(ranks, program))

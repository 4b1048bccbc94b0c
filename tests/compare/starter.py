"""A command for `--start-with`, as tests/launcher/starter.py; it starts the planted `killed` under torch's agent.

Its launcher takes seconds for each run; what it says of a killed rank is the reason of that case.
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

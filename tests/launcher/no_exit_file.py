"""`no_exit_file.py FOLDER`: a program that succeeds but cannot write its exit.json, for a folder has that name."""

import sys
from pathlib import Path

from alexnet_dist.launcher.exit_status import ExitStatus, exit_code_of

folder = Path(sys.argv[1])
status = ExitStatus()
status.own(folder)
(folder / "exit.json").mkdir()
sys.exit(exit_code_of(lambda _: None, status))

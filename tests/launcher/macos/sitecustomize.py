"""With this folder on PYTHONPATH a process looks like one on macOS: no sched_getaffinity, and the platform's name.

What chooses files of the system by that name is imported before.
"""

import os
import subprocess
import sys

if "RANK" in os.environ or "train.py" in " ".join(sys.orig_argv):
    import accelerate
    import psutil
    import torch

    assert accelerate and psutil and subprocess and torch
    del os.sched_getaffinity
    sys.platform = "darwin"

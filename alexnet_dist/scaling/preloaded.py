"""Imports for the process that simulated ranks are forked from, so that no rank repeats them."""

import os
from importlib import import_module
from importlib.util import find_spec

# Read by DeepSpeed and by torch when they are imported.
os.environ |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
import_module("alexnet_dist.scaling.count")
if find_spec("deepspeed") is not None:
    import_module("deepspeed")

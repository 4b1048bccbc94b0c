"""Follows runs of three steps that trained nothing: `follow.py '[[FOLDER, FLAG, …], …]'`."""

import json
import sys
from pathlib import Path

from alexnet_dist.config.load import load
from alexnet_dist.telemetry.trackers import Tracked, Tracking

for folder, *flags in json.loads(sys.argv[1]):
    Path(folder).mkdir()
    tracking = Tracking(Tracked(load(flags), Path(folder)), print)
    for step in (1, 2, 3):
        tracking.log({"loss": 1 / step}, step)
    tracking.finish({"steps": 3, "loss": 9})

"""The engines of planted.py."""

import os
import signal
import sys
import time
from typing import Any

from alexnet_dist.strategies.engines.module import ModuleEngine

SLEEP_SECONDS = 0.4


class SlowEngine(ModuleEngine):
    def apply(self, *arguments: Any) -> Any:
        time.sleep(SLEEP_SECONDS)
        return super().apply(*arguments)


class WrongEngine(ModuleEngine):
    def place(self, net: Any, *rest: Any) -> None:
        net.get_parameter("conv2.weight").register_hook(lambda gradient: gradient * 1.01)
        super().place(net, *rest)


class KilledEngine(ModuleEngine):
    def place(self, *arguments: Any) -> None:
        if "train" in sys.argv:  # not in a parity worker
            os.kill(os.getpid(), signal.SIGKILL)
        super().place(*arguments)

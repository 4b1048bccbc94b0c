"""Strategies with a fault, for `--start-with "python planted.py"`: what a comparison must find out.

`split` sleeps in every update; `ddp` with a wire dtype of its own has one gradient 1 % too large; `split` with one is
killed as soon as it trains, as the kernel does it to a process that takes too much memory.
"""

import os
import runpy
import signal
import sys
import time
from typing import Any

from alexnet_dist.launcher.line import free_port, launch_line

SLEEP_SECONDS = 0.4
WRONG = "conv2.weight"


def plant() -> None:
    from alexnet_dist.strategies import STRATEGIES
    from alexnet_dist.strategies.ddp import Ddp
    from alexnet_dist.strategies.split import Split

    class WrongDdp(Ddp):
        def __init__(self, experiment: Any, *rest: Any) -> None:
            super().__init__(experiment, *rest)
            self.wrong = experiment.strategy.gradient_dtype is not None

        def place(self, net: Any, *rest: Any) -> Any:
            if self.wrong:
                net.get_parameter(WRONG).register_hook(lambda gradient: gradient * 1.01)
            return super().place(net, *rest)

    class SlowSplit(Split):
        def __init__(self, experiment: Any, *rest: Any) -> None:
            super().__init__(experiment, *rest)
            if experiment.strategy.gradient_dtype is not None and "train" in sys.argv:
                os.kill(os.getpid(), signal.SIGKILL)

        def apply(self, *arguments: Any) -> Any:
            time.sleep(SLEEP_SECONDS)
            return super().apply(*arguments)

    STRATEGIES.update(ddp=WrongDdp, split=SlowSplit)


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    if first == "program":
        plant()
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    else:
        line = launch_line(int(first), [__file__, "program", *rest], free_port())
        os.execv(line[0], line)

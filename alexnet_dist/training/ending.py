"""How a program ends: exit code, one line, exit.json. Imports nothing heavy, so that a slip is answered at once."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from alexnet_dist.errors import Diverged, Refusal
from alexnet_dist.telemetry.record import CONFIG, EXIT, write_exit

DONE, FAILED, REFUSED = 0, 1, 2


class Ending:
    """Where to write how a run ended; a refusal to touch an earlier run's folder is not written into it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def write(self, code: int, reason: str) -> None:
        """The first rank writes; another one only what the first cannot know: that it crashed."""
        if self.folder is None or (code != FAILED and int(os.environ.get("RANK", "0")) != 0):
            return
        if not (self.folder / EXIT).exists() or code != FAILED:
            write_exit(self.folder, code, reason)


def named_folder(flags: Sequence[str]) -> Path | None:
    """The free folder that --run.dir names, known even where the rest of the flags is nonsense."""
    words = [word for flag in flags for word in flag.split("=", 1)]
    names = [after for flag, after in pairwise(words) if flag == "--run.dir" and after]
    return Path(names[-1]) if names and not os.path.lexists(Path(names[-1], CONFIG)) else None


def guarded(action: Callable[[Ending], None], ending: Ending) -> int:
    """Run, and turn what happens into an exit code, one line and exit.json."""
    rank = int(os.environ.get("RANK", "0"))
    try:
        action(ending)
        code, reason = DONE, "finished"
    except Refusal as refusal:
        code, reason = REFUSED, str(refusal)
    except Diverged as diverged:
        code, reason = FAILED, str(diverged)
    except Exception as error:
        traceback.print_exc()
        print(f"error: rank {rank}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        ending.write(FAILED, f"rank {rank}: {error}")
        return FAILED
    if code != DONE and rank == 0:
        print(f"error: {reason}", file=sys.stderr, flush=True)
    ending.write(code, reason)
    if "torch" in sys.modules:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()
    return code

"""What a person sees while a comparison runs."""

import time

from alexnet_dist.telemetry.progress import ProgressBar


class ComparisonProgress(ProgressBar):
    """A bar over all pieces of work with the time left on a terminal, a line per piece elsewhere.

    Args:
        total: pieces of work to come: runs, groups of parity checks, measurements of the machine.
    """

    def __init__(self, total: int) -> None:
        super().__init__("comparing", total)
        self.done = 0
        self._start = time.monotonic()

    def begin(self, text: str) -> None:
        """The next piece of work starts; the one before it is done."""
        self.show(self.done, text, f"{self.done + 1}/{self.total}  {text}{self._left()}")
        self.done += 1

    def _left(self) -> str:
        if not self.done:
            return ""
        seconds = (time.monotonic() - self._start) / self.done * (self.total - self.done)
        return f", about {seconds / 60:.0f} min left" if seconds >= 60 else ", less than a minute left"

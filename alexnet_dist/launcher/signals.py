"""Which signals ask a run to save and stop."""

import signal
import time

SAME_SECONDS = 1.0
_STOP = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals to handle. SIGHUP, of a terminal that closes, is one unless nohup has made this program ignore it."""
    return _STOP if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*_STOP, signal.SIGHUP)


class StopRequests:
    """The requests that came as signals: the first one asks to save and stop, a later one to end at once.

    Of two in the same second the later one is ignored: `timeout` signals a program and then its process group. Nor does
    SIGHUP ask again: when a terminal closes, the shell and the kernel send one each, even if a Ctrl-C has already asked
    the run to stop.

    Attributes:
        came: whether there was one.
    """

    def __init__(self) -> None:
        self.came = False
        self._first = 0.0

    def asks_again(self, number: int) -> bool:
        """Whether this signal asks to end at once."""
        now = time.monotonic()
        if not self.came:
            self.came, self._first = True, now
        return number != signal.SIGHUP and now - self._first > SAME_SECONDS

"""Which signals ask a run to save and stop."""

import signal

_STOP = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals to handle. SIGHUP, of a terminal that closes, is one unless nohup has made this program ignore it."""
    return _STOP if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*_STOP, signal.SIGHUP)


def asks_again(number: int) -> bool:
    """Whether a signal to a run that is stopping already asks it to end at once. SIGHUP does not: when a terminal
    closes, the shell and the kernel send one each, even if a Ctrl-C has already told the run to stop."""
    return number != signal.SIGHUP

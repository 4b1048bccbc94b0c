"""What users get wrong and what fails, and the exit codes that tell them apart."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

# Of every command: finished; failed; not started, or given up, because of something that the user can fix; stopped on
# request, resumable (EX_TEMPFAIL of sysexits.h, which schedulers requeue); ended by Ctrl-C (128 and SIGINT).
DONE, FAILED, USAGE, STOPPED, INTERRUPTED = 0, 1, 2, 75, 130


class UsageError(Exception):
    """Something that the user can fix: a setting, an environment variable, a file.

    Printed once, as one line; the exit code is `USAGE`.

    Args:
        field: the dotted config field, environment variable or file that is at fault.
        given: what was found there.
        remedy: what is allowed, or what to do.
    """

    def __init__(self, field: str, given: object, remedy: str) -> None:
        self.field = field
        self.given = given
        self.remedy = remedy
        super().__init__(field, given, remedy)

    def __str__(self) -> str:
        # One line whatever was given: values come from users' files.
        given = " ".join(str(self.given).split())
        shown = given if len(given) <= 200 else given[:200] + "…"
        return f"{self.field}: {shown or 'empty'}: {' '.join(self.remedy.split())}"


@contextmanager
def refusing(field: str, given: object, remedy: str = "cannot be read") -> Iterator[None]:
    """Turn an OSError about a file that the user named into a UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(field, given, f"{remedy} ({error.strerror or error})") from None


def closest(given: str, allowed: Collection[str]) -> str:
    """The allowed word that a mistyped one was meant to be; empty where none is near."""
    from difflib import get_close_matches  # only where something is wrong

    return next(iter(get_close_matches(given, list(allowed), n=1)), "")


def one_of(given: str, allowed: Collection[str]) -> str:
    """The remedy for a word that is none of the allowed ones: "did you mean train? there are: launch, train"."""
    near = closest(given, allowed)
    return (f"did you mean {near}? " if near else "") + f"there are: {', '.join(allowed)}"


def alternatives(values: Collection[object]) -> str:
    """In words: "1, 2 or 4"."""
    *others, last = map(str, values)
    return f"{', '.join(others)} or {last}" if others else last


class RunFailed(Exception):
    """A run, or ranks that were started as separate processes, failed for a reason that is known."""


class RunRefused(RunFailed):
    """Ranks that were started as separate processes refuse something that the user can fix."""


class RankFailed(Exception):
    """One rank cannot go on, for a reason that is known; the launcher ends the others."""


class Diverged(Exception):
    """A loss is NaN or infinite.

    Args:
        which: in words, such as "the loss of step 3".
    """

    def __init__(self, which: str, loss: float) -> None:
        super().__init__(f"{which} is {loss}: lower optim.lr, or raise train.precision")


class Stopped(Exception):
    """The run was asked to stop and has saved a checkpoint to resume from."""


def in_one_line(error: BaseException) -> str:
    """An exception's message in one line; of CUDA's and HIP's the first one, for the others are advice to
    programmers."""
    text = str(error)
    return " ".join((text.partition("\n")[0] if text.startswith(("CUDA error", "HIP error")) else text).split())


def message_of(error: BaseException, most: int = 200) -> str:
    """An exception's message in one line of at most so many characters; without a message, its kind."""
    return in_one_line(error)[:most] or type(error).__name__


def reason_of(error: BaseException) -> str:
    """An exception in one line; for an OSError, the operating system's message and the file that it is about."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    text = in_one_line(error)
    # A long message ends with its reason.
    return f"{type(error).__name__}: {text if len(text) <= 300 else '…' + text[-300:]}"

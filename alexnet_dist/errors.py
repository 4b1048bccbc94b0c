"""What users get wrong and what fails, and the exit codes that tell them apart."""

# Of every command: finished; failed; not started, or given up, because of something that the user can mend; stopped on
# request, resumable (EX_TEMPFAIL of sysexits.h, which schedulers requeue).
DONE, FAILED, USAGE, STOPPED = 0, 1, 2, 75


class UsageError(Exception):
    """Something that the user can mend: a setting, an environment variable, a file.

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


class RunFailed(Exception):
    """Ranks that were started as separate processes failed."""


class Diverged(Exception):
    """The loss of a step is NaN or infinite."""

    def __init__(self, step: int, loss: float) -> None:
        self.step = step
        super().__init__(f"the loss of step {step} is {loss}: lower optim.lr, or raise train.precision")


class Stopped(Exception):
    """The run was asked to stop and has saved a checkpoint to resume from."""

"""What a user can get wrong: one line with the field, the value given, and the remedy."""


class UsageError(Exception):
    """The program will not start (or go on) for a reason that the user can mend.

    Printed once, as one line, and the program ends with exit code 2.

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
    """A run that was started as separate processes did not end well."""


class Diverged(Exception):
    """The loss became NaN or infinite: the run stops and names the step."""

    def __init__(self, step: int, loss: float) -> None:
        self.step = step
        super().__init__(f"the loss of step {step} is {loss}: lower optim.lr, or raise train.precision")


class Stopped(Exception):
    """The run was asked to stop, and can go on from where it stands."""

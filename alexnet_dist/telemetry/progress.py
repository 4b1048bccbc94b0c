"""What a person sees while work goes on: a bar on a terminal, plain lines elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar:
    """Progress over a known number of pieces of work; the bar is drawn while the object is entered.

    Args:
        label: before the bar.
        total, done: pieces of work, and how many of them are done.
        shown: False prints nothing.

    Attributes:
        is_drawn: whether there is a bar; callers may print fewer lines where there is none.
    """

    def __init__(self, label: str, total: int, done: int = 0, shown: bool = True) -> None:
        self.total = total
        self._shown = shown
        self._console = Console()
        left = TimeRemainingColumn(elapsed_when_finished=True)
        columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), left, TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=self._console)
        self._task = self._bar.add_task("", completed=done, total=total)
        self.is_drawn = shown and self._console.is_terminal

    def __enter__(self) -> Self:
        if self.is_drawn:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_drawn:
            self._bar.stop()

    def show(self, done: int, text: str, line: str) -> None:
        """Move the bar to `done` pieces, with `text` after it; without a bar print `line`."""
        if self.is_drawn:
            self._bar.update(self._task, completed=done, description=text)
        elif self._shown:
            print(line, flush=True)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._shown:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class RunProgress(ProgressBar):
    """Progress of one training run.

    Args:
        done, total: steps.
        shown: False on every rank but one.
    """

    def __init__(self, done: int, total: int, shown: bool) -> None:
        super().__init__("training", total, done, shown)

    def update(self, step: int, text: str) -> None:
        """`step` steps are done; `text` has the figures of the last window."""
        self.show(step, text, f"step {step}/{self.total}  {text}")

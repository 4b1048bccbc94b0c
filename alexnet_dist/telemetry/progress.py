"""What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class RunProgress:
    """Progress over a known number of steps.

    Args:
        done, total: steps.
        shown: False on every rank but one.
    """

    def __init__(self, done: int, total: int, shown: bool) -> None:
        self.total = total
        self.shown = shown
        self.console = Console()
        columns = TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self._bar = Progress(*columns, TextColumn("{task.description}"), console=self.console)
        self._task = self._bar.add_task("", completed=done, total=total)
        self._drawn = shown and self.console.is_terminal

    def __enter__(self) -> "RunProgress":
        if self._drawn:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            self._bar.stop()

    def update(self, step: int, text: str) -> None:
        """`step` steps are done; `text` says how it goes."""
        if self._drawn:
            self._bar.update(self._task, completed=step, description=text)
        elif self.shown:
            print(f"step {step}/{self.total}  {text}", flush=True)

    def say(self, text: str) -> None:
        """One line that stays."""
        if self.shown:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

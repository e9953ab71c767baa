"""Telling how far the work is: live lines on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bids_fx.cli.interruption import Interruption
from bids_fx.logs import fields

if TYPE_CHECKING:
    from rich.progress import TaskID

logger = logging.getLogger("bids_fx")


class Progress:
    """Shows each task of the workflow as it starts, ends or fails.

    On a terminal each running task has a live line with a clock; when it ends, a line stays.

    Parameters
    ----------
    interruption : Interruption
        Asked after each task whether the program is to end.
    """

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption
        self._started: dict[tuple[str, str], float] = {}
        self._live = None
        self._lines: dict[tuple[str, str], TaskID] = {}
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as RichProgress
            from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

            self._live = RichProgress(
                SpinnerColumn(finished_text=" "),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )

    def __enter__(self) -> Self:
        """Start the display."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the display; its lines stay."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, participant: str, task: str, status: str) -> None:
        """Show that a task has started (``start``), ended (``end``) or failed (``exception``)."""
        self._interruption.check()
        place = participant, task
        text = f"sub-{participant} {task}"
        if status == "start":
            self._started[place] = time.monotonic()
            if self._live is not None:
                self._lines[place] = self._live.add_task(text, total=1)
            else:
                told = fields(participant=participant, task=task, status="started")
                logger.info("%s: started", text, extra=told)
            return
        # nipype reports the end also of tasks that never started, since they lacked their input.
        begun = self._started.pop(place, None)
        if begun is None:
            return
        outcome = "failed" if status == "exception" else "done"
        seconds = time.monotonic() - begun
        if self._live is not None:
            # Only what is running stays live: a terminal has not lines enough for all tasks.
            self._live.remove_task(self._lines.pop(place))
            self._live.console.print(f"{text}: {outcome} in {seconds:.1f} s", markup=False)
        else:
            level = logging.ERROR if status == "exception" else logging.INFO
            told = fields(
                participant=participant, task=task, status=outcome, seconds=round(seconds, 1)
            )
            logger.log(level, "%s: %s in %.1f s", text, outcome, seconds, extra=told)

"""The account of a call: who ended how, told to its end also where not all can be written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bids_fx.calls import Failure
from bids_fx.cli.mishaps import Mishaps
from bids_fx.cli.outcomes import Outcome, summed, untold
from bids_fx.cli.summary import Stamps, write_summary
from bids_fx.errors import BIDSFXError, ExitCode, Problem
from bids_fx.logs import log_problems
from bids_fx.records import Plan
from bids_fx.usage import Meter

logger = logging.getLogger("bids_fx")


class Account:
    """How the participants of a call ended, and what could not be written.

    Parameters
    ----------
    out_dir, log_dir : Path
        The output folder, and the call's folder of logs.
    meter : Meter
        What was taken.
    mishaps : Mishaps
        What went wrong with participants and was not foreseen.
    """

    def __init__(self, out_dir: Path, log_dir: Path, meter: Meter, mishaps: Mishaps) -> None:
        self.out_dir = out_dir
        self.log_dir = log_dir
        self.meter = meter
        self.mishaps = mishaps
        self._outcomes: list[Outcome] = []
        self._written: dict[str, tuple[str, ...]] = {}
        self._unwritten: list[Problem] = []

    @property
    def has_failures(self) -> bool:
        """Whether any participant has failed."""
        return any(item.state != "done" for item in self._outcomes)

    @contextmanager
    def at_work_on(self, participant: str, stamps: Stamps | None = None) -> Iterator[None]:
        """Count the time of a participant and, at its end, what was written since some stamps."""
        with self.meter.timed(participant):
            yield
        if stamps is not None:
            self._written[participant] = stamps.written

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Keep what cannot be written for the end of the call: what is done is told first."""
        try:
            yield
        except BIDSFXError as error:
            self._unwritten += error.problems

    def told(self, plan: Plan, failures: Sequence[Failure], tell: Callable[[], Outcome]) -> None:
        """Keep how a participant ended, be it that nothing of it can be written."""
        earlier = self.mishaps.of(plan.participant)
        try:
            outcome = self.mishaps.attempt(plan.participant, tell)
        except BIDSFXError as error:
            outcome = self._untold(plan, failures, error)
        if outcome is None:
            new = self.mishaps.of(plan.participant)[len(earlier) :]
            outcome = self._untold(plan, (*failures, *new), None)
        self._outcomes.append(outcome)

    @contextmanager
    def beginning_with(self, plan: Plan) -> Iterator[None]:
        """Keep that a participant ended at once, if the first of it cannot be written."""
        try:
            yield
        except BIDSFXError as error:
            self._outcomes.append(self._untold(plan, (), error))

    def _untold(
        self, plan: Plan, failures: Sequence[Failure], error: BIDSFXError | None
    ) -> Outcome:
        """Return how a participant ended of whom not all can be written."""
        return untold(plan, self.out_dir, failures, error, self.meter, self.mishaps)

    def summarize(self, participants: Sequence[str], level: str) -> ExitCode:
        """Write how participants ended to the call's log, and return how the call did.

        Parameters
        ----------
        participants : sequence of str
            Labels of all, also of those whom the call has not come to.
        level : str
            Of the analysis.
        """
        ended = [(item, self._written.get(item.participant, ())) for item in self._outcomes]
        with self.going_on():
            write_summary(self.log_dir, level, ended, self.meter.of_all())
        problems = list(dict.fromkeys(self._unwritten))
        log_problems("bids_fx", problems)
        left = sorted({*participants} - {item.participant for item in self._outcomes})
        if left:
            logger.error("Not begun with: %s.", ", ".join(f"sub-{one}" for one in left))
        failed = [item.write_code for item in self._outcomes if item.state != "done"]
        if not (failed or left or problems):
            return ExitCode.OK
        return summed([*failed, *(problem.code for problem in problems)]) or ExitCode.FAILED

"""Errors that nobody foresaw: each costs one participant alone, and is kept in a file."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from bids_fx.calls import Failure
from bids_fx.derivatives.write import write_text
from bids_fx.errors import BIDSFXError, system_error

P = ParamSpec("P")
T = TypeVar("T")


class Mishaps:
    """Takes what goes wrong with one participant and was not foreseen.

    It is an error of the system, such as a right that is missing, or a fault of the program's own.

    Parameters
    ----------
    out_dir, log_dir : Path
        The output folder; in it, the call's folder of logs.
    """

    def __init__(self, out_dir: Path, log_dir: Path) -> None:
        self._out_dir, self._log_dir = out_dir, log_dir
        self._failures: dict[str, tuple[Failure, ...]] = {}

    def of(self, participant: str) -> tuple[Failure, ...]:
        """Return what went wrong with a participant, in the order in which it did."""
        return self._failures.get(participant, ())

    def attempt(
        self, participant: str, step: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T | None:
        """Return what a step returns, or None where it fails and nobody foresaw it.

        Raises
        ------
        BIDSFXError
            What was foreseen.
        """
        try:
            return step(*args, **options)
        except BIDSFXError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours may be of any kind
            self.keep(participant, error)
            return None

    def keep(self, participant: str, error: Exception) -> None:
        """Keep an error as a participant's failure, and all that is known of it in a file."""
        details = "".join(traceback.format_exception(error))
        earlier = self.of(participant)
        number = f"-{len(earlier) + 1}" if earlier else ""
        path = self._log_dir / f"error-sub-{participant}{number}.txt"
        crash = path.relative_to(self._out_dir).as_posix()
        try:
            write_text(path, details)
        except BIDSFXError:
            crash = ""
        told = system_error(error) if isinstance(error, OSError) else None
        message = " ".join(f"{type(error).__name__}: {error}".split())
        if told is not None:
            message = str(told).removesuffix(".")
        failure = Failure(
            record="a fault of the program" if told is None else "an error of the system",
            message=f"{message}; see {crash}" if crash else message,
            details="" if crash else details,
            crash=crash,
            code=None if told is None else told.exit_code,
        )
        self._failures[participant] = (*earlier, failure)

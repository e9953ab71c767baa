"""What calls of the program did for a participant, as the output folder keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bids_fx.errors import ExitCode
from bids_fx.records import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that failed while it ran.

    Parameters
    ----------
    record : str
        What failed: a node, a run or a group.
    message : str
        The error in one line.
    details : str
        All that is known, where no file has it.
    crash : str
        The file that has all that is known, from the output folder.
    code : ExitCode or None
        That of what could not be written; None for all other failures.
    """

    record: str
    message: str
    details: str = ""
    crash: str = ""
    code: ExitCode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one call of the program did for a participant, as the output folder keeps it.

    Parameters
    ----------
    plan : Plan
        Without tables, matrices and paths of the machine.
    state : str
        ``done`` or ``failed``.
    reasons : tuple of str
        What failed, in one line each.
    failures : tuple of Failure
        The same with all that is known of it.
    software : dict of str to str
        Versions by package.
    """

    plan: Plan
    state: Literal["done", "failed"]
    reasons: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    software: dict[str, str] = field(default_factory=dict)

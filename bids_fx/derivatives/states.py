"""How far each participant is, as calls write it down for those that look from outside."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bids_fx.derivatives.dataset import read_state, state_path
from bids_fx.derivatives.quality import is_number
from bids_fx.derivatives.write import is_locked, lock_path, locked, write_json


@dataclass(frozen=True, slots=True)
class Told:
    """What the output folder tells of how far a participant is.

    Parameters
    ----------
    state : str
        As it was written; empty where nothing was.
    reason : str
        Why the participant failed.
    is_live : bool
        Whether a call is at work on the participant, or will be, as far as this machine can see.
    seconds, peak_mb : float or None
        What the last call that has ended took for it (see `bids_fx.usage.Meter.of`); None where
        it is not known.
    """

    state: str = ""
    reason: str = ""
    is_live: bool = False
    seconds: float | None = None
    peak_mb: float | None = None


@contextmanager
def planned(out_dir: Path, participants: Iterable[str]) -> Iterator[None]:
    """Have participants told as planned, until the call begins with them or ends.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    participants : iterable of str
        Labels without ``sub-``.

    Notes
    -----
    What was told before stays in the file: a call that ends early puts it back, and of one that
    was killed, whose lock is free, `told_of` takes it as it was.
    """
    call = f"call-{uuid.uuid4()}"
    earlier: dict[str, Mapping[str, object]] = {}
    with locked(out_dir, call):
        try:
            for participant in participants:
                earlier[participant] = before = _without_plan(read_state(out_dir, participant))
                told = {"participant": participant, "state": "planned", "call": call}
                write_json(state_path(out_dir, participant), {**told, "before": before})
            yield
        finally:
            for participant, before in earlier.items():
                path = state_path(out_dir, participant)
                # Another call may have begun with the participant, or this one has.
                if read_state(out_dir, participant).get("call") != call:
                    continue
                if before:
                    write_json(path, before)
                else:
                    path.unlink()
            lock_path(out_dir, call).unlink()


def told_of(out_dir: Path, participant: str) -> Told:
    """Read how far a participant is.

    Parameters
    ----------
    out_dir : Path
        The output folder; other processes may be writing to it.
    participant : str
        Label without ``sub-``.
    """
    kept: Mapping[str, object] = read_state(out_dir, participant)
    if kept.get("state") == "planned":
        if is_locked(out_dir, _text(kept, "call")):
            return Told(state="planned", is_live=True)
        kept = _without_plan(kept) or {"state": "planned"}
    state = _text(kept, "state")
    is_live = state == "running" and is_locked(out_dir, f"sub-{participant}")
    return Told(
        state=state,
        reason=_text(kept, "reason"),
        is_live=is_live,
        seconds=_number(kept, "seconds"),
        peak_mb=_number(kept, "peak_mb"),
    )


def _without_plan(kept: Mapping[str, object]) -> Mapping[str, object]:
    """Return what was told before a call planned to begin; that of others as it is."""
    if kept.get("state") != "planned":
        return kept
    before = kept.get("before")
    return before if isinstance(before, dict) else {}


def _text(kept: Mapping[str, object], name: str) -> str:
    """Return a text that was kept; empty for whatever is none."""
    value = kept.get(name)
    return value if isinstance(value, str) else ""


def _number(kept: Mapping[str, object], name: str) -> float | None:
    """Return a number that was kept; None for whatever is none."""
    value = kept.get(name)
    return value if is_number(value) else None

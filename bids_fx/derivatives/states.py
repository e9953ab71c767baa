"""How far each participant is, as calls write it down for those that look from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bids_fx.derivatives.dataset import changing_states, read_state, state_path
from bids_fx.derivatives.locks import is_locked, locked, remove_abandoned
from bids_fx.derivatives.quality import is_number
from bids_fx.derivatives.write import remove_temporaries, to_json, write_text


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


#: Before a call's name, in the name of the lock that it has from its begin to its end.
_CALL = "call-"


@contextmanager
def under_way(log_dir: Path) -> Iterator[str]:
    """Hold the lock of a call as long as it writes to its folder of logs.

    What calls that were killed have left unfinished in theirs is removed.

    Parameters
    ----------
    log_dir : Path
        The call's own folder in ``logs`` of the output folder.

    Yields
    ------
    str
        The lock.
    """
    out_dir = log_dir.parent.parent
    with locked(out_dir, f"{_CALL}{log_dir.name}", for_good=True):
        for name in remove_abandoned(out_dir, _CALL):
            remove_temporaries(log_dir.with_name(name.removeprefix(_CALL)))
        yield f"{_CALL}{log_dir.name}"


@contextmanager
def planned(out_dir: Path, call: str, participants: Iterable[str]) -> Iterator[None]:
    """Have participants told as planned, until the call begins with them or ends.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    call : str
        The lock that the call holds (`under_way`).
    participants : iterable of str
        Labels without ``sub-``.

    Notes
    -----
    What was told before stays in the file: a call that ends early puts it back, and of one that
    was killed, whose lock is free, `told_of` takes it as it was.

    All are changed under one lock, and not synced: either takes longer than to write a state. A
    power cut may lose what was told, which is no result.
    """
    earlier: dict[str, Mapping[str, object]] = {}
    try:
        with changing_states(out_dir):
            # What processes have left that were killed while they wrote a state.
            remove_temporaries(state_path(out_dir, "").parent)
            for participant in participants:
                before = _without_plan(read_state(out_dir, participant))
                told = {"participant": participant, "state": "planned", "call": call}
                earlier[participant] = before
                _write(state_path(out_dir, participant), {**told, "before": before})
        yield
    finally:
        if earlier:
            _put_back(out_dir, call, earlier)


def _put_back(out_dir: Path, call: str, earlier: Mapping[str, Mapping[str, object]]) -> None:
    """Make states of participants what they were before a call's plan; empty means none."""
    with changing_states(out_dir):
        for participant, before in earlier.items():
            path = state_path(out_dir, participant)
            # Another call may have begun with the participant, or this one has.
            if read_state(out_dir, participant).get("call") != call:
                continue
            if before:
                _write(path, before)
            else:
                path.unlink()


def _write(path: Path, values: Mapping[str, object]) -> None:
    write_text(path, to_json(values), synced=False)


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

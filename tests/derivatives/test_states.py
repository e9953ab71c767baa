"""What a call writes down of participants that it has planned, and what is left of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bids_fx.derivatives.dataset import read_state, state_path, write_state
from bids_fx.derivatives.locks import locked
from bids_fx.derivatives.states import Told, planned, told_of, under_way


@contextmanager
def a_call(out_dir: Path, participants: list[str]) -> Iterator[None]:
    """Be a call that plans to work on participants."""
    with (
        under_way(out_dir / "logs" / str(uuid.uuid4())) as call,
        planned(out_dir, call, participants),
    ):
        yield


def test_participants_are_planned_until_their_call_begins_with_them(tmp_path: Path) -> None:
    with a_call(tmp_path, ["01", "02"]):
        with locked(tmp_path, "sub-01"):
            write_state(tmp_path, "01", "running")
            assert told_of(tmp_path, "01") == Told(state="running", is_live=True)
        assert told_of(tmp_path, "02") == Told(state="planned", is_live=True)


def test_call_that_ends_early_puts_back_what_was_told_before(tmp_path: Path) -> None:
    write_state(tmp_path, "01", "failed", "it is damaged")
    before = state_path(tmp_path, "01").read_bytes()
    with pytest.raises(SystemExit), a_call(tmp_path, ["01", "02"]):
        raise SystemExit(130)
    assert state_path(tmp_path, "01").read_bytes() == before
    assert not state_path(tmp_path, "02").exists()


def test_call_that_ends_leaves_what_it_did_itself(tmp_path: Path) -> None:
    write_state(tmp_path, "01", "failed", "it is damaged")
    with a_call(tmp_path, ["01"]):
        write_state(tmp_path, "01", "done")
    assert told_of(tmp_path, "01") == Told(state="done")


def test_call_that_ends_leaves_what_another_has_planned(tmp_path: Path) -> None:
    write_state(tmp_path, "01", "failed", "it is damaged")
    one, other = a_call(tmp_path, ["01"]), a_call(tmp_path, ["01"])
    one.__enter__()
    with other:
        one.__exit__(None, None, None)
        assert told_of(tmp_path, "01") == Told(state="planned", is_live=True)
    assert told_of(tmp_path, "01") == Told(state="failed", reason="it is damaged")


def test_call_leaves_no_lock_of_its_own(tmp_path: Path) -> None:
    with a_call(tmp_path, ["01"]):
        pass
    assert [path.name for path in tmp_path.rglob("call-*")] == []


def test_plan_is_kept_with_what_was_told_before_it(tmp_path: Path) -> None:
    write_state(tmp_path, "01", "done")
    before = read_state(tmp_path, "01")
    with a_call(tmp_path, ["01"]):
        assert read_state(tmp_path, "01")["before"] == before

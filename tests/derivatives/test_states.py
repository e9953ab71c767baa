"""What a call writes down of participants that it has planned, and what is left of it."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bids_fx.derivatives import states
from bids_fx.derivatives.claims import Claimant
from bids_fx.derivatives.dataset import read_state, state_path, write_state
from bids_fx.derivatives.locks import is_locked, locked
from bids_fx.derivatives.states import Told, planned, told_of, under_way
from bids_fx.derivatives.write import write_text
from tests.lock_user import ended, held


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


def test_what_a_killed_call_left_in_its_folder_of_logs_is_removed_by_the_next(
    tmp_path: Path,
) -> None:
    process = held(tmp_path, "call-dead")
    process.kill()
    ended(process)
    (dead, other) = (tmp_path / "logs" / name for name in ("dead", "other"))
    for folder in (dead, other):
        folder.mkdir(parents=True)
        (folder / ".summary.json.0123456789abcdef.tmp").touch()
        (folder / "config.toml").touch()
    with a_call(tmp_path, []):
        assert [path.name for path in dead.iterdir()] == ["config.toml"]
        assert len(list(other.iterdir())) == 2
    assert list((tmp_path / ".bids_fx_work" / "locks").glob("call-*")) == []


def test_states_left_unfinished_are_removed_by_the_next_call(tmp_path: Path) -> None:
    folder = state_path(tmp_path, "01").parent
    folder.mkdir(parents=True)
    (folder / ".sub-02.json.0123456789abcdef.tmp").touch()
    with a_call(tmp_path, ["01"]):
        assert [path.name for path in folder.iterdir()] == ["sub-01.json"]


def test_plans_for_many_take_one_lock_and_list_no_folder_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def noted(function: Callable[..., object], word: str) -> Callable[..., object]:
        return lambda *arguments, **named: (seen.append(word), function(*arguments, **named))[1]

    monkeypatch.setattr(Claimant, "make", noted(Claimant.make, "lock"))
    for name in ("fsync", "listdir", "scandir"):
        monkeypatch.setattr(os, name, noted(getattr(os, name), name))
    numbers = []
    for n_participants in (2, 20):
        seen.clear()
        with a_call(tmp_path, [f"{number:02}" for number in range(n_participants)]):
            pass
        numbers.append(Counter(seen))
    assert numbers[0] == numbers[1]
    assert numbers[0]["lock"] == 3  # the call's, then that of the states to plan and to put back


def test_plan_reads_and_writes_a_state_under_one_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []

    def read(out_dir: Path, participant: str) -> dict[str, object]:
        seen.append(("read", is_locked(out_dir, "states")))
        return read_state(out_dir, participant)

    def write(path: Path, text: str, **named: bool) -> None:
        seen.append(("write", is_locked(tmp_path, "states")))
        write_text(path, text, **named)

    write_state(tmp_path, "01", "done")
    monkeypatch.setattr(states, "read_state", read)
    monkeypatch.setattr(states, "write_text", write)
    with a_call(tmp_path, ["01"]):
        assert seen == [("read", True), ("write", True)]
    assert seen == 2 * [("read", True), ("write", True)]

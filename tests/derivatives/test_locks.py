"""Locks of the output folder: who has one, who waits, and what is left of them."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest

from bids_fx.derivatives import locks
from bids_fx.derivatives.claims import STALE_S, Claim, Claimant
from bids_fx.derivatives.locks import is_locked, lock_path, locked
from bids_fx.derivatives.write import (
    remove_outputs,
    remove_temporaries,
    remove_unfinished,
    remove_vouchers,
    write_text,
)
from bids_fx.errors import BIDSFXError, ExitCode
from tests.lock_user import ended, held

#: Seconds that a day has.
DAY = 86400


def files(out_dir: Path) -> list[str]:
    """Return what stands in the folder of locks."""
    return sorted(path.name for path in lock_path(out_dir, "").parent.iterdir())


def age(out_dir: Path, name: str, seconds: float) -> None:
    """Let the last beat of a lock's claim be some seconds ago."""
    moment = time.time() - seconds
    os.utime(lock_path(out_dir, name).with_suffix(".claim"), (moment, moment))


def lose(out_dir: Path, name: str) -> Claimant:
    """Have another take a lock over, as one of another machine does from one that sleeps."""
    path = lock_path(out_dir, name).with_suffix(".claim")
    path.unlink()
    other = Claimant(path)
    assert other.make(None)
    return other


@pytest.fixture
def sleepy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no claim beat by itself, and each count as late whenever it is looked at."""
    monkeypatch.setattr(locks._Pulse, "_beat", lambda _: None)
    monkeypatch.setattr(locks, "BEAT_S", -1.0)


def test_lock_is_seen_while_it_is_held_and_looking_writes_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path, "shared")
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path, "shared"):
        assert is_locked(tmp_path, "shared")
        assert not is_locked(tmp_path, "another")
        assert files(tmp_path) == ["shared.claim", "shared.lock"]
    assert not is_locked(tmp_path, "shared")
    assert files(tmp_path) == ["shared.lock"]


def test_lock_of_one_call_leaves_nothing(tmp_path: Path) -> None:
    with locked(tmp_path, "call-1", for_good=True):
        assert is_locked(tmp_path, "call-1")
    assert files(tmp_path) == []


def test_lock_is_given_back_whatever_ends_its_use(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), locked(tmp_path, "a", "b"):
        raise SystemExit(143)
    assert not is_locked(tmp_path, "a")
    assert files(tmp_path) == ["a.lock", "b.lock"]


def test_wait_that_is_ended_leaves_the_lock_to_its_holder_and_gives_back_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(_: float) -> None:
        raise SystemExit(130)

    monkeypatch.setattr(locks.time, "sleep", end)
    with locked(tmp_path, "b"):
        with pytest.raises(SystemExit), locked(tmp_path, "a", "b"):
            pytest.fail("it was taken")
        assert [is_locked(tmp_path, name) for name in "ab"] == [False, True]
    assert not is_locked(tmp_path, "b")


@pytest.mark.parametrize("names", [("sub-2", "sub-10", "a"), ("a", "sub-10", "sub-2", "a")])
def test_locks_are_taken_in_one_order(tmp_path: Path, monkeypatch, names) -> None:
    order: list[str] = []
    monkeypatch.setattr(locks, "_wait_for", lambda lock: order.append(lock.name))
    with locked(tmp_path, *names):
        assert order == ["a", "sub-10", "sub-2"]


def test_lock_that_cannot_be_asked_for_counts_as_held(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "no answer")

    with locked(tmp_path, "shared"):
        monkeypatch.setattr(fcntl, "flock", refuse)
        assert is_locked(tmp_path, "shared")


@pytest.mark.parametrize("option", ["--no-flock", "--machine=other"])
def test_lock_of_another_machine_is_seen_by_the_age_of_its_last_beat(
    tmp_path: Path, option: str
) -> None:
    process = held(tmp_path, "sub-01", option)
    assert is_locked(tmp_path, "sub-01")
    process.kill()
    process.wait()
    assert is_locked(tmp_path, "sub-01")
    age(tmp_path, "sub-01", locks.LOOK_S + 1)
    assert not is_locked(tmp_path, "sub-01")
    ended(process)


def test_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    process = held(tmp_path, "sub-01")
    assert is_locked(tmp_path, "sub-01")
    process.kill()
    ended(process)
    assert not is_locked(tmp_path, "sub-01")
    assert files(tmp_path) == ["sub-01.claim", "sub-01.lock"]
    with locked(tmp_path, "sub-01"):
        assert files(tmp_path) == ["sub-01.claim", "sub-01.lock"]


def test_stopped_process_of_this_machine_keeps_its_lock(tmp_path: Path) -> None:
    process = held(tmp_path, "sub-01")
    age(tmp_path, "sub-01", 10 * STALE_S)
    assert is_locked(tmp_path, "sub-01")
    assert ended(process) == (0, "released\n")


def test_held_lock_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_S", 0.01)
    path = lock_path(tmp_path, "shared").with_suffix(".claim")
    with locked(tmp_path, "shared"):
        first, end = Claim.read(path), time.monotonic() + 60
        while Claim.read(path) == first and time.monotonic() < end:
            time.sleep(0.01)
        assert Claim.read(path) != first
    end = time.monotonic() + 60
    while locks._PULSE._thread is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert locks._PULSE._thread is None


@pytest.mark.usefixtures("sleepy")
def test_who_lost_a_lock_asleep_writes_nothing_more_and_is_told_by_name(tmp_path: Path) -> None:
    told: list[BIDSFXError] = []
    file = tmp_path / "a.txt"
    lock = locked(tmp_path, "sub-01", on_loss=told.append)
    lock.__enter__()
    write_text(file, "as long as it is held")
    theirs = tmp_path / "sub-01" / ".b.nii.gz.0123456789abcdef.tmp"
    theirs.parent.mkdir()
    theirs.touch()
    other = lose(tmp_path, "sub-01")
    for change in (
        lambda: write_text(file, "too late"),
        lambda: remove_outputs([PurePosixPath("a.txt")], tmp_path),
        lambda: remove_vouchers([PurePosixPath("a.txt")], tmp_path),
        lambda: remove_unfinished(tmp_path, "01"),
        lambda: remove_temporaries(theirs.parent),
    ):
        with pytest.raises(BIDSFXError, match="has taken over"):
            change()
    assert theirs.exists()
    with pytest.raises(BIDSFXError) as caught:
        lock.__exit__(None, None, None)
    assert [file.read_text(), *(one.name for one in tmp_path.glob(".*.tmp"))] == [
        "as long as it is held"
    ]
    assert caught.value.exit_code == ExitCode.FAILED
    assert f"sub-01: another call (process {os.getpid()} on " in str(caught.value)
    assert "no sign of life for 120 s, as when it is suspended; this call" in str(caught.value)
    assert told == [caught.value]
    # The other still has it.
    assert other.beat()


@pytest.mark.usefixtures("sleepy")
def test_lock_that_was_lost_is_an_error_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(BIDSFXError, match="or somebody has removed"), locked(tmp_path, "sub-01"):
        lock_path(tmp_path, "sub-01").with_suffix(".claim").unlink()


@pytest.mark.usefixtures("sleepy")
def test_loss_hides_no_other_error(tmp_path: Path) -> None:
    lock = locked(tmp_path, "sub-01")
    lock.__enter__()
    lose(tmp_path, "sub-01")
    assert not lock.__exit__(SystemExit, SystemExit(143), None)


@pytest.mark.usefixtures("sleepy")
def test_claim_that_cannot_be_reached_keeps_from_writing(tmp_path: Path, monkeypatch) -> None:
    def refuse(_: Claimant) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with locked(tmp_path, "sub-01"):
        with monkeypatch.context() as patched:
            patched.setattr(Claimant, "beat", refuse)
            with pytest.raises(BIDSFXError, match=r"sub-01\.claim: cannot be written") as caught:
                write_text(tmp_path / "a.txt", "perhaps not ours")
        assert caught.value.exit_code == ExitCode.WRITE_FAILED
        write_text(tmp_path / "a.txt", "surely")


def _writes(out_dir: Path) -> None:
    write_text(out_dir / "a.txt", "of a child")


@pytest.mark.usefixtures("sleepy")
def test_forked_process_has_no_locks(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_writes, args=(tmp_path,))
    with suppress(BIDSFXError), locked(tmp_path, "sub-01"):
        lose(tmp_path, "sub-01")
        process.start()
        process.join()
    assert process.exitcode == 0
    assert (tmp_path / "a.txt").read_text() == "of a child"


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_lock_belongs_to_whom_the_umask_says(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with locked(tmp_path, "shared"):
            folder = lock_path(tmp_path, "").parent
            modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert modes == {0o666 & ~umask}


def test_folder_where_no_lock_can_be_made_is_named(tmp_path: Path) -> None:
    lock_path(tmp_path, "").parent.parent.mkdir()
    lock_path(tmp_path, "").parent.touch()
    with pytest.raises(BIDSFXError, match="locks: cannot be written") as caught:
        locked(tmp_path, "shared").__enter__()
    assert caught.value.exit_code == ExitCode.CANNOT_CREATE


def test_longest_names_have_locks_of_their_own(tmp_path: Path) -> None:
    one, other = (f"sub-{240 * 'ä'}{last}" for last in "xy")
    with locked(tmp_path, one):
        assert [is_locked(tmp_path, name) for name in (one, other)] == [True, False]
        assert max(len(os.fsencode(name)) for name in files(tmp_path)) <= 143 - 17


def test_locks_of_killed_calls_are_removed(tmp_path: Path) -> None:
    dead, alive = (held(tmp_path, f"call-{name}") for name in ("dead", "alive"))
    dead.kill()
    ended(dead)
    with locked(tmp_path, "sub-01"):
        assert locks.remove_abandoned(tmp_path, "call-") == ("call-dead",)
        own = ["sub-01.claim", "sub-01.lock"]
        assert files(tmp_path) == ["call-alive.claim", "call-alive.lock", *own]
    ended(alive)


def test_locks_of_calls_of_another_machine_are_removed_after_a_day(tmp_path: Path) -> None:
    process = held(tmp_path, "call-one", "--machine=other")
    process.kill()
    ended(process)
    folder = lock_path(tmp_path, "").parent
    for name in ("call-begun.lock", "sub-02.claim.0123456789abcdef", "sub-02.lock"):
        (folder / name).touch()
    before = files(tmp_path)
    assert locks.remove_abandoned(tmp_path, "call-") == ()
    assert files(tmp_path) == before
    for path in folder.iterdir():
        os.utime(path, (time.time() - DAY - 60, time.time() - DAY - 60))
    assert locks.remove_abandoned(tmp_path, "call-") == ("call-one",)
    assert files(tmp_path) == ["sub-02.lock"]

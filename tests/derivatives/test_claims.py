"""Claims have one maker at most, and of those whose makers are gone nobody is waited for."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bids_fx.derivatives import claims
from bids_fx.derivatives.claims import STALE_S, Claim, Claimant, LockFile

#: A lock file as a kernel may know it.
FILE = (7, 1234)


class Clock:
    """Stands in for the monotonic clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(claims.time, "monotonic", lambda: self.now)

    def watch(self, taker: Claimant, seconds: float, step: float = 1.0) -> bool:
        """Have a claim watched for a while; return whether it was taken over."""
        for _ in range(int(seconds / step)):
            if taker.make(None):
                return True
            self.now += step
        return taker.make(None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sub-01.claim"


@pytest.fixture
def clock() -> Iterator[Clock]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield Clock(monkeypatch)


def made(path: Path, lock: tuple[int, int] | None = None) -> Claimant:
    claimant = Claimant(path)
    assert claimant.make(lock)
    return claimant


def judges_stale(taker: Claimant, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]):
    """Have a taker think that a claim is stale, and something happen before it acts on that."""

    def is_stale(*_: object) -> bool:
        monkeypatch.setattr(taker, "_is_stale", lambda *_: False)
        then()
        return True

    monkeypatch.setattr(taker, "_is_stale", is_stale)


def test_claim_has_one_maker(path: Path) -> None:
    made(path)
    assert not Claimant(path).make(None)


def test_withdrawn_claim_is_free_and_leaves_nothing(path: Path) -> None:
    one = made(path)
    Claimant(path).withdraw()
    assert path.exists()
    one.withdraw()
    assert list(path.parent.iterdir()) == []
    made(path)


def test_claim_that_could_not_be_written_is_none(path: Path, monkeypatch) -> None:
    def full(_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(claims.json, "dumps", full)
        with pytest.raises(OSError, match="No space"):
            Claimant(path).make(None)
    assert list(path.parent.iterdir()) == []


def test_claim_without_beats_is_taken_over_in_time(path: Path, clock: Clock) -> None:
    made(path)
    taker = Claimant(path)
    assert not clock.watch(taker, STALE_S - 2)
    assert clock.watch(taker, 4)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_claim_that_beats_is_held_however_long_it_is_watched(path: Path, clock: Clock) -> None:
    holder, taker = made(path), Claimant(path)
    for _ in range(5):
        assert not clock.watch(taker, STALE_S - 2)
        assert holder.beat()
    assert not clock.watch(taker, STALE_S - 2)


def test_time_that_the_watcher_slept_itself_does_not_count(path: Path, clock: Clock) -> None:
    made(path)
    taker = Claimant(path)
    assert not clock.watch(taker, 50 * STALE_S, step=10 * STALE_S)


def test_claim_that_is_watched_is_the_present_one_alone(path: Path, clock: Clock) -> None:
    first, taker = made(path), Claimant(path)
    assert not clock.watch(taker, STALE_S - 2)
    first.withdraw()
    made(path)
    assert not clock.watch(taker, STALE_S - 2)


def test_claim_that_may_not_be_read_beats_by_its_time(path: Path, clock: Clock) -> None:
    path.touch()
    taker = Claimant(path)
    for moment in range(3):
        assert not clock.watch(taker, STALE_S - 2)
        os.utime(path, (moment, moment))
    assert clock.watch(taker, STALE_S + 2)


def test_claim_whose_lock_file_is_here_by_now_is_taken_over_at_once(path: Path) -> None:
    made(path, FILE)
    assert Claimant(path).make(FILE)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("theirs", "ours"), [(FILE, None), (None, None), (None, FILE), (FILE, (8, 1234))]
)
def test_claim_that_this_kernel_does_not_vouch_for_is_watched(path: Path, theirs, ours) -> None:
    made(path, theirs)
    assert not Claimant(path).make(ours)


@pytest.mark.parametrize("boot", ["another", ""])
def test_claim_made_under_another_kernel_is_watched(path: Path, monkeypatch, boot: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(claims, "_boot", lambda: boot)
        made(path, FILE)
        # A kernel that does not tell which it is vouches for nothing.
        assert Claimant(path).make(FILE) is (boot != "")
    made_there = json.loads(path.read_text()) | {"boot": boot}
    path.write_text(json.dumps(made_there))
    assert not Claimant(path).make(FILE)


def test_taker_who_comes_late_finds_the_new_claim(path: Path, monkeypatch) -> None:
    made(path, FILE)
    first, late = Claimant(path), Claimant(path)
    judges_stale(late, monkeypatch, lambda: first.make(FILE))
    assert not late.make(None)
    assert first.beat()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_taker_who_comes_late_leaves_a_claim_that_is_newly_made(path: Path, monkeypatch) -> None:
    first, late, newer = made(path), Claimant(path), Claimant(path)
    judges_stale(late, monkeypatch, lambda: (first.withdraw(), newer.make(None)))
    assert not late.make(None)
    assert newer.beat()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_maker_who_beats_before_it_is_taken_over_keeps_the_claim(path: Path, monkeypatch) -> None:
    holder, taker = made(path), Claimant(path)
    judges_stale(taker, monkeypatch, holder.beat)
    assert not taker.make(None)
    assert holder.beat()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_of_two_takers_at_once_one_wins(path: Path, monkeypatch) -> None:
    made(path, FILE)
    one, other = Claimant(path), Claimant(path)
    results: list[bool] = []

    def read(file: Path) -> Claim | None:
        # One has made its claim to the place by now; the other comes in between, once.
        if list(path.parent.glob("*.claim.*")):
            monkeypatch.undo()
            monkeypatch.setattr(other, "_is_stale", lambda place, *_: place == path)
            results.append(other.make(None))
        return original(file)

    original = Claim.read
    monkeypatch.setattr(Claim, "read", read)
    assert one.make(FILE)
    assert results == [False]
    assert one.beat()


def test_taker_who_was_killed_in_the_act_is_taken_over_too(path: Path, monkeypatch) -> None:
    made(path, FILE)
    killed = Claimant(path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: None)
        patched.setattr(killed, "_remove", lambda _: None)
        assert not killed.make(FILE)
    assert len(list(path.parent.iterdir())) == 2
    made(path, FILE)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_maker_learns_that_it_was_taken_over_and_changes_nothing(path: Path) -> None:
    first = made(path, FILE)
    made(path, FILE)
    before = path.read_bytes()
    assert not first.beat()
    first.withdraw()
    assert path.read_bytes() == before
    path.unlink()
    assert not first.beat()
    assert not path.exists()


def test_beat_changes_the_count_alone(path: Path) -> None:
    claimant = made(path)
    before = json.loads(path.read_text())
    for _ in range(12):
        assert claimant.beat()
    assert json.loads(path.read_text()) == before | {"beats": "0000000012"}
    assert before["beats"] == "0000000000"


@pytest.mark.parametrize("kind", ["link", "pipe", "damaged", "deep", "list"])
def test_claim_that_is_none_is_watched_like_any_other(path: Path, clock: Clock, kind: str) -> None:
    target = path.parent / "target"
    target.write_text("kept")
    if kind == "link":
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text({"damaged": "{", "deep": 5000 * "[", "list": "[]"}[kind])
    taker = Claimant(path)
    assert not clock.watch(taker, STALE_S - 2)
    assert clock.watch(taker, 4)
    assert target.read_text() == "kept"


def test_folder_in_place_of_a_claim_is_told_at_once_by_its_name(path: Path) -> None:
    path.mkdir()
    with pytest.raises(IsADirectoryError, match=r"/sub-01\.claim'$"):
        Claimant(path).make(None)
    assert list(path.parent.iterdir()) == [path]


def test_claim_that_names_no_maker_says_so(path: Path) -> None:
    path.touch()
    found = Claim.read(path)
    assert found is not None
    assert found.maker == "its claim does not say which"


def test_maker_is_told_in_letters_of_one_line(path: Path) -> None:
    path.write_text(json.dumps({"host": "a\x1b[2J\nb" + 500 * "c", "process": [1], "since": None}))
    found = Claim.read(path)
    assert found is not None
    assert found.maker == "process [1] on a[2Jb" + 75 * "c" + ", since None"


@pytest.mark.parametrize("number", ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"])
def test_lock_file_without_locks_keeps_nobody_from_claiming(
    path: Path, monkeypatch, number: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(getattr(errno, number), "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    one, other = LockFile(path), LockFile(path)
    assert (one.take(), one.identity, other.take()) == (True, None, True)


def test_lock_file_is_locked_by_one_at_a_time(path: Path) -> None:
    one, other = LockFile(path), LockFile(path)
    assert (one.take(), one.take(), other.take(), other.identity) == (True, True, False, None)
    one.release(for_good=False)
    assert other.take()
    assert other.identity == (path.stat().st_dev, path.stat().st_ino)


def test_lock_file_that_was_removed_is_not_the_one_that_is_there(path: Path, monkeypatch) -> None:
    one, other = LockFile(path), LockFile(path)

    def flock(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        path.unlink()
        assert other.take()
        fcntl.flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert not one.take()
    other.release(for_good=False)
    assert one.take()


def stale(*_: object) -> None:
    """Fail as NFS does where another machine has removed a file since it was opened."""
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


@pytest.mark.parametrize("call", ["fstat", "open"])
def test_claim_that_another_machine_removes_while_it_is_read_is_none(
    path: Path, monkeypatch, call: str
) -> None:
    made(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, call, stale)
        patched.setattr(Path, "lstat", stale)
        found = Claim.read(path)
    assert found is None


@pytest.mark.parametrize("owner", [(os, "fstat"), (fcntl, "flock")], ids=["fstat", "flock"])
def test_lock_file_that_another_machine_removes_while_it_is_taken_is_tried_again(
    path: Path, monkeypatch, owner
) -> None:
    lock = LockFile(path)
    with monkeypatch.context() as patched:
        patched.setattr(*owner, stale)
        assert not lock.take()
    assert lock.identity is None
    assert lock.take()


def test_lock_file_of_another_user_is_locked_though_it_can_be_read_alone(
    path: Path, monkeypatch
) -> None:
    path.touch()

    def opened(file: Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_RDWR | os.O_CREAT):
            raise PermissionError(errno.EACCES, "not yours", str(file))
        return original(file, flags, mode)

    original = os.open
    monkeypatch.setattr(os, "open", opened)
    one, other = LockFile(path), LockFile(path)
    assert (one.take(), other.take()) == (True, False)
    one.release(for_good=False)
    path.unlink()
    with pytest.raises(PermissionError, match="not yours"):
        other.take()


def test_lock_file_is_no_link_to_another_file(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(OSError, match=r"sub-01\.claim"):
        LockFile(path).take()
    assert not (path.parent / "elsewhere").exists()

"""Locks in the output folder, which hold among processes, containers and machines.

Who holds a lock has made its claim, and keeps it beating. Where the file system has ``flock``, the
holder has that of a lock file too. It decides nothing, but tells at once that a holder was killed:
the kernel that gives the lock file to somebody else vouches for it, if the claim was made under
it. Of all others only the beats tell: of claims of another machine, and where locks are not to be
had, or are each machine's own as on NFS that is mounted with ``nolock``.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bids_fx.derivatives.claims import (
    OPEN,
    STALE_S,
    Claim,
    Claimant,
    LockFile,
    identity_of,
    is_gone,
)
from bids_fx.errors import BIDSFXError, ExitCode, output_error
from bids_fx.logs import fields
from bids_fx.settings import WORK_AREA

logger = logging.getLogger("bids_fx")

#: Seconds between two beats.
BEAT_S = 10.0
#: Age in seconds, as the clocks of two machines tell it, up to which a claim counts for whoever
#: only looks.
LOOK_S = 300.0
#: Age in seconds from which what calls have left is removed, whoever they were.
ABANDONED_S = 86400.0
#: Seconds from one try to take a lock to the next: at first, and at most.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.5
#: Seconds of waiting after which it is told: of a participant, and of files that all calls write,
#: which takes moments; then after which it is told again.
TOLD_AFTER_S, SHARED_TOLD_AFTER_S, TOLD_AGAIN_S = 1.0, 10.0, 60.0

#: Bytes of a name that leave room for what is put to it: some file systems allow 143.
_NAME_BYTES = 110

#: Is told, in a thread of its own, of a lock that was lost.
OnLoss = Callable[[BIDSFXError], None]


class _Lock:
    """A lock that this process has or wants.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    name : str
        What is locked.
    on_loss : callable or None
        Is told if the lock was lost.
    """

    def __init__(self, out_dir: Path, name: str, on_loss: OnLoss | None) -> None:
        self.name = name
        path = lock_path(out_dir, name)
        self.file = LockFile(path)
        self.claimant = Claimant(_claim_path(path))
        self._on_loss = on_loss
        self._lost: BIDSFXError | None = None
        self._is_held = False
        self._beaten = 0.0
        self._mutex = threading.Lock()
        self._told: Claim | None = None

    def take(self) -> bool:
        """Try to take the lock, and return at once whether it is this process'."""
        try:
            self.file.path.parent.mkdir(parents=True, exist_ok=True)
            self._is_held = self.file.take() and self.claimant.make(self.file.identity)
        except OSError as error:
            raise output_error(Path(error.filename or self.file.path), error) from error
        self._beaten = time.time()
        return self._is_held

    def tell(self) -> None:
        """Log that the lock is waited for, and who has it."""
        found = Claim.read(self.claimant.path)
        is_silent = found is not None and found == self._told
        self._told = found
        label = self.name.removeprefix("sub-")
        is_one = label != self.name
        logger.info(
            "%s is being %s by another call%s; waiting for it to end.%s",
            self.name,
            "worked on" if is_one else "written",
            "" if found is None else f" ({found.maker})",
            " It has shown no sign of life since this was last said." if is_silent else "",
            extra=fields(**({"participant": label} if is_one else {})),
        )

    def confirm(self, *, every_s: float) -> None:
        """Show that this process lives, unless it did so less than some seconds ago.

        Raises
        ------
        BIDSFXError
            If another process has taken the lock since.
        OSError
            If the claim cannot be reached.
        """
        with self._mutex:
            if not self._is_held:
                return
            if self._lost is not None:
                raise self._lost
            # The clock of the day counts the sleep of a machine too. If it is set meanwhile, the
            # claim is looked at once more.
            if abs(time.time() - self._beaten) < every_s:
                return
            if not self.claimant.beat():
                self._lost = self._loss()
                if self._on_loss is not None:
                    self._on_loss(self._lost)
                raise self._lost
            self._beaten = time.time()

    def _loss(self) -> BIDSFXError:
        """Return the error that tells that the lock is another's by now, or nobody's."""
        found = Claim.read(self.claimant.path)
        who = "" if found is None else f" ({found.maker})"
        gone = f", or somebody has removed {self.claimant.path}" if found is None else ""
        return BIDSFXError.single(
            self.name,
            f"another call{who} has taken over, since this one showed no sign of life for "
            f"{STALE_S:g} s, as when it is suspended{gone}",
            "this call has ended; when the other has too, give the same command again",
            ExitCode.FAILED,
        )

    def release(self, *, for_good: bool) -> None:
        """Give the lock back, or up; `for_good` removes the lock file too."""
        with self._mutex:
            self._is_held = False
            self.claimant.withdraw()
            self.file.release(for_good=for_good)


class _Pulse:
    """Keeps the claims of this process beating, in one thread, as long as there are any."""

    _locks: list[_Lock]
    _mutex: threading.Lock
    _thread: threading.Thread | None
    _is_over: threading.Event

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Have no locks."""
        self._locks = []
        self._mutex = threading.Lock()
        self._thread = None
        self._is_over = threading.Event()

    def keep(self, lock: _Lock) -> None:
        """Keep a lock's claim beating."""
        with self._mutex:
            self._locks.append(lock)
            self._is_over.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, daemon=True)
                self._thread.start()

    def drop(self, lock: _Lock) -> None:
        """Let a lock's claim be."""
        with self._mutex:
            if lock in self._locks:
                self._locks.remove(lock)
            if not self._locks:
                self._is_over.set()

    def held(self) -> list[_Lock]:
        """Return the locks that this process has."""
        with self._mutex:
            return list(self._locks)

    def _beat(self) -> None:
        """Beat as long as there are locks; look often, since a machine may wake from its sleep."""
        while True:
            self._is_over.wait(min(BEAT_S, 1.0))
            with self._mutex:
                if not self._locks:
                    self._thread = None
                    return
            for lock in self.held():
                # What was lost is told already. A file system may be away for a while.
                with suppress(BIDSFXError, OSError):
                    lock.confirm(every_s=BEAT_S)


_PULSE = _Pulse()
# What is forked from this process has none of its locks.
os.register_at_fork(after_in_child=_PULSE.forget)


@contextmanager
def locked(
    out_dir: Path, *names: str, on_loss: OnLoss | None = None, for_good: bool = False
) -> Iterator[None]:
    """Hold exclusive locks of the output folder; wait for them, and say so if it takes long.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    *names : str
        What is locked: ``sub-LABEL`` for a participant, or what all calls write.
    on_loss : callable or None
        Is told, in a thread of its own, if a lock was lost: this process was stopped for so long
        that another took it for dead.
    for_good : bool
        Remove the lock files at the end, since nobody will want these names again.

    Raises
    ------
    BIDSFXError
        With code 73 where a lock cannot be created, 74 where it cannot be written; with code 1
        at the end if one was lost.

    Notes
    -----
    Several are taken in the order of their names, by all calls alike. So of calls that wait, the
    one that has the last name of all waits for none of the others: they never wait in a circle.
    """
    locks = [_Lock(out_dir, name, on_loss) for name in sorted(set(names))]
    with ExitStack() as stack:
        for lock in locks:
            # Beforehand, since a signal may end the program at any moment.
            stack.callback(lock.release, for_good=for_good)
            stack.callback(_PULSE.drop, lock)
            _wait_for(lock)
            _PULSE.keep(lock)
        yield
        _confirm(locks)


def _wait_for(lock: _Lock) -> None:
    """Take a lock as soon as it is to be had; signals end the wait at once."""
    is_shared = not lock.name.startswith("sub-")
    due = time.monotonic() + (SHARED_TOLD_AFTER_S if is_shared else TOLD_AFTER_S)
    pause = FIRST_PAUSE_S
    while not lock.take():
        if time.monotonic() >= due:
            lock.tell()
            due = time.monotonic() + TOLD_AGAIN_S
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_PAUSE_S)


def confirm_locks() -> None:
    """See that this process has lost no lock, if it was asleep for a while.

    Raises
    ------
    BIDSFXError
        If another process has taken one: what is written or removed now would come between its
        files.

    Notes
    -----
    Processes that work for the one that has the locks have none themselves. Where all were asleep
    together, they write and remove until the thread that keeps the claims has looked, which it
    does each second, and what `locked` was given as `on_loss` has ended them.
    """
    _confirm(_PULSE.held())


def _confirm(locks: list[_Lock]) -> None:
    for lock in locks:
        try:
            lock.confirm(every_s=2 * BEAT_S)
        except OSError as error:
            raise output_error(lock.claimant.path, error) from error


def is_locked(out_dir: Path, name: str) -> bool:
    """Tell whether any process holds a lock, without waiting or writing.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    name : str
        What may be locked.

    Returns
    -------
    bool
        True also where it cannot be told. A claim that this kernel does not vouch for, such as
        that of another machine, counts while it is younger than `LOOK_S` by the clocks of both:
        a look cannot wait for the next beat.
    """
    path = lock_path(out_dir, name)
    try:
        found = Claim.read(_claim_path(path))
        if found is None:
            return False
        is_held = _is_held(path, found)
    except OSError:
        return True
    return found.age_s < LOOK_S if is_held is None else is_held


def _is_held(path: Path, found: Claim) -> bool | None:
    """Tell whether the maker of a claim has its lock file; None where this kernel cannot know."""
    try:
        descriptor = os.open(path, os.O_RDONLY | OPEN)
    except FileNotFoundError:
        return None
    try:
        if not found.is_vouched_for(identity_of(descriptor)):
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if is_gone(error):
            return None
        raise
    finally:
        os.close(descriptor)
    return False


def remove_abandoned(out_dir: Path, prefix: str) -> tuple[str, ...]:
    """Remove the locks of calls that were killed.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    prefix : str
        What the names of locks begin with of which each is one call's own.

    Returns
    -------
    tuple of str
        The locks whose holders are gone: at once where this kernel vouches for it, else after
        `ABANDONED_S`.
    """
    folder = lock_path(out_dir, prefix).parent
    gone = []
    for claim in sorted(folder.glob(f"{prefix}*.claim")):
        found, path = Claim.read(claim), claim.with_suffix(".lock")
        if found is not None and (_is_held(path, found) is False or found.age_s > ABANDONED_S):
            gone.append(claim.stem)
            path.unlink(missing_ok=True)
            claim.unlink(missing_ok=True)
    # Of calls that were killed before they had made their claim, or had put it into its place.
    for rest in (*folder.glob(f"{prefix}*.lock"), *folder.glob("*.claim.*")):
        found = Claim.read(rest)
        is_old = found is not None and found.age_s > ABANDONED_S
        if is_old and not _claim_path(rest).exists():
            rest.unlink(missing_ok=True)
    return tuple(gone)


def lock_path(out_dir: Path, name: str) -> Path:
    """Return the path of a lock's file."""
    return out_dir / WORK_AREA / "locks" / f"{fitting(name)}.lock"


def _claim_path(path: Path) -> Path:
    """Return the path of the claim beside a lock file."""
    return path.with_suffix(".claim")


def fitting(name: str) -> str:
    """Return a name that leaves room for what is put to it, another one for each name.

    Examples
    --------
    >>> fitting("sub-01"), len(fitting(250 * "a"))
    ('sub-01', 110)
    """
    raw = os.fsencode(name)
    if len(raw) <= _NAME_BYTES:
        return name
    digest = hashlib.sha256(raw).hexdigest()[:16]
    return f"{raw[: _NAME_BYTES - 17].decode(errors='ignore')}-{digest}"

"""What a lock is made of: a claim, and a lock file where the file system has locks.

A claim is a small file of which there is one maker, who shows by beats that it lives. It needs
nothing of a file system but that only one process can create a file, and that files are renamed
at once.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Seconds without a beat after which a claim is of nobody. Shared file systems may show a file as
#: it was 60 s ago (NFS, ``acregmax``), and a beat may be late.
STALE_S = 120.0
#: Seconds between two looks at a claim that count as watching it all the time.
LONGEST_LOOK_AWAY_S = 1.0

#: How lock files and claims are opened: no link is followed, and no pipe waited for.
OPEN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

#: What says that a file system, or this way to open its file, has no locks.
_NO_LOCKS = (
    *(errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL),
    errno.EBADF,  # NFS locks only what may be written
)

#: A claim's text up to its count, whose digits are written over in place.
_BEFORE_BEATS = b'{"beats": "'
_BEATS = "{:010d}"
#: More than a claim has: nobody can make it a large file.
_MOST_BYTES = 4096

#: A file as the kernel knows it: device and inode.
Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as it was read.

    Parameters
    ----------
    inode, changed_ns : int
        Of its file; the time tells of beats also where the content may not be read.
    content : bytes
        Empty where it could not be read, or is not written yet.
    """

    inode: int
    changed_ns: int
    content: bytes

    @classmethod
    def read(cls, path: Path) -> Claim | None:
        """Read a claim; None where there is none."""
        content = b""
        try:
            descriptor = os.open(path, os.O_RDONLY | OPEN)
        except FileNotFoundError:
            return None
        except OSError:
            status = _status(path)
        else:
            try:
                status = _status(descriptor)
                with suppress(OSError):
                    content = os.read(descriptor, _MOST_BYTES)
            finally:
                os.close(descriptor)
        return None if status is None else cls(status.st_ino, status.st_mtime_ns, content)

    def value(self, name: str) -> object:
        """Return what it says; None where it says nothing."""
        try:
            values = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return values.get(name) if isinstance(values, dict) else None

    def is_vouched_for(self, lock: Identity | None) -> bool:
        """Tell whether its maker has a lock file locked under this kernel as long as it lives."""
        boot = _boot()
        return (
            lock is not None
            and boot != ""
            and self.value("boot") == boot
            and self.value("lock") == list(lock)
        )

    @property
    def age_s(self) -> float:
        """Seconds since the last beat, as this machine's clock has it."""
        return time.time() - self.changed_ns / 1e9

    @property
    def maker(self) -> str:
        """Who made it, for people: it means nothing among containers."""
        told = [self.value(name) for name in ("process", "host", "since")]
        if told == [None] * len(told):
            return "its claim does not say which"
        # Anybody who may write there may have written it.
        texts = ["".join(filter(str.isprintable, str(text)))[:80] for text in told]
        return "process {} on {}, since {}".format(*texts)


class Claimant:
    """One who wants a claim, or has made it.

    Parameters
    ----------
    path : Path
        The claim.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._token = secrets.token_hex(8)
        self._beats = 0
        # By claim: how it was last seen, for how many seconds it has been so, and until when.
        self._watched: dict[Path, tuple[Claim, float, float]] = {}

    def make(self, lock: Identity | None) -> bool:
        """Try to make the claim, or to take the place of a stale one; return whether it is made.

        Parameters
        ----------
        lock : Identity or None
            The lock file that this process has locked.
        """
        return self._make(self.path, lock)

    def _make(self, path: Path, lock: Identity | None) -> bool:
        """Make the claim itself or, by the same rules, one to the place of a stale one.

        For each stale claim there is one claim to its place. Who makes that, and then finds the
        stale claim still there, puts it into its place: one process at most, since the others find
        another claim there by then. If a process ends in between, its claim to the place becomes
        stale as any other.

        No file system puts a file into the place of a certain other one alone. If in the moment
        between the last look and that the stale claim's maker wakes and withdraws, and a third
        process makes its claim, that is lost: two think that they have it until the third beats
        next and is told. Where all three have the same lock file this cannot be.
        """
        if self._create(path, lock):
            return True
        found = Claim.read(path)
        if found is None or not self._is_stale(path, found, lock):
            return False
        digest = hashlib.sha256(repr(found).encode()).hexdigest()[:16]
        heir = self.path.with_name(f"{self.path.name}.{digest}")
        try:
            if self._make(heir, lock) and Claim.read(path) == found:
                with suppress(FileNotFoundError):
                    heir.replace(path)
                return self._is_own(path)
        finally:
            self._remove(heir)
        return False

    def _create(self, path: Path, lock: Identity | None) -> bool:
        """Create a claim; False if there is one, OSError where none can ever be."""
        told = {
            "beats": _BEATS.format(0),
            "token": self._token,
            "boot": _boot(),
            "lock": lock,
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        }
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN, 0o666)
        except FileExistsError:
            if path.is_dir() and not path.is_symlink():  # no file is ever put into its place
                raise IsADirectoryError(
                    errno.EISDIR, os.strerror(errno.EISDIR), str(path)
                ) from None
            return False
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(json.dumps(told).encode())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return True

    def _is_stale(self, path: Path, found: Claim, lock: Identity | None) -> bool:
        """Tell whether a claim's maker is gone.

        Either this kernel vouches for it: it has given this process the lock file that the maker
        had. Or there were no beats while this process watched, by its monotonic clock; the clocks
        of two machines are never compared, and while it was suspended itself it has not watched.
        """
        if found.is_vouched_for(lock):
            return True
        now = time.monotonic()
        before, seconds, last = self._watched.get(path, (found, 0.0, now))
        seconds = seconds + min(now - last, LONGEST_LOOK_AWAY_S) if before == found else 0.0
        self._watched[path] = found, seconds, now
        return seconds >= STALE_S

    def beat(self) -> bool:
        """Write the next count; False where the claim is not this one's any more.

        Raises
        ------
        OSError
            If the claim cannot be reached.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | OPEN)
        except FileNotFoundError:
            return False
        # Written over in place, so that it needs no space; closed, so that other machines see it.
        try:
            if self._token.encode() not in os.read(descriptor, _MOST_BYTES):
                return False
            self._beats += 1
            os.pwrite(descriptor, _BEATS.format(self._beats).encode(), len(_BEFORE_BEATS))
        finally:
            os.close(descriptor)
        return True

    def withdraw(self) -> None:
        """Remove the claim, if it is this one's."""
        self._remove(self.path)

    def _is_own(self, path: Path) -> bool:
        """Tell whether a claim was made here."""
        found = Claim.read(path)
        return found is not None and found.value("token") == self._token

    def _remove(self, path: Path) -> None:
        """Remove a claim that was made here, if it is there."""
        with suppress(OSError):
            if self._is_own(path):
                path.unlink()


class LockFile:
    """A file that this process locks, or tries to.

    Parameters
    ----------
    path : Path
        The file; made if need be, and it stays.

    Attributes
    ----------
    identity : Identity or None
        The file's as long as this process has it locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identity: Identity | None = None
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Try to lock the file; False if another process has it, True also if nobody can."""
        if self._descriptor is not None:
            return True
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = identity_of(descriptor)
            # It may have been removed since it was opened.
            is_there = found == identity_of(self.path)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _NO_LOCKS:
                return True
            if isinstance(error, BlockingIOError) or is_gone(error):
                return False
            raise
        if is_there:
            self._descriptor, self.identity = descriptor, found
        else:
            os.close(descriptor)
        return is_there

    def _open(self) -> int:
        """Open the file; that of another user perhaps to be read alone."""
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | OPEN, 0o666)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EROFS):
                with suppress(OSError):
                    return os.open(self.path, os.O_RDONLY | OPEN)
            raise

    def release(self, *, for_good: bool) -> None:
        """Unlock the file, if this process has it; `for_good` removes it in any case."""
        if for_good:
            with suppress(OSError):
                self.path.unlink()
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self.identity = None


def identity_of(file: Path | int) -> Identity | None:
    """Return what tells a file from all others of this machine; None where it is not there."""
    status = _status(file)
    return None if status is None else (status.st_dev, status.st_ino)


def _status(file: Path | int) -> os.stat_result | None:
    """Return the status of a file, or of the one that is open; None where it is not there."""
    try:
        return file.lstat() if isinstance(file, Path) else os.fstat(file)
    except OSError as error:
        if is_gone(error):
            return None
        raise


def is_gone(error: OSError) -> bool:
    """Tell whether a file is not there, or was removed from NFS since it was opened."""
    return error.errno in (errno.ENOENT, errno.ESTALE)


@cache
def _boot() -> str:
    """Return what this kernel calls the time since its start; empty where it does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""

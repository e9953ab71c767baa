"""Files as streams of bytes, uncompressed and hashed on the way."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bids_fx.errors import BIDSFXError, ExitCode, reading_remedy
from bids_fx.regular import IrregularError, open_regular

if TYPE_CHECKING:
    from isal.igzip_lib import IgzipDecompressor

CHUNK = 1 << 20
#: Bytes that are read at once of each of many files.
PIECE = 1 << 15
_GZIP = b"\x1f\x8b"
#: No byte of deflate stands for more: 258 bytes in two bits (RFC 1951, 3.2.5).
MOST_INFLATION = 1032
#: So many bytes after the last that are expected are read and passed over, such as padding.
MOST_BEYOND = 1 << 26
#: How a file begins whose content git-annex or git-lfs has not fetched yet.
_UNFETCHED = (b"/annex/objects/", b".git/annex/", b"version https://git-lfs")


class HashedFile(io.RawIOBase):
    """A file whose bytes are hashed as they are read, once and in order."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._digest = hashlib.sha256()
        self._start = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer and return the number of bytes."""
        count = self._raw.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:count])
        self._start = self._start or bytes(memoryview(buffer)[: min(count, len(_GZIP))])
        return count

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._raw.fileno()

    @property
    def is_gzip(self) -> bool:
        """Whether what was read so far begins as gzip files do."""
        return begins_as_gzip(self._start)

    @property
    def sha256(self) -> str:
        """Hash of what was read so far."""
        return self._digest.hexdigest()


class ReopenedFile(io.RawIOBase):
    """A file that is open only while a piece of it is read: many take no more than one descriptor.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._stamp: tuple[int, ...] = ()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read a piece into a buffer and return the number of bytes; another file is refused."""
        with open_file(self._path) as file:
            status = os.fstat(file.fileno())
            stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if self._stamp and stamp != self._stamp:
                raise bad_file(self._path, "changed while it was read", "run again")
            file.seek(self._place)
            count = file.readinto(memoryview(buffer)[:PIECE])
        self._stamp = stamp
        self._place += count
        return count


class InflatedFile(io.RawIOBase):
    """The uncompressed bytes of a gzip file, of which little is held at a time.

    Parameters
    ----------
    file : RawIOBase
        The file as stored; it may have several members, and zeros after each.

    Notes
    -----
    `isal.igzip.IGzipFile` is as fast but has a buffer of 512 kB.
    """

    def __init__(self, file: io.RawIOBase) -> None:
        self._file = file
        self._member = self._begin()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer and return the number of bytes."""
        piece = b""
        while not piece:
            if self._member.eof:
                stored = self._member.unused_data.lstrip(b"\0")
                while not stored:
                    if not (stored := self._file.read(PIECE) or b""):
                        return 0
                    stored = stored.lstrip(b"\0")
                self._member = self._begin()
            else:
                stored = b""
                if self._member.needs_input and not (stored := self._file.read(PIECE) or b""):
                    raise EOFError
            piece = self._member.decompress(stored, len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    @staticmethod
    def _begin() -> IgzipDecompressor:
        from isal import igzip_lib

        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def open_file(path: Path) -> io.FileIO:
    """Open a file for reading, if it is one with an end.

    Raises
    ------
    BIDSFXError
        If it is a folder, a pipe, a socket or a device.
    OSError
        If it cannot be opened.
    """
    try:
        return open_regular(path)
    except IrregularError as error:
        raise bad_file(path, str(error), "put the file there") from None


def stored_size(file: io.RawIOBase) -> int:
    """Return the size of an open file as stored, in bytes."""
    return os.fstat(file.fileno()).st_size


def drain(stream: io.BufferedIOBase, path: Path, expected: int) -> int:
    """Read a stream to its end and return the number of bytes.

    Parameters
    ----------
    stream : BufferedIOBase
        What is left to be read.
    path : Path
        The file.
    expected : int
        Bytes that should be left.

    Raises
    ------
    BIDSFXError
        As soon as it goes on for more than `MOST_BEYOND` bytes after those.
    """
    count = 0
    while piece := len(stream.read(CHUNK)):
        count += piece
        if count > expected + MOST_BEYOND:
            raise goes_on(path)
    return count


@contextmanager
def open_stream(path: Path, chunk: int = CHUNK) -> Iterator[tuple[io.BufferedIOBase, HashedFile]]:
    """Open a file for reading; gzip is told by the first bytes, not by the name.

    Parameters
    ----------
    path : Path
        The file.
    chunk : int
        Bytes that are read from the disk at once.

    Yields
    ------
    stream : BufferedIOBase
        The uncompressed bytes.
    file : HashedFile
        The file as stored; its hash covers what was read so far.

    Raises
    ------
    BIDSFXError
        If the file is absent or cannot be read, or its compressed data are truncated or corrupt.
    """
    from isal import igzip

    with reading(path), open_file(path) as raw:
        file = HashedFile(raw)
        source = io.BufferedReader(file, chunk)
        start = source.peek(2)
        if start.startswith(_UNFETCHED):
            raise unfetched(path, "a placeholder of git-annex or git-lfs")
        if not file.is_gzip:
            yield source, file
            return
        with igzip.IGzipFile(fileobj=source, mode="rb") as stream:
            yield stream, file


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into an error that names it.

    Raises
    ------
    BIDSFXError
        If the file is absent or cannot be read, or its compressed data are truncated or corrupt.
    """
    from isal import igzip_lib

    # The library's stub declares an instance where the module has the class.
    isal_error = cast("type[Exception]", igzip_lib.IsalError)
    try:
        yield
    except FileNotFoundError:
        found = "a link to a file that is not there" if path.is_symlink() else "no such file"
        raise unfetched(path, found) from None
    except EOFError:
        raise truncated(path, "the compressed data end early") from None
    except gzip.BadGzipFile as error:
        found = f"cannot be read ({error})"
        if str(error).startswith("Not a gzipped file"):  # its beginning was seen to be gzip
            found = "something else follows its compressed data"
        raise bad_file(path, found) from None
    except (OSError, zlib.error, isal_error) as error:
        told = getattr(error, "strerror", None) or error
        raise bad_file(path, f"cannot be read ({told})", reading_remedy(error)) from None


def is_gzip(path: Path) -> bool:
    """Tell whether a file begins as gzip files do."""
    with open_file(path) as file:
        return begins_as_gzip(file.read(2))


def begins_as_gzip(start: bytes) -> bool:
    """Tell whether these are the first bytes of a gzip file."""
    return start[:2] == _GZIP


def unfetched(path: Path, found: str) -> BIDSFXError:
    """Return the error of a file whose content is not here."""
    remedy = "fetch it (datalad get, git annex get) or restore it"
    if path.is_symlink():
        remedy += "; in a container, mount what it points to"
    return BIDSFXError.single(str(path), found, remedy, ExitCode.MISSING_INPUT)


def bad_file(
    path: Path, found: str, remedy: str = "restore the file from its source"
) -> BIDSFXError:
    """Return the error of a file that is there but not good."""
    return BIDSFXError.single(str(path), found, remedy)


def goes_on(path: Path) -> BIDSFXError:
    """Return the error of a file that has far more in it than its header says."""
    return bad_file(path, "it goes on far beyond what its header promises")


def truncated(path: Path, found: str) -> BIDSFXError:
    """Return the error of a file that ends too early."""
    return bad_file(path, f"truncated: {found}")

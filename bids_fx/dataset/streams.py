"""Files as streams of bytes, uncompressed and hashed on the way."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from bids_fx.errors import BIDSFXError, ExitCode

CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"


class HashedFile(io.RawIOBase):
    """A file whose bytes are hashed as they are read, once and in order."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer and return the number of bytes."""
        count = self._raw.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:count])
        return count

    @property
    def sha256(self) -> str:
        """Hash of what was read so far."""
        return self._digest.hexdigest()


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
    from isal import igzip, igzip_lib

    # The library's stub declares an instance where the module has the class.
    isal_error = cast("type[Exception]", igzip_lib.IsalError)
    try:
        with path.open("rb", buffering=0) as raw:
            file = HashedFile(raw)
            source = io.BufferedReader(file, chunk)
            if source.peek(2)[:2] != _GZIP:
                yield source, file
                return
            with igzip.IGzipFile(fileobj=source, mode="rb") as stream:
                yield stream, file
    except FileNotFoundError:
        found = "a link to a file that is not there" if path.is_symlink() else "no such file"
        remedy = "fetch it (datalad get, git annex get) or restore it"
        raise BIDSFXError.single(str(path), found, remedy, ExitCode.MISSING_INPUT) from None
    except EOFError:
        raise truncated(path, "the compressed data end early") from None
    except (OSError, zlib.error, isal_error) as error:
        raise bad_file(path, f"cannot be read ({error})") from None


def is_gzip(path: Path) -> bool:
    """Tell whether a file begins as gzip files do."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def bad_file(
    path: Path, found: str, remedy: str = "restore the file from its source"
) -> BIDSFXError:
    """Return the error of a file that is there but not good."""
    return BIDSFXError.single(str(path), found, remedy)


def truncated(path: Path, found: str) -> BIDSFXError:
    """Return the error of a file that ends too early."""
    return bad_file(path, f"truncated: {found}")

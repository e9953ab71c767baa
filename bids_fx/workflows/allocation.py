"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes

#: Parameters of glibc's ``mallopt``.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Bytes up to which an array is put where others were.
REUSED = 8 << 20
#: Bytes of free memory that are kept for the next array.
KEPT = 16 << 20


def keep_freed_memory() -> None:
    """Let this process keep some memory that is freed, for what is allocated next.

    A fit allocates and frees arrays of some MB over and over. By itself glibc gives them back to
    the system at once, which then has to clear fresh pages: a fifth of the time of a small run.
    Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, REUSED)
        mallopt(_TRIM_THRESHOLD, KEPT)

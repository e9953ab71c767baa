"""What all benchmarks print: aligned tables, and the versions that were run."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version

from bids_fx import __version__


def aligned(rows: Sequence[Sequence[str]], *, markdown: bool) -> Iterator[str]:
    """Iterate over the lines of a table whose first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    edge, between = ("| ", " | ") if markdown else ("  ", "   ")
    for i, row in enumerate(rows):
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield (edge + between.join(cells) + (" |" if markdown else "")).rstrip()
        if i == 0:
            rule = ("-" * width for width in widths)
            yield edge + between.join(rule) + (" |" if markdown else "")


def versions(packages: Iterable[str]) -> str:
    """Return this package's version, Python's and those of other packages."""
    others = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"bids_fx {__version__}, Python {platform.python_version()}, {others}"

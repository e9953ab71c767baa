"""What of the file system a container has to see, at the same paths as outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from os.path import commonpath, normpath
from pathlib import Path

#: More folders than this that links of single files lead to are bound as the one that holds them.
MAX_LINKED = 20
#: More links than this on the way to a file are a loop, as the kernel has it too.
_MAX_LINKS = 40


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Bind:
    """A folder or file that a container sees.

    Parameters
    ----------
    inside, outside : Path
        Where it is there, and on the machine.
    is_written : bool
        Whether it is written to.
    """

    inside: Path
    outside: Path
    is_written: bool = False

    @property
    def argument(self) -> str:
        """The value of the option ``--bind``."""
        return f"{self.outside}:{self.inside}" + ("" if self.is_written else ":ro")


def find_binds(
    read: Iterable[Path], written: Iterable[Path], files: Iterable[Path]
) -> tuple[Bind, ...]:
    """Return what has to be bound, what lies in it after it.

    Parameters
    ----------
    read, written : iterable of Path
        Folders and files, absolute; those that are not there are left out.
    files : iterable of Path
        Files in them, of which those that lie elsewhere by a symbolic link are bound too.

    Notes
    -----
    A folder is bound by the name that its user gave it. What symbolic links below it lead to has
    to be seen where they lead to from there: DataLad's annex beside the data, or derivatives that
    are a link to another disk.
    """
    read, written = ([path for path in paths if path.exists()] for paths in (read, written))
    tops = [one for one in {*read, *written} if not {*read, *written} & set(one.parents)]
    found = {Bind(inside=top, outside=top, is_written=top in written) for top in tops}
    folders: set[Bind] = set()
    for path in (*read, *written, *files):
        *links, end = _way(path, tops)
        for link in links:
            if link.outside.is_dir():
                found.add(link)
            else:
                folders.add(Bind(inside=link.inside.parent, outside=link.outside.parent))
        if path in written:
            found.add(replace(end, is_written=True))
    found |= _gathered(folders)
    return tuple(sorted(bind for bind in found if not _is_covered(bind, found)))


def _way(path: Path, tops: list[Path]) -> Iterator[Bind]:
    """Iterate over where symbolic links on the way to a file lead, and at last the file.

    Links to what a top holds are followed, and need no bind of their own. Of a way that ends
    nowhere, the end is where it ends.
    """
    inside, outside, parts = _entry(path, tops)
    for _ in range(_MAX_LINKS):
        while parts and not (outside / parts[0]).is_symlink():
            inside, outside = inside / parts[0], outside / parts[0]
            parts = parts[1:]
        if not parts:
            break
        link = outside / parts[0]
        target = Path(normpath(inside / link.readlink()))
        if any(target.is_relative_to(top) for top in tops):
            inside, outside, before = _entry(target, tops)
            parts = (*before, *parts[1:])
            continue
        inside, outside, parts = target, link.resolve(), parts[1:]
        if not outside.exists():
            break
        yield Bind(inside=inside, outside=outside)
    yield Bind(inside=inside, outside=outside)


def _entry(path: Path, tops: list[Path]) -> tuple[Path, Path, tuple[str, ...]]:
    """Return the top that holds a path, where it is outside, and the way from it."""
    (top,) = (top for top in tops if path.is_relative_to(top))
    return top, top.resolve(), path.relative_to(top).parts


def _gathered(folders: set[Bind]) -> set[Bind]:
    """Return one folder that holds all of many, if there is one."""
    if len(folders) <= MAX_LINKED:
        return folders
    inside = Path(commonpath([bind.inside for bind in folders]))
    outside = Path(commonpath([bind.outside for bind in folders]))
    is_alike = all(
        bind.inside.relative_to(inside) == bind.outside.relative_to(outside) for bind in folders
    )
    is_deep = min(len(inside.parts), len(outside.parts)) > 2  # of the root's own folders none
    return {Bind(inside=inside, outside=outside)} if is_alike and is_deep else folders


def _is_covered(bind: Bind, found: Iterable[Bind]) -> bool:
    """Tell whether another shows the same at the same place, with the same right to write."""
    return any(
        other != bind
        and bind.inside.is_relative_to(other.inside)
        and other.is_written >= bind.is_written
        and (other.outside / bind.inside.relative_to(other.inside)).resolve()
        == bind.outside.resolve()
        for other in found
    )

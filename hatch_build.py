"""Puts NiiVue, the viewer of the maps in reports, into the package while it is built.

The library is not in this repository: npm fetches it, from where npm's own configuration says.
As a script (``make viewer``) it does the same without building anything.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NpmFile(NamedTuple):
    """A file of a package of npm.

    Attributes
    ----------
    package : str
        Name and version.
    sha512 : str
        Of the tarball, in base64 as npm tells it (``npm view PACKAGE dist.integrity``).
    member, sha256 : str
        The file in it, and its hash.
    """

    package: str
    sha512: str
    member: str
    sha256: str


NIIVUE = NpmFile(
    package="@niivue/niivue@0.69.0",
    sha512="YMjQvJgD1W2b7DuoxkwlC4VxbrgIePRJ5qyQzXKxi2v2MBVg285P/CIQyg46oDDGDIcaNlbd+MhtO/edMbXJkA==",
    member="package/dist/niivue.umd.js",
    sha256="47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af",
)
LIBRARY = Path("bids_fx", "data", "viewer", "niivue.umd.js")

#: What builders can ask for, with an environment variable.
CHOICE = "BIDS_FX_VIEWER"
CHOICES = ("auto", "require", "skip")
#: npm waits for an answer longer than anybody wants to wait for a viewer.
SECONDS = 300


class ViewerError(Exception):
    """Why the library cannot be had."""


class ViewerBuildHook(BuildHookInterface[Any]):
    """Gives the wheel the library, or says why it has none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch the library before the files of the wheel are gathered.

        Raises
        ------
        ViewerError
            Where it is required and cannot be had.
        """
        if provide(Path(self.root), choice()):
            build_data["artifacts"].append(LIBRARY.as_posix())


def choice() -> str:
    """Return what the builder asks for.

    Raises
    ------
    ViewerError
        For a value that has no meaning.
    """
    value = os.environ.get(CHOICE) or "auto"
    if value not in CHOICES:
        raise ViewerError(f"{CHOICE}={value}: use one of {', '.join(CHOICES)}")
    return value


def provide(root: Path, wish: str) -> bool:
    """Put the library where the package has it, if it is not there yet.

    Parameters
    ----------
    root : Path
        The folder of ``pyproject.toml``.
    wish : str
        One of `CHOICES`.

    Returns
    -------
    bool
        Whether it is there; a file with another hash is taken away.

    Raises
    ------
    ViewerError
        Where it is required and cannot be had, or where a file with another hash cannot go.
    """
    if wish == "skip":
        _say(f"left out, as {CHOICE}=skip asks: reports will have no viewer of the maps.")
        return False
    target = root / LIBRARY
    try:
        obtain(NIIVUE, target)
    except ViewerError as error:
        _remove(target)
        if wish == "require":
            raise
        _say(f"{error}. Reports will have no viewer of the maps; {CHOICE}=require refuses this.")
        return False
    return True


def obtain(wanted: NpmFile, target: Path) -> None:
    """Put a file of npm somewhere, if it is not there yet.

    Raises
    ------
    ViewerError
        Where it cannot be had or written.
    """
    try:
        is_there = target.is_file() and _sha256(target.read_bytes()) == wanted.sha256
        if not is_there:
            _write(target, fetch(wanted))
    except OSError as error:
        raise ViewerError(f"{target.name} cannot be written ({error})") from error


def fetch(wanted: NpmFile) -> bytes:
    """Return a file from npm's tarball.

    Raises
    ------
    ViewerError
        Without npm or a network, or where a hash is another one.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ViewerError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        # Its own folder: npm would read the configuration of a project around it.
        options = ("--pack-destination", folder, "--fetch-retries=1", "--loglevel=error")
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and nothing of the user's in it
                [npm, "pack", wanted.package, *options],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ViewerError(f"npm pack {wanted.package}: {error}") from error
        tarballs = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(tarballs) != 1:
            said = " ".join(done.stderr.split()) or "no tarball"
            raise ViewerError(f"npm pack {wanted.package} failed ({said[:300]})")
        return extract(wanted, tarballs[0])


def extract(wanted: NpmFile, tarball: Path) -> bytes:
    """Return a file out of a tarball, whose hash and whose own must be the known ones.

    Raises
    ------
    ViewerError
        Where one is not, or where there is no such file.
    """
    digest = hashlib.sha512(tarball.read_bytes()).digest()
    if base64.b64encode(digest).decode() != wanted.sha512:
        raise ViewerError(f"what npm fetched is not {wanted.package}: its hash is another one")
    # Nothing is unpacked: one member is read, whatever paths the others name.
    with tarfile.open(tarball, "r:gz") as archive:
        try:
            member = archive.extractfile(wanted.member)
        except KeyError:
            member = None
        content = b"" if member is None else member.read()
    if _sha256(content) != wanted.sha256:
        raise ViewerError(f"{wanted.member} of {wanted.package} is missing or has another hash")
    return content


def _write(path: Path, content: bytes) -> None:
    """Write a file at once, since two builds may go on beside each other."""
    path.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _remove(path: Path) -> None:
    """Remove a file; whatever it is, it must not go into the package."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        if path.is_file():
            raise ViewerError(f"{path} cannot be removed ({error})") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _say(text: str) -> None:
    """Tell the builder, whose standard output may be read by a program."""
    sys.stderr.write(f"bids_fx: NiiVue: {text}\n")


if __name__ == "__main__":
    try:
        provide(Path(__file__).parent, choice())
    except ViewerError as problem:
        sys.exit(f"bids_fx: NiiVue: {problem}")

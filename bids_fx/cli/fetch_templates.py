"""The program that fetches the standard brains which reports are drawn on."""

from __future__ import annotations

import argparse
import gzip
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

# The image fetches its templates before its other source is there: with these modules alone.
from bids_fx import __version__
from bids_fx.archive import HOME_VARIABLE, archive_folder
from bids_fx.cli.streams import open_closed_streams, show_text
from bids_fx.errors import BIDSFXError, ExitCode, Problem, output_error
from bids_fx.logs import log_problems
from bids_fx.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from templateflow.client import TemplateFlowClient

PROGRAM = "bids_fx-templates"
DEFAULT_SPACES = ("MNI152NLin2009cAsym", "MNI152NLin6Asym")
DESCRIPTION_FILE = "template_description.json"
#: Heads and masks of their brains, by the index of their resolution.
_IMAGE = re.compile(
    r"tpl-(?P<template>[a-zA-Z0-9]+)(_cohort-(?P<cohort>[a-zA-Z0-9]+))?_res-0*(?P<resolution>[12])"
    r"_(?P<kind>T1w|desc-brain_mask)\.nii\.gz"
)
_CHUNK = 1 << 20

DESCRIPTION = """\
Fetch templates from TemplateFlow, for the background of reports: T1w and brain mask of standard
spaces, in 1 and 2 mm where there are both. What is there already is kept. Nothing else of bids_fx
downloads anything."""
EPILOG = """\
The images that are in DIR are listed on standard output.

exit codes: 0 all are there; 1 some cannot be had; 2 the command line is wrong; 73, 74 DIR cannot
be written."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments without the program's name; None means those of this process.

    Returns
    -------
    int
        The exit code, see `bids_fx.errors.ExitCode`.
    """
    open_closed_streams()
    arguments = _parser().parse_args(argv)
    spaces = tuple(dict.fromkeys(arguments.space or DEFAULT_SPACES))
    try:
        images, problems = fetch(spaces, arguments.folder)
        show_text("".join(f"{image}\n" for image in images))
    except BIDSFXError as error:
        log_problems(PROGRAM, error.problems)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    log_problems(PROGRAM, problems)
    return int(ExitCode.FAILED if problems else ExitCode.OK)


def fetch(spaces: Sequence[str], folder: Path | None) -> tuple[list[Path], list[Problem]]:
    """Fetch the templates of spaces into a folder, as far as they can be had.

    Parameters
    ----------
    spaces : sequence of str
        ``SPACE``, or ``SPACE:cohort-N`` where a template has cohorts.
    folder : Path or None
        Gets the images alone, in the layout of TemplateFlow's archive; made if need be. None means
        the user's archive, which other programs use too.

    Returns
    -------
    images : list of Path
        Those that are in the folder now.
    problems : list of Problem
        Why others are not.

    Raises
    ------
    BIDSFXError
        With code 2 if TemplateFlow has no such space, 73 or 74 if the folder cannot be written.
    """
    target = folder or archive_folder().absolute()
    try:
        target.mkdir(parents=True, exist_ok=True)
        is_first = folder is None and not any(target.iterdir())
        # In the same file system: what is whole gets its place at once.
        with tempfile.TemporaryDirectory(prefix=".bids_fx-", dir=target) as name:
            client = _open_client(Path(name))
            wanted = _choose(spaces, Path(name))
            if is_first:
                _list_all(target)
            missing = [image for image in wanted if not _is_whole(target / image)]
            lost, problems = _download(client, missing, target)
    except OSError as error:
        raise output_error(target, error) from error
    return [target / image for image in wanted if image not in lost], problems


def _open_client(archive: Path) -> TemplateFlowClient:
    """Return a client with an archive of its own: an empty file for each that it can fetch."""
    # Read when it is imported.
    os.environ |= {HOME_VARIABLE: str(archive), "TEMPLATEFLOW_USE_DATALAD": "off"}
    from templateflow.client import TemplateFlowClient

    client = TemplateFlowClient(root=archive)
    client.cache.ensure()
    return client


def _list_all(target: Path) -> None:
    """Let TemplateFlow list all of its files in an archive, as it does in one that is empty.

    In one that is not, other programs would find those templates alone that are there.
    """
    from templateflow.client import TemplateFlowClient

    TemplateFlowClient(root=target).cache.update(local=True, overwrite=False, silent=True)


def _choose(spaces: Sequence[str], archive: Path) -> list[PurePosixPath]:
    """Return the images of spaces, and leave nothing else in the client's archive.

    The client reads all names before it fetches the first file, which takes it 5 s.

    Raises
    ------
    BIDSFXError
        If there is no such space.
    """
    known: dict[str, list[PurePosixPath]] = {}
    for path in sorted(archive.rglob("*.nii.gz")):
        match = _IMAGE.fullmatch(path.name)
        if match is not None:
            cohort = f":cohort-{match['cohort']}" if match["cohort"] else ""
            image = PurePosixPath(path.relative_to(archive))
            known.setdefault(f"{match['template']}{cohort}", []).append(image)
    known = {
        space: images
        for space, images in known.items()
        if any(image.name.endswith("_T1w.nii.gz") for image in images)
    }
    problems = [_unknown(space, known) for space in spaces if space not in known]
    if problems:
        raise BIDSFXError(problems)
    wanted = [image for space in spaces for image in known[space]]
    kept = {archive / image for image in wanted}
    for path in archive.rglob("*.*"):
        if path.is_file() and path not in kept and path.name != DESCRIPTION_FILE:
            path.unlink()
    return wanted


def _unknown(space: str, known: Mapping[str, object]) -> Problem:
    """Return the problem with a space of which there is no template."""
    question = did_you_mean(space, known)
    names = dict.fromkeys(re.sub(r"cohort-.*", "cohort-N", name) for name in sorted(known))
    return Problem(
        where=f"--space {space}",
        found="TemplateFlow has no T1w of it" + (f" ({question})" if question else ""),
        remedy=f"choose of {listed(tuple(names))}; DIR stands before --space",
        code=ExitCode.USAGE,
    )


def _download(
    client: TemplateFlowClient, images: Sequence[PurePosixPath], target: Path
) -> tuple[set[PurePosixPath], list[Problem]]:
    """Fetch images into a folder; return those that cannot be had, and why.

    Raises
    ------
    OSError
        Where a file cannot be written.
    """
    lost: set[PurePosixPath] = set()
    problems = []
    for image in images:
        try:
            _download_one(client, image, target)
        except (OSError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the file system: those of requests have no number
            # Without a network each takes its time to fail: no other is tried.
            rest = images[images.index(image) :] if isinstance(error, OSError) else [image]
            lost |= set(rest)
            more = f", and {len(rest) - 1} more were not tried" if len(rest) > 1 else ""
            problems.append(
                Problem(
                    where=str(target / image),
                    found=f"it cannot be had from TemplateFlow ({error}){more}",
                    remedy="call again where there is a network; what is there is kept",
                    code=ExitCode.FAILED,
                )
            )
            if isinstance(error, OSError):
                break
    return lost, problems


def _download_one(client: TemplateFlowClient, image: PurePosixPath, target: Path) -> None:
    """Fetch an image into a folder, with the description of its template.

    Raises
    ------
    RuntimeError
        Where something else came, or a part of it.
    OSError
        Without an answer, with no number; or where a file cannot be written.
    """
    archive = client.cache.config.root
    name = _IMAGE.fullmatch(image.name)
    assert name is not None
    client.get(
        name["template"],
        cohort=name["cohort"],
        resolution=int(name["resolution"]),
        suffix="T1w" if name["kind"] == "T1w" else "mask",
    )
    if not _is_whole(archive / image):
        raise RuntimeError("the answer is no image, or only a part of one")
    for file in (image, PurePosixPath(image.parts[0]) / DESCRIPTION_FILE):
        if (archive / file).is_file():  # the description moves with the first image
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            (archive / file).replace(target / file)


def _is_whole(path: Path) -> bool:
    """Tell whether a compressed file is there, and to its end."""
    try:
        with gzip.open(path) as content:
            while content.read(_CHUNK):
                pass
            return content.tell() > 0
    except (OSError, EOFError, zlib.error):
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "folder",
        metavar="DIR",
        nargs="?",
        type=_path,
        help=f"the folder, which gets these files alone (default: {HOME_VARIABLE}, else "
        "TemplateFlow's folder in the user's cache: where reports look for them)",
    )
    parser.add_argument(
        "--space",
        metavar="SPACE",
        nargs="+",
        action="extend",
        help=f"standard spaces, as SPACE or SPACE:cohort-N (default: {' '.join(DEFAULT_SPACES)})",
    )
    parser.add_argument("--version", action="version", version=f"bids_fx {__version__}")
    return parser


def _path(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty; give the path of a folder")
    return Path(text).absolute()


if __name__ == "__main__":
    sys.exit(main())

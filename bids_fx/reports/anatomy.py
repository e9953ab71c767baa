"""The anatomy behind the combined maps: the participant's, or that of the standard space."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from bids_fx.archive import HOME_VARIABLE, archive_folder
from bids_fx.entities import is_standard_space
from bids_fx.errors import Notice
from bids_fx.inputs import BoldRun
from bids_fx.records import Plan, RunPlan
from bids_fx.reports import maps


def find_anatomy(run: RunPlan) -> Path | None:
    """Return the image of the anatomy in a run's space that is at hand.

    Parameters
    ----------
    run : RunPlan
        The run.

    Returns
    -------
    Path or None
        The participant's T1w in that space, else the template's from TemplateFlow; None where
        neither is on this machine. Nothing is ever downloaded.
    """
    own = run.source.t1w if isinstance(run.source, BoldRun) else None
    return own if own is not None and own.is_file() else find_template(run)


def find_template(run: RunPlan) -> Path | None:
    """Return the T1w of a run's standard space from the local TemplateFlow archive.

    Parameters
    ----------
    run : RunPlan
        The run.

    Returns
    -------
    Path or None
        The coarsest resolution that was downloaded before and can be read; None where there is
        none. The archive is in ``TEMPLATEFLOW_HOME``, or in the user's cache, and is only read.
    """
    return next((path for path in _template_images(run) if _damage(path) is None), None)


def template_notices(plan: Plan) -> tuple[Notice, ...]:
    """Return why no template is shown of the folder that the user named, one for each space.

    Parameters
    ----------
    plan : Plan
        The participant's plan.

    Returns
    -------
    tuple of Notice
        None where no folder was named, and of a space whose anatomy is at hand.
    """
    home = os.environ.get(HOME_VARIABLE)
    runs = [run for run in plan.runs if _is_standard(run) and find_anatomy(run) is None]
    spaces = {run.entities["space"]: run for run in runs} if home else {}
    return tuple(
        Notice(
            text=f"{HOME_VARIABLE} names {home}, from which no T1w image of {space} can be shown "
            f"behind the maps: {_lack(run)}.",
            warning=False,
            participant=plan.participant,
        )
        for space, run in spaces.items()
    )


def template_files(run: RunPlan, pattern: str) -> list[Path]:
    """Return files of a run's template that are in the local TemplateFlow archive.

    Parameters
    ----------
    run : RunPlan
        The run.
    pattern : str
        What their names are like, for example ``*_T1w.nii.gz``.

    Returns
    -------
    list of Path
        The smallest first. What was never downloaded is there as an empty file, or as a link to
        none, and does not count.
    """
    if not _is_standard(run):
        return []
    folder = archive_folder() / f"tpl-{run.entities['space']}"
    if "cohort" in run.entities:
        folder /= f"cohort-{run.entities['cohort']}"
    sizes = sorted((_size(path), path.name, path) for path in _found(folder, pattern))
    return [path for size, _, path in sizes if size]


def _is_standard(run: RunPlan) -> bool:
    return "space" in run.entities and is_standard_space(run.entities["space"])


def _found(folder: Path, pattern: str) -> Iterator[Path]:
    """Iterate over the files of a folder that fit; over none where it cannot be read."""
    try:
        yield from folder.glob(pattern)
    except OSError:
        return


def _size(path: Path) -> int:
    """Return the bytes of a file, 0 where it is a link to none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _template_images(run: RunPlan) -> list[Path]:
    """Return the T1w images of a run's template; those with ``desc-`` are parts of it."""
    return [path for path in template_files(run, "*_T1w.nii.gz") if "_desc-" not in path.name]


@lru_cache
def _damage(path: Path) -> str | None:
    """Return why an image of the archive cannot be shown, None where it can."""
    try:
        maps.read_volume(path)
    except OSError as error:
        return f"{error}"
    return None


def _lack(run: RunPlan) -> str:
    """Return why the archive has no template to show."""
    damaged = [damage for path in _template_images(run) if (damage := _damage(path)) is not None]
    if damaged:
        return "; ".join(damaged)
    try:
        next(archive_folder().iterdir(), None)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return "no such image was downloaded to it before, and nothing is downloaded now"

"""The anatomy behind the combined maps: the participant's, or that of the standard space."""

from __future__ import annotations

import os
from pathlib import Path

from bids_fx.entities import is_standard_space
from bids_fx.inputs import BoldRun
from bids_fx.records import RunPlan


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
    if own is not None and own.is_file():
        return own
    space = run.entities.get("space")
    return None if space is None else find_template(space)


def find_template(space: str) -> Path | None:
    """Return a template's T1w from the local TemplateFlow archive.

    Parameters
    ----------
    space : str
        Label of a standard space, for example ``MNI152NLin2009cAsym``.

    Returns
    -------
    Path or None
        The coarsest resolution that was downloaded before; None where there is none. The archive
        is in ``TEMPLATEFLOW_HOME``, or in the user's cache, and is only read.
    """
    if template_folder(space) is None:
        return None
    # Read by templateflow when it is imported: without it the archive would be written to.
    os.environ["TEMPLATEFLOW_AUTOUPDATE"] = "off"
    from templateflow import api

    found = api.ls(space, suffix="T1w", desc=None, extension=".nii.gz")
    # Files that were never downloaded are there as empty ones.
    there = [Path(path) for path in found if Path(path).is_file() and Path(path).stat().st_size]
    return min(there, key=lambda path: (path.stat().st_size, path.name), default=None)


def template_folder(space: str) -> Path | None:
    """Return a template's folder in the local TemplateFlow archive, if it is there."""
    default = Path(os.environ.get("HOME", "/nonexistent")) / ".cache" / "templateflow"
    home = Path(os.environ.get("TEMPLATEFLOW_HOME") or default)
    folder = home / f"tpl-{space}"
    return folder if is_standard_space(space) and folder.is_dir() else None

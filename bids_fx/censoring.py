"""What censored scans mean for a run: how many are left, and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bids_fx.contrasts import run_contrasts
from bids_fx.errors import Notice, Problem
from bids_fx.glm.contrasts import DesignSpace, design_space
from bids_fx.glm.design import Design
from bids_fx.glm.names import MIN_DOF
from bids_fx.inputs import BoldRun
from bids_fx.model import Contrast
from bids_fx.records import Censored, ConfoundChoice, RunContrast

#: A run of which more than this share is censored is worth a warning.
MUCH_CENSORED = 0.5

#: How to keep more of the scans that a rule censors.
_REMEDIES = {
    "dummy scan": "lower --dummy-scans",
    "framewise displacement": "raise --fd-threshold",
    "motion outlier": "raise --fd-threshold",
}


def censored_by(design: Design) -> tuple[Censored, ...]:
    """Return the scans that a design made beforehand censors, with the columns that do."""
    columns = [(i, c.name) for i, c in enumerate(design.columns) if c.role == "censored"]
    kind = "column of the design"
    censored = []
    for scan in np.flatnonzero(~design.kept).tolist():
        names = ", ".join(name for i, name in columns if design.matrix[scan, i] != 0)
        censored.append(Censored(scan=scan, reason=f"{kind} ({names})", kinds=(kind,)))
    return tuple(censored)


def check_scans(
    source: BoldRun, space: DesignSpace, choice: ConfoundChoice, noise_model: str
) -> list[Problem]:
    """Refuse a run whose kept scans are too few for its design and noise model.

    Parameters
    ----------
    source : BoldRun
        The run.
    space : DesignSpace
        Its design, of the kept scans alone.
    choice : ConfoundChoice
        Which scans are censored, and why.
    noise_model : str
        One of `bids_fx.glm.names.MIN_DOF`, which says how many scans more than the rank it needs.

    Returns
    -------
    list of Problem
        One that says how many scans are left, and why the others are not; or none.
    """
    dof, least = space.n_scans - space.rank, MIN_DOF[noise_model]
    if dof >= least:
        return []
    found = f"{source.n_scans} scans for a design of rank {space.rank}"
    if choice.censored:
        left = f"{space.n_scans} of {source.n_scans} scans are left"
        found = f"{left} for a design of rank {space.rank}: {_censoring(source, choice)}"
    remedies = [
        remedy
        for rule, remedy in _REMEDIES.items()
        if any(kind.startswith(rule) for item in choice.censored for kind in item.kinds)
    ]
    if dof > 0:
        found += f"; the noise model {noise_model} needs {least} more than the rank"
        remedies.append("choose --noise-model ols")
    remedies += ["use fewer confounds or conditions", "or leave the run out"]
    remedy = ", ".join(dict.fromkeys(remedies))
    return [Problem(where=str(source.entities), found=found, remedy=remedy)]


def warn_of_censoring(source: BoldRun, choice: ConfoundChoice) -> list[Notice]:
    """Warn of a run of which more than `MUCH_CENSORED` is censored."""
    if len(choice.censored) <= MUCH_CENSORED * source.n_scans:
        return []
    return [Notice(text=f"{source.entities}: {_censoring(source, choice)}.")]


def explain_missing(
    planned: tuple[RunContrast, ...],
    source: BoldRun,
    design: Design,
    contrasts: Sequence[Contrast],
) -> tuple[RunContrast, ...]:
    """Say of the contrasts that only censored scans could tell that this is so.

    Parameters
    ----------
    planned : tuple of RunContrast
        As `bids_fx.contrasts.run_contrasts` finds them in the kept scans.
    source : BoldRun
        The run.
    design : Design
        Its whole design.
    contrasts : sequence of Contrast
        What was planned.

    Returns
    -------
    tuple of RunContrast
        With another reason where all scans together, none of them censored, can estimate one.
    """
    if design.kept.all() or all(item.reason is None for item in planned):
        return planned
    stays = [i for i, column in enumerate(design.columns) if column.role != "censored"]
    columns = tuple(design.columns[i] for i in stays)
    whole = Design(matrix=design.matrix[:, stays], columns=columns)
    possible, _ = run_contrasts(source, whole, design_space(whole.matrix), contrasts)
    return tuple(
        replace(item, reason="the scans that could tell it are censored in this run")
        if item.reason is not None and uncensored.reason is None
        else item
        for item, uncensored in zip(planned, possible, strict=True)
    )


def _censoring(source: BoldRun, choice: ConfoundChoice) -> str:
    """Say how many scans are censored, and by which rules; one by two rules counts for both."""
    counts = Counter(kind for item in choice.censored for kind in item.kinds)
    rules = "; ".join(f"{kind}: {number}" for kind, number in counts.items())
    return f"{len(choice.censored)} of {source.n_scans} scans are censored ({rules})"

"""What groups, runs, combined maps and effects are called in the report."""

from __future__ import annotations

from bids_fx.records import GroupPlan, Plan, RunPlan

#: Units of effects, by `signal_scaling`.
_UNITS = {
    "psc": "% signal change",
    "grand-mean": "% of the mask's mean",
    "none": "units of the BOLD image",
}


def group_title(group: GroupPlan) -> str:
    """Return a group's entities for people, the participant left out.

    Examples
    --------
    >>> from bids_fx.entities import parse_name
    >>> entities = parse_name("sub-01_task-x_space-MNI152Lin_bold.nii.gz").entities
    >>> group_title(
    ...     GroupPlan(
    ...         key="", level="subject", levels=("subject",), entities=entities, input_keys=()
    ...     )
    ... )
    'task-x space-MNI152Lin'
    """
    return str(group.entities.without("sub")).replace("_", " ")


def run_title(result: RunPlan | GroupPlan, group: GroupPlan) -> str:
    """Return what tells a run, or what else is combined, from the others of its group.

    Returns
    -------
    str
        For example ``ses-2 run-1``; ``single run`` where it has no entity of its own.
    """
    own = result.entities.without(*group.entities)
    return str(own).replace("_", " ") or f"single {group.input_noun}"


def combined_title(number: int, noun: str = "run") -> str:
    """Return what the combined map is called.

    Examples
    --------
    >>> combined_title(2), combined_title(1, "session")
    ('combined (2 runs)', 'combined (1 session)')
    """
    return f"combined ({number} {noun}{'' if number == 1 else 's'})"


def effect_units(plan: Plan) -> str:
    """Return the units of combined effects, for people."""
    return "the maps' units" if plan.has_given_maps else _UNITS[plan.settings.signal_scaling]

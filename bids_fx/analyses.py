"""Which calls make one analysis, and what tells analyses from each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from bids_fx.calls import Call
from bids_fx.inputs import Absence
from bids_fx.plain import to_plain
from bids_fx.records import GroupPlan, Plan, RunPlan
from bids_fx.settings import digest, setting_text

#: Settings that say what is asked of the data, and not how it is answered.
_QUESTIONS = ("contrasts", "combine_subset")


def identity(call: Call) -> str:
    """Return the hash of all that calls of one analysis have in common.

    Parameters
    ----------
    call : Call
        A call.

    Returns
    -------
    str
        Of the settings but for the contrasts, of the model file's nodes, and of the software:
        what two calls computed can stand in one table where it is the same.
    """
    settings = call.plan.settings.to_json()
    return digest(
        {
            "settings": {name: settings[name] for name in settings if name not in _QUESTIONS},
            "model": to_plain(call.plan.model),
            "software": call.software,
        }
    )


def differences(call: Call, other: Call) -> tuple[str, ...]:
    """Return what tells an analysis from another, one setting or version each.

    Parameters
    ----------
    call, other : Call
        Of different analyses.

    Returns
    -------
    tuple of str
        For example ``noise_model ols, not ar1``.
    """
    found = []
    for field in fields(call.plan.settings):
        if field.name not in _QUESTIONS:
            mine, theirs = (
                setting_text(field.name, getattr(one.plan.settings, field.name))
                for one in (call, other)
            )
            found += [f"{field.name} {mine}, not {theirs}"] if mine != theirs else []
    if call.plan.model != other.plan.model:
        mine, theirs = (
            "none" if one.plan.model is None else f"'{one.plan.model.name}'"
            for one in (call, other)
        )
        found.append(
            f"model {mine}, not {theirs}" if mine != theirs else f"another version of model {mine}"
        )
    for name in dict.fromkeys((*call.software, *other.software)):
        mine, theirs = (one.software.get(name, "none") for one in (call, other))
        found += [f"{name} {mine}, not {theirs}"] if mine != theirs else []
    return tuple(found)


def analyses(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Put the calls of each analysis together.

    Parameters
    ----------
    calls : sequence of Call
        Of one participant, oldest first.

    Returns
    -------
    tuple of Call
        The analysis of the newest call first; runs and groups of a newer call take the place of
        an older one's.
    """
    by_identity: dict[str, list[Call]] = {}
    for call in reversed(calls):
        by_identity.setdefault(identity(call), []).append(call)
    return tuple(map(_together, by_identity.values()))


def _together(calls: Sequence[Call]) -> Call:
    """Put calls of one analysis together, of which the first is the newest."""
    newest, *older = calls
    if not older:
        return newest
    plans = [call.plan for call in calls]
    asked = [name for plan in reversed(plans) for name in plan.settings.contrasts]
    groups = _groups(plans)
    plan = replace(
        newest.plan,
        settings=replace(newest.plan.settings, contrasts=tuple(dict.fromkeys(asked))),
        runs=_with_combined(_runs(plans), groups, plans),
        groups=groups,
        absent=_absent(plans),
        notices=tuple(dict.fromkeys(notice for plan in plans for notice in plan.notices)),
    )
    plan = replace(plan, replaced=plan.replaced.difference(_own_keys(plans)))
    return replace(
        newest,
        plan=plan,
        state="failed" if any(call.state == "failed" for call in calls) else "done",
        reasons=tuple(reason for call in calls for reason in call.reasons),
        failures=tuple(failure for call in calls for failure in call.failures),
    )


def _absent(plans: Sequence[Plan]) -> tuple[Absence, ...]:
    """Return what is absent in any plan, and a run of none."""
    runs = [run.entities for plan in plans for run in plan.runs]
    found = dict.fromkeys(absence for plan in plans for absence in plan.absent)
    return tuple(one for one in found if not any(run.has(one.entities) for run in runs))


def _own_keys(plans: Iterable[Plan]) -> set[str]:
    """Return the runs of which any plan has the results that are there."""
    return {run.key for plan in plans for run in plan.runs if run.key not in plan.replaced}


def _runs(plans: Sequence[Plan]) -> tuple[RunPlan, ...]:
    """Return each run once: as the newest plan has it that has results of it."""
    found: dict[str, RunPlan] = {}
    for is_replaced in (False, True):
        for plan in plans:
            for run in plan.runs:
                if (run.key in plan.replaced) is is_replaced:
                    found.setdefault(run.key, run)
    return tuple(sorted(found.values(), key=lambda run: run.entities.sort_key))


def _with_combined(
    runs: Iterable[RunPlan], groups: Iterable[GroupPlan], plans: Sequence[Plan]
) -> tuple[RunPlan, ...]:
    """Return runs with the contrasts that groups have from fits before the last."""
    combined = {
        (key, item.source_label)
        for group in groups
        for item in group.contrasts
        for key in item.input_keys
    }
    extended = []
    for run in runs:
        known = {item.contrast.label: item for item in run.contrasts}
        for plan in plans:
            for other in plan.runs:
                if other.key == run.key:
                    for item in other.contrasts:
                        if (run.key, item.contrast.label) in combined:
                            known.setdefault(item.contrast.label, item)
        extended.append(replace(run, contrasts=tuple(known.values())))
    return tuple(extended)


def _groups(plans: Sequence[Plan]) -> tuple[GroupPlan, ...]:
    """Return each group once, with the contrasts of all plans; one that is written goes first."""
    found: dict[str, GroupPlan] = {}
    for group in sorted(
        (group for plan in plans for group in plan.groups),
        key=lambda group: group.not_written is not None,
    ):
        known = found.setdefault(group.key, group)
        labels = {item.contrast.label for item in known.contrasts}
        more = [item for item in group.contrasts if item.contrast.label not in labels]
        if (known.not_written is None) == (group.not_written is None):
            found[group.key] = replace(known, contrasts=(*known.contrasts, *more))
    # What is combined has more entities than what it is combined into.
    return tuple(
        sorted(found.values(), key=lambda group: (-len(group.entities), group.entities.sort_key))
    )

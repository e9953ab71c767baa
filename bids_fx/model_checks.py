"""What of a model file holds of all runs of a call, and what none of them has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from bids_fx.drafts import Draft, DraftRun
from bids_fx.entities import WORDS, Entities, same_label
from bids_fx.errors import Notice, Problem
from bids_fx.model_runs import UNCONVOLVED, Applied
from bids_fx.stats_models.analysis import Analysis
from bids_fx.stats_models.names import plain_name
from bids_fx.suggest import did_you_mean, listed


def check_names(
    drafts: Iterable[Draft], analysis: Analysis, known: Callable[[], Mapping[str, Sequence[str]]]
) -> tuple[Problem, ...]:
    """Find names in X and in instructions that no run has, or that hold texts.

    Parameters
    ----------
    drafts : iterable of Draft
        All participants of the call.
    analysis : Analysis
        The model.
    known : callable
        Returns the conditions of the whole dataset by task; called only if a name is missing
        everywhere: a condition that these participants lack may be one that others have.
    """
    applied = _applied(drafts)
    where = f"{analysis.where}: node '{analysis.model.root.name}'"
    texts = tuple(
        Problem(
            where=where,
            found=f"X names '{name}', which holds texts",
            remedy="make conditions of its values by Factor, or name them in X",
        )
        for name in dict.fromkeys(name for one in applied for name in one.texts)
    )
    nowhere = _nowhere(applied)
    if not nowhere:
        return texts
    conditions = {name for names in known().values() for name in names}
    return texts + tuple(
        Problem(
            where=where,
            found=f"no run has '{name}': {applied[0].lacking[name]}",
            remedy="name what the runs have, or leave it out",
        )
        for name in nowhere
        if plain_name(name) not in conditions
    )


def without_conditions(drafts: Sequence[Draft], known: Mapping[str, Sequence[str]]) -> list[Draft]:
    """Return the participants' runs, conditions that some lack no longer among their confounds.

    Parameters
    ----------
    drafts : sequence of Draft
        After `check_names`: a name that no run has is a condition of other participants.
    known : mapping of str to sequence of str
        The conditions of all runs by task.

    Notes
    -----
    A name in X that nothing else mentions may mean a condition or a confound. A run without it
    cannot tell which.
    """
    nowhere = _nowhere(_applied(drafts))
    return [
        replace(draft, runs=tuple(_settled(run, known, nowhere) for run in draft.runs))
        for draft in drafts
    ]


def _settled(run: DraftRun, known: Mapping[str, Sequence[str]], nowhere: list[str]) -> DraftRun:
    conditions = known.get(run.source.entities.get("task", ""), ())
    applied = run.applied
    if applied is None:
        return run
    names = (*run.unmet, *applied.missed)
    meant = [n for n in names if plain_name(n) in conditions or n in nowhere]
    if not meant:
        return run
    choice = replace(
        run.confounds,
        by_request={k: v for k, v in run.confounds.by_request.items() if k not in meant},
        missing={k: v for k, v in run.confounds.missing.items() if k not in meant},
    )
    text = f"{run.source.entities}: conditions of X without any event in it: {listed(meant)}."
    return replace(
        run,
        confounds=choice,
        unmet={k: v for k, v in run.unmet.items() if k not in meant},
        applied=replace(
            applied, missed={k: v for k, v in applied.missed.items() if k not in meant}
        ),
        notices=(*run.notices, Notice(text=text, warning=False)),
    )


def _nowhere(applied: Sequence[Applied]) -> list[str]:
    """Return the names that every run lacks."""
    return [
        n for n in (applied[0].lacking if applied else ()) if all(n in a.lacking for a in applied)
    ]


def check_labels(drafts: Sequence[Draft], analysis: Analysis) -> tuple[Problem, ...]:
    """Find labels, of sessions for example, that contrasts compare and that no run has."""
    runs = [one for draft in drafts for one in (*_entities(draft), *draft.left_out)]
    asked = {
        (step.name, key, label): None
        for step in analysis.steps
        for item in step.contrasts or ()
        for cell in item.cells
        for key, label in cell.labels.items()
    }
    problems = []
    for node, key, label in asked if runs else ():
        there = sorted({run[key] for run in runs if key in run})
        if any(same_label(label, one) for one in there):
            continue
        question = did_you_mean(label, there)
        word = WORDS.get(key, key)
        problems.append(
            Problem(
                where=f"{analysis.where}: node '{node}'",
                found=f"no run has {word} {label}" + (f" ({question})" if question else ""),
                remedy=f"there is {word} {listed(there)}" if there else f"there is no {word}",
            )
        )
    return tuple(problems)


def remarks(drafts: Iterable[Draft], analysis: Analysis) -> tuple[Notice, ...]:
    """Return what holds of the same variables in all runs, said once."""
    applied = _applied(drafts)
    node = f"{analysis.where}: node '{analysis.model.root.name}'"
    names: dict[str, dict[str, None]] = {}
    for one in applied:
        for text, own in one.remarks.items():
            names.setdefault(text, {}).update(dict.fromkeys(own))
    found = [
        Notice(text=f"{node}: {text}: {listed(list(own))}.", warning=text == UNCONVOLVED)
        for text, own in names.items()
    ]
    for pattern in dict.fromkeys(pattern for one in applied for pattern in one.unmatched):
        count = sum(pattern in one.unmatched for one in applied)
        of = "any run" if count == len(applied) else f"{count} of {len(applied)} runs"
        text = f"{node}: '{pattern}' of X matches nothing in {of}."
        found.append(Notice(text=text, warning=count == len(applied)))
    return tuple(found)


def _applied(drafts: Iterable[Draft]) -> list[Applied]:
    return [run.applied for draft in drafts for run in draft.runs if run.applied is not None]


def _entities(draft: Draft) -> list[Entities]:
    return [source.entities for source in draft.sources]

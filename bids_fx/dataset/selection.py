"""Which runs are meant: tasks, sessions, runs, spaces, echoes and the filter file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bids_fx.dataset.files import DatasetFile
from bids_fx.entities import IMAGE_ENTITIES, LONG_NAMES, WORDS, Entities, same_label
from bids_fx.errors import ExitCode, Notice, Problem
from bids_fx.inputs import Absence
from bids_fx.settings import DataSelection
from bids_fx.suggest import did_you_mean

DEFAULT_SPACE = "MNI152NLin2009cAsym"

#: Spellings of the space that has no ``space`` entity, and of fMRIPrep's for the T1w image.
_SPACE_ALIASES = dict.fromkeys(("func", "bold", "boldref", "run", "sbref"), "func")
_SPACE_ALIASES |= {"anat": "T1w"}
_BIDS_KEYS = (
    *("sub", "ses", "sample", "task", "acq", "ce", "trc", "rec", "dir", "run", "mod", "echo"),
    *("flip", "inv", "part", "proc", "hemi", "space", "cohort", "split", "recording", "chunk"),
    *("res", "den", "label", "desc"),
)
#: What the filter file may also say, and what it must then be.
_FIXED = {"datatype": "func", "suffix": "bold"}
#: Filters that say what the dataset is, rather than leave runs of it out.
_SCOPE = ("sub", "task", *IMAGE_ENTITIES)
_QUERY = re.compile(r"<?Query\.(NONE|ANY|REQUIRED|OPTIONAL)\b.*")
_QUERIES = {"NONE": None, "ANY": "*", "REQUIRED": "*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was picked of the runs that are there.

    Parameters
    ----------
    chosen : tuple of Entities
        The runs that are meant, in order.
    left_out : tuple of Entities
        Runs in the same spaces that the filters by session, run or filter file left out.
    unknown : tuple of Absence
        Labels that were asked for and that no run has, where others of them are there.
    absent : tuple of Absence
        Runs that are not there in a space that was chosen.
    problems : tuple of Problem
        Why a choice cannot be made.
    notices : tuple of Notice
        What was assumed or left out for another reason.
    """

    chosen: tuple[Entities, ...] = ()
    left_out: tuple[Entities, ...] = ()
    unknown: tuple[Absence, ...] = ()
    absent: tuple[Absence, ...] = ()
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()


def select_runs(found: Iterable[Entities], data: DataSelection, participant: str) -> Selection:
    """Pick the runs that are meant.

    Parameters
    ----------
    found : iterable of Entities
        What the dataset has of one participant: one item per run, space and echo.
    data : DataSelection
        What is asked for.
    participant : str
        Label without ``sub-``, for the messages.
    """
    filters = entity_filters(data)
    all_runs = sorted(found, key=lambda entities: entities.sort_key)
    scope = [
        entities
        for entities in all_runs
        if _listed(entities, "task", data.tasks)
        and all(_listed(entities, key, labels) for key, labels in data.scope.items())
        and all(_passes(entities, key, filters[key]) for key in _SCOPE if key in filters)
    ]
    scope, phases = _divide(scope, lambda e: "part" in filters or e.get("part", "mag") == "mag")
    kept, others = _divide(
        scope,
        lambda e: (
            _listed(e, "ses", data.sessions)
            and _listed(e, "run", data.runs)
            and all(_passes(e, key, filters[key]) for key in filters if key not in _SCOPE)
        ),
    )
    notices = [Notice(text=f"{e}: left out, since it is not a magnitude image.") for e in phases]
    if not kept:
        return Selection(problems=(_nothing(all_runs, data),), notices=_name(notices, participant))
    spaces, problems, space_notices = _choose_spaces(kept, data.spaces)
    chosen = [e for e in kept if _space(e) in spaces]
    others = [e for e in others if _space(e) in spaces]
    if "echo" not in filters:
        chosen, echo_problems, echo_notices = _choose_echoes(chosen)
        others = list({e.without("echo").canonical: e.without("echo") for e in others}.values())
    else:
        echo_problems, echo_notices = (), []
    lacking = _lacking_space(kept, spaces) if not problems else ()
    return Selection(
        chosen=tuple(chosen),
        left_out=tuple(others),
        unknown=tuple(_absent_labels(all_runs, data, participant)),
        absent=tuple(lacking),
        problems=(*problems, *echo_problems),
        notices=_name([*notices, *space_notices, *echo_notices], participant),
    )


def entity_filters(data: DataSelection) -> dict[str, object]:
    """Return the filters of the filter file for a run's entities, by short key."""
    filters = {LONG_NAMES.get(key, key): value for key, value in data.filters.items()}
    others = (*_FIXED, "extension", "desc")  # see `is_wanted_series`
    return {k: v for k, v in filters.items() if k not in others and not _optional(v)}


def is_wanted_series(file: DatasetFile, data: DataSelection) -> bool:
    """Tell whether a BOLD file is of the kind that is asked for, whatever its run and space."""
    desc = data.filters.get("desc", data.filters.get("description", data.desc))
    extension = data.filters.get("extension", "*")
    return (
        file.relative.parent.name == "func"
        and passes_filter(file.entities.get("desc"), None if data.raw_bold else desc)
        and (_optional(extension) or passes_filter(file.name.extension, extension))
    )


def is_wanted_run(run: Entities, data: DataSelection) -> bool:
    """Tell whether a raw run is asked for, which has no space yet and may have single echoes."""
    filters = entity_filters(data)
    absent = ("echo", "part", *IMAGE_ENTITIES)
    asked = [(key, labels) for key, _, labels in _asked(data)]
    asked += [(key, labels) for key, labels in data.scope.items() if key not in absent]
    return all(_listed(run, key, labels) for key, labels in asked) and all(
        _passes(run, key, value) for key, value in filters.items() if key not in absent
    )


def passes_filter(label: str | None, value: object) -> bool:
    """Tell whether a label meets a filter as pybids writes it.

    Parameters
    ----------
    label : str or None
        None where the entity is absent.
    value : object
        A label, a number, a list of either, None (absent) or ``"*"`` (any).

    Examples
    --------
    >>> passes_filter("01", 1), passes_filter(None, None), passes_filter("a", ["a", "b"])
    (True, True, True)
    >>> passes_filter(None, "*"), passes_filter("2", 1)
    (False, False)
    """
    if isinstance(value, list):
        return any(passes_filter(label, one) for one in value)
    if isinstance(value, str) and (query := _QUERY.fullmatch(value)):
        value = _QUERIES[query[1]]
    if value is None or label is None:
        return value is None and label is None
    return value == "*" or same_label(label, str(value))


def check_filters(filters: dict[str, object]) -> tuple[Problem, ...]:
    """Return what is wrong with the ``bold`` entry of the filter file."""
    known = [*_BIDS_KEYS, *LONG_NAMES, *_FIXED, "extension"]
    problems = []
    for key, value in filters.items():
        if key not in known:
            question = did_you_mean(key, known)
            found = f"'bold' has the unknown entity '{key}'" + (f" ({question})" * bool(question))
            remedy = "use entities of BIDS, such as session, run or acquisition"
        elif key in _FIXED and not passes_filter(_FIXED[key], value):
            found, remedy = f"{key!r} is {value!r}", f"only {_FIXED[key]!r} can be modelled"
        else:
            continue
        problems.append(
            Problem(where="--bids-filter-file", found=found, remedy=remedy, code=ExitCode.USAGE)
        )
    return tuple(problems)


def _optional(value: object) -> bool:
    """Tell whether a filter leaves everything in."""
    return isinstance(value, str) and value.startswith(("<Query.OPTIONAL", "Query.OPTIONAL"))


def _passes(entities: Entities, key: str, value: object) -> bool:
    return passes_filter(entities.get(key), value)


def _listed(entities: Entities, key: str, labels: Sequence[str]) -> bool:
    """Tell whether an entity's label is among those asked for; none means all."""
    return not labels or any(passes_filter(entities.get(key), label) for label in labels)


def _divide(
    items: Iterable[Entities], keep: Callable[[Entities], bool]
) -> tuple[list[Entities], list[Entities]]:
    """Divide into what is kept and what is not."""
    kept: list[Entities] = []
    others: list[Entities] = []
    for item in items:
        (kept if keep(item) else others).append(item)
    return kept, others


def _name(notices: Iterable[Notice], participant: str) -> tuple[Notice, ...]:
    """Return the notices as a participant's."""
    return tuple(replace(notice, participant=participant) for notice in notices)


def _labels(runs: Iterable[Entities], key: str) -> list[str]:
    """Return the labels of an entity that occur, in order."""
    return list(dict.fromkeys(e[key] for e in runs if key in e))


def _absent_labels(
    runs: Sequence[Entities], data: DataSelection, participant: str
) -> list[Absence]:
    """Say which labels were asked for and are not there, though others of them are."""
    absences = []
    for key, what, asked in _asked(data):
        there = _labels(runs, key)
        absent = [one for one in asked if not any(same_label(one, label) for label in there)]
        absences += [
            Absence(
                entities=Entities((("sub", participant), (key, one))),
                reason=f"there is no {what} {one}, but {', '.join(there)}",
            )
            for one in absent
        ]
    return absences


def _asked(data: DataSelection) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    return (
        ("task", "task", data.tasks),
        ("ses", "session", data.sessions),
        ("run", "run", data.runs),
    )


def _nothing(runs: Sequence[Entities], data: DataSelection) -> Problem:
    """Return the fault that nothing is left, and say what there would be."""
    asked = [f"{what} {' '.join(labels)}" for _, what, labels in _asked(data) if labels]
    asked += [f"filter {key}={value!r}" for key, value in data.filters.items()]
    asked += [
        f"the model's Input {WORDS.get(key, key)} {' '.join(labels)}"
        for key, labels in data.scope.items()
    ]
    there = [
        f"{what} {', '.join(labels)}"
        for key, what, _ in (*_asked(data), ("space", "space", ()))
        if (labels := _labels(runs, key))
    ]
    return Problem(
        where="; ".join(asked) or "the dataset",
        found="no run is left",
        remedy=f"ask for what is there ({'; '.join(there)})",
        code=ExitCode.NOTHING_SELECTED,
    )


def _space(entities: Entities) -> str:
    """Return the space of a run as users write it, ``func`` where it has none.

    Examples
    --------
    >>> _space(Entities((("space", "MNI152NLin6Asym"), ("res", "2"))))
    'MNI152NLin6Asym:res-2'
    """
    further = (f":{key}-{entities[key]}" for key in IMAGE_ENTITIES[1:] if key in entities)
    return entities.get("space", "func") + "".join(further)


def _meets(space: str, wanted: str) -> bool:
    """Tell whether a space is what a specification means; what it leaves open may be anything."""
    name, *further = space.split(":")
    wanted_name, *wanted_further = wanted.split(":")
    if not same_label(name, _SPACE_ALIASES.get(wanted_name, wanted_name)):
        return False
    has = dict(pair.split("-", 1) for pair in further)
    wants = dict(pair.partition("-")[::2] for pair in wanted_further)
    return all(
        key not in has if label == "native" else key in has and same_label(has[key], label)
        for key, label in wants.items()
    )


def _choose_spaces(
    kept: Sequence[Entities], wanted: tuple[str, ...]
) -> tuple[set[str], tuple[Problem, ...], list[Notice]]:
    """Choose the spaces to model, each in one resolution."""
    there = sorted({_space(e) for e in kept}, key=str.casefold)
    names = {space.partition(":")[0] for space in there}
    notices = []
    if not wanted and len(names) > 1:
        if DEFAULT_SPACE not in names:
            return set(), (_ambiguous("several spaces", there),), []
        text = f"Space {DEFAULT_SPACE} is taken of {', '.join(there)}."
        notices.append(Notice(text=text, warning=False))
    chosen: set[str] = set()
    problems = []
    default = DEFAULT_SPACE if len(names) > 1 else next(iter(names))
    for one in wanted or (default,):
        matches = [space for space in there if _meets(space, one)]
        if len(matches) > 1:
            problems.append(_ambiguous(f"several variants of space {one}", matches))
        elif not matches:
            problems.append(
                Problem(
                    where=f"--space {one}",
                    found="no BOLD series in this space",
                    remedy=f"choose among {', '.join(there)}",
                    code=ExitCode.NOTHING_SELECTED,
                )
            )
        else:
            chosen.add(matches[0])
    return chosen, tuple(problems), notices


def _ambiguous(found: str, spaces: Iterable[str]) -> Problem:
    """Return the fault that a space must be chosen."""
    listed = ", ".join(spaces)
    return Problem(where="--space", found=f"{found} are there", remedy=f"choose among {listed}")


def _lacking_space(kept: Sequence[Entities], spaces: set[str]) -> list[Absence]:
    """Say which runs are not there in a space that was chosen."""
    absences = []
    runs = {_spaceless(e).canonical: _spaceless(e) for e in kept}
    for space in sorted(spaces):
        inside = [e for e in kept if _space(e) == space]
        there = {_spaceless(e).canonical for e in inside}
        absences += [
            Absence(
                entities=Entities((*entities.pairs, *inside[0].only(*IMAGE_ENTITIES).pairs)),
                reason=f"it is not there in space {space}",
            )
            for key, entities in runs.items()
            if key not in there
        ]
    return absences


def _spaceless(entities: Entities) -> Entities:
    """Return the entities of a run, whatever its spaces and echoes."""
    return entities.without("echo", *IMAGE_ENTITIES)


def _choose_echoes(
    chosen: Sequence[Entities],
) -> tuple[list[Entities], tuple[Problem, ...], list[Notice]]:
    """Leave single echoes out where their combination is there; refuse several of them."""
    groups: dict[tuple[tuple[str, str], ...], list[Entities]] = {}
    for entities in chosen:
        groups.setdefault(entities.without("echo").canonical, []).append(entities)
    kept: list[Entities] = []
    problems = []
    notices = []
    for group in groups.values():
        combined, echoes = _divide(group, lambda e: "echo" not in e)
        if combined and echoes:
            text = f"{combined[0]}: its {len(echoes)} single echoes are left out."
            notices.append(Notice(text=text, warning=False))
        elif len(echoes) > 1:
            problems.append(
                Problem(
                    where=str(echoes[0].without("echo")),
                    found=f"only single echoes ({', '.join(e['echo'] for e in echoes)})",
                    remedy="give the optimal combination, or pick an echo by "
                    f'a --bids-filter-file with {{"bold": {{"echo": "{echoes[-1]["echo"]}"}}}}',
                )
            )
            continue
        kept += combined or echoes
    return kept, tuple(problems), notices

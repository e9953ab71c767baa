"""Which contrasts a group makes of what it combines, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bids_fx.entities import WORDS, Entities, same_label
from bids_fx.errors import Problem
from bids_fx.model import Contrast, write_sum
from bids_fx.records import GroupCell, GroupContrast, GroupPlan, RunPlan
from bids_fx.steps import Step, StepContrast

Result = RunPlan | GroupPlan
#: One input of a group: what holds its maps, of which each has other contrasts.
Slot = tuple[Result, ...]

_UNUSED = "the contrast does not ask for it"


def group_contrasts(
    step: Step, entities: Entities, slots: Sequence[Slot]
) -> tuple[tuple[GroupContrast, ...], list[Problem]]:
    """Return the contrasts that a step makes of the inputs of one group.

    Parameters
    ----------
    step : Step
        What is asked for.
    entities : Entities
        Of the group.
    slots : sequence of tuple of RunPlan or GroupPlan
        The inputs in order.

    Returns
    -------
    contrasts : tuple of GroupContrast
        Also those that no input can estimate; none whose source no input knows, and none of
        which every mean is of labels that the group itself has not.
    problems : list of Problem
        Contrasts that cannot be made of anything.
    """
    known: dict[str, Contrast] = {}
    for slot in slots:
        for result in slot:
            for item in result.contrasts:
                known.setdefault(item.contrast.label, item.contrast)
    wishes = step.contrasts
    if wishes is None:
        wishes = tuple(
            StepContrast(name=c.name, label=c.label, source=c.label) for c in known.values()
        )
    gathered: list[GroupContrast] = []
    problems: list[Problem] = []
    for wish in wishes:
        if wish.source not in known or all(
            _contradicts(entities, cell.labels) for cell in wish.cells
        ):
            continue
        item, fault = _gathered(wish, known[wish.source], slots)
        gathered.append(item)
        if fault is not None:
            where = f"contrast '{wish.name}' of node '{step.name}'"
            problems.append(Problem(where=where, found=fault[0], remedy=fault[1]))
    return tuple(gathered), problems


def stands_already(item: GroupContrast) -> bool:
    """Tell whether a contrast of a lone input is the input's own, under the same name."""
    is_same = item.contrast.label == item.source_label and item.is_mean
    return is_same and set(item.weights) <= {1.0} and not item.reason


def _gathered(
    wish: StepContrast, source: Contrast, slots: Sequence[Slot]
) -> tuple[GroupContrast, tuple[str, str] | None]:
    """Return a contrast with the inputs that enter it, and what is wrong with it if anything."""
    holders = [_holder(slot, wish.source) for slot in slots]
    reasons = {result.key: _reason(result, wish.source) for result in holders}
    able = [result for result in holders if reasons[result.key] is None]
    dropped = {key: reason for key, reason in reasons.items() if reason is not None}
    item = GroupContrast(
        contrast=_contrast(wish, source),
        input_keys=tuple(result.key for result in able),
        dropped=dropped,
        source="" if wish.source == wish.label else wish.source,
    )
    if wish.is_plain:
        return item, None
    fault = _fault(wish, source, holders)
    cells = tuple(
        GroupCell(
            weight=cell.weight,
            input_keys=tuple(r.key for r in able if r.entities.has(cell.labels)),
        )
        for cell in wish.cells
    )
    empty = [
        _cell_words(wished.labels)
        for wished, cell in zip(wish.cells, cells, strict=True)
        if not cell.input_keys
    ]
    if fault is not None:
        return replace(item, input_keys=(), reason=fault[0]), fault
    if empty:
        reason = f"no result of {' and of '.join(dict.fromkeys(empty))}"
        return replace(item, input_keys=(), reason=reason), None
    used = {key for cell in cells for key in cell.input_keys}
    return replace(
        item,
        input_keys=tuple(key for key in item.input_keys if key in used),
        dropped=dropped | {key: _UNUSED for key in item.input_keys if key not in used},
        cells=cells,
    ), None


def _holder(slot: Slot, label: str) -> Result:
    """Return what holds an input's maps of a contrast; the first if none does."""
    found = (one for one in slot if any(item.contrast.label == label for item in one.contrasts))
    return next(found, slot[0])


def _reason(result: Result, label: str) -> str | None:
    """Return why a result has no map of a contrast; None where it has one."""
    if isinstance(result, RunPlan):
        reasons = (one.reason for one in result.contrasts if one.contrast.label == label)
        return next(reasons, "this run has no map of it")
    if result.not_written is not None:
        return f"it is not combined: {result.not_written}"
    item = next((one for one in result.contrasts if one.contrast.label == label), None)
    if item is None:
        return "it has no map of it"
    if item.input_keys:
        return None
    whys = list(dict.fromkeys(item.dropped.values()))
    shown = whys if len(whys) == 1 else [f"{key}: {why}" for key, why in item.dropped.items()]
    return item.reason or f"no {result.input_noun} of it can estimate it: {'; '.join(shown)}"


def _fault(
    wish: StepContrast, source: Contrast, holders: Iterable[Result]
) -> tuple[str, str] | None:
    """Return what is wrong with a contrast that is not the plain mean, and what to do."""
    if source.test == "F" and (len(wish.cells) > 1 or abs(wish.cells[0].weight) != 1):
        return (
            f"a weighted sum of the F contrast '{source.name}', which has no direction",
            "make it of t contrasts, or give it the one weight 1",
        )
    for result in holders:
        if sum(result.entities.has(cell.labels) for cell in wish.cells) > 1:
            return (
                f"{result.entities} stands in it with several weights",
                "let each result have one weight",
            )
    return None


def _contrast(wish: StepContrast, source: Contrast) -> Contrast:
    """Return what is known of the contrast that is made; the source's own where it is the same."""
    if wish.is_plain:
        formula = source.formula if wish.label == wish.source else source.formula or source.name
        return replace(source, name=wish.name, label=wish.label, formula=formula)
    name = source.name if source.name.isidentifier() else f"`{source.name}`"
    terms = [(cell.weight, name + _cell_text(cell.labels)) for cell in wish.cells]
    return Contrast(
        name=wish.name, label=wish.label, rows=(), formula=write_sum(terms), test=source.test
    )


def _contradicts(entities: Entities, labels: Mapping[str, str]) -> bool:
    """Tell whether entities have another label than one of some."""
    return any(
        key in entities and not same_label(entities[key], text) for key, text in labels.items()
    )


def _cell_text(labels: Mapping[str, str]) -> str:
    """Return the labels of a cell as they stand in a formula."""
    return f"[{'_'.join(f'{key}-{label}' for key, label in labels.items())}]" if labels else ""


def _cell_words(labels: Mapping[str, str]) -> str:
    """Return the labels of a cell as they stand in a sentence.

    Examples
    --------
    >>> _cell_words({"ses": "retest", "run": "2"}), _cell_words({})
    ('session retest, run 2', 'any kind')
    """
    words = (f"{WORDS.get(key, key)} {label}" for key, label in labels.items())
    return ", ".join(words) or "any kind"

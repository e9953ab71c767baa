"""Printing the plans, as text for people or as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from textwrap import indent

from bids_fx import __version__
from bids_fx.derivatives import paths
from bids_fx.errors import visible_json
from bids_fx.glm.names import HIGH_INFLATION
from bids_fx.inputs import BoldRun
from bids_fx.records import GroupPlan, Plan, RunContrast, RunPlan
from bids_fx.run_by_contrast import RunByContrast, run_by_contrast
from bids_fx.settings import AnalysisSettings
from bids_fx.steps import ModelOutline

#: A table of runs by contrasts that is wider has numbers in place of names.
_WIDTH = 100


def as_json(
    plans: Iterable[Plan], settings: AnalysisSettings, model: ModelOutline | None = None
) -> str:
    """Return the plans as one JSON document.

    Parameters
    ----------
    plans : iterable of Plan
        One per participant; each becomes text before the next is drawn.
    settings : AnalysisSettings
        The choices they were made with.
    model : ModelOutline or None
        The nodes of a model file.

    Returns
    -------
    str
        An object with `version`, `settings`, `model` if there is one, and `participants`.
    """
    document: dict[str, object] = {"version": __version__, "settings": settings.to_json()}
    document |= {"model": asdict(model)} if model is not None else {}
    head = _dumped(document).removesuffix("\n}")
    participants = ",\n".join([indent(_dumped(_plan_json(plan)), "    ") for plan in plans])
    return f'{head},\n  "participants": [\n{participants}\n  ]\n}}'


def as_text(
    plans: Iterable[Plan], settings: AnalysisSettings, model: ModelOutline | None = None
) -> str:
    """Return the plans as text: what would be read, computed and written.

    Parameters
    ----------
    plans : iterable of Plan
        One per participant; each becomes text before the next is drawn.
    settings : AnalysisSettings
        The choices they were made with.
    model : ModelOutline or None
        The nodes of a model file.
    """
    lines = [f"bids_fx {__version__}, dry run: nothing is computed or written.", "", "Settings"]
    lines += [f"  {key}: {_show(value)}" for key, value in settings.to_json().items()]
    lines += _model_lines(model) if model is not None else []
    lines += ["\n".join(["", *_plan_lines(plan)]) for plan in plans]
    return "\n".join(lines)


def _model_lines(model: ModelOutline) -> list[str]:
    lines = ["", f"Model '{model.name}' ({model.file})"]
    for node in model.nodes:
        of = f" of '{node.source}'" if node.source is not None else ""
        made = f": {', '.join(node.contrasts)}" if node.contrasts else ""
        lines.append(f"  node '{node.name}' ({node.level}){of}: {node.does}{made}")
    return lines


def _dumped(document: dict[str, object]) -> str:
    return visible_json(json.dumps(document, indent=2, ensure_ascii=False))


def _show(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple | list) else str(value)


def _plan_json(plan: Plan) -> dict[str, object]:
    return {
        "participant": plan.participant,
        "runs": [_run_json(run) for run in plan.runs],
        "absent": {str(absence.entities): absence.reason for absence in plan.absent},
        "groups": [_group_json(plan, group) for group in plan.groups],
        "problems": [str(problem) for problem in plan.problems],
        "notices": [{"text": notice.text, "warning": notice.warning} for notice in plan.notices],
        "outputs": [str(path) for path in paths.expected_outputs(plan)],
    }


def _run_json(run: RunPlan) -> dict[str, object]:
    values: dict[str, object] = {
        "run": str(run.entities),
        "levels": list(run.levels),
        "mem_gb": round(run.mem_gb, 2),
        "on_disk": run.on_disk,
        "contrasts": [_contrast_json(item) for item in run.contrasts],
    }
    source = run.source
    if isinstance(source, BoldRun) and run.design is not None and run.rank is not None:
        values |= {
            "bold": source.uris[source.bold],
            "scans": source.n_scans,
            "repetition_time": source.repetition_time,
            "slice_time": source.slice_time,
            "conditions": {told.name: told.number for told in source.events_told},
            "confounds": list(run.confounds.names),
            "confounds_missing": run.confounds.missing,
            "censored": {str(item.scan): item.reason for item in run.confounds.censored},
            "columns": len(run.design.names),
            "rank": run.rank,
            "dof": source.n_scans - run.rank,
        }
    return values


def _contrast_json(item: RunContrast) -> dict[str, object]:
    """Return a contrast of a run; rows, efficiency and inflation have an entry per row."""
    return {
        "name": item.contrast.name,
        "label": item.contrast.label,
        "formula": item.contrast.formula,
        "test": item.contrast.test,
        "rows": [dict(row) for row in item.rows],
        "estimable": item.reason is None,
        "reason": item.reason,
        "efficiency": [_finite(value) for value in item.efficiency],
        "variance_inflation": [_finite(value) for value in item.inflation],
        "warnings": _inflation_warnings(item),
    }


def _finite(value: float) -> float | None:
    """Return a number, or None where there is none: JSON knows neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def _inflation_warnings(item: RunContrast) -> list[str]:
    """Say which rows of a contrast are estimated badly, since regressors correlate."""
    return [
        f"VIF {value:.3g}{f' of row {number}' if item.contrast.test == 'F' else ''}: correlations "
        f"between regressors make its variance {value:.3g} times as large"
        for number, value in enumerate(item.inflation, start=1)
        if value > HIGH_INFLATION
    ]


def _group_json(plan: Plan, group: GroupPlan) -> dict[str, object]:
    """Return a group; what it combines is named apart from the runs where it is none of them."""
    through = group.input_noun != "run"
    return {
        "result": str(group.entities),
        "levels": list(group.levels),
        **({"node": group.step, "combination": plan.combination(group)} if plan.steps else {}),
        "runs": [run.key for run in plan.group_runs(group)],
        **({"inputs": list(group.input_keys)} if through else {}),
        "absent": group.absent,
        "not_written": group.not_written,
        "mem_gb": round(group.mem_gb, 2),
        "contrasts": [
            {
                "label": item.contrast.label,
                **({"formula": item.contrast.formula} if plan.steps else {}),
                "runs": [run.key for run in plan.contrast_runs(item)],
                **({"inputs": list(item.input_keys)} if through else {}),
                "left_out": item.dropped,
                **({"reason": item.reason} if item.reason else {}),
            }
            for item in group.contrasts
        ],
    }


def _plan_lines(plan: Plan) -> Iterator[str]:
    yield f"Participant {plan.participant}"
    for run in plan.runs:
        yield from _run_lines(run)
    yield from _table_lines(run_by_contrast(plan))
    for group in plan.groups:
        noun = group.input_noun
        is_named = plan.steps and group.step
        node = f" (node '{group.step}', {plan.combination(group)})" if is_named else ""
        yield f"  {group.level} {group.entities}: {len(group.input_keys)} {noun}(s){node}"
        for name, reason in group.absent.items():
            yield f"    absent {name}: {reason}"
        if group.not_written is not None:
            yield f"    not written: {group.not_written}"
            continue
        yield f"    memory {group.mem_gb:.2f} GB"
        for item in group.contrasts:
            text = f"    {item.contrast.label}"
            text += f" = {item.contrast.formula}" if item.cells else ""
            text += f": {len(item.input_keys)} of {len(group.input_keys)} {noun}s"
            text += f"; NOT ESTIMABLE: {item.reason}" if item.reason else ""
            yield text + "".join(
                f"; without {key}: {reason}" for key, reason in item.dropped.items()
            )
    for problem in plan.problems:
        yield f"  ERROR {problem}"
    for notice in plan.notices:
        yield f"  {'WARNING' if notice.warning else 'note'} {notice.text}"
    outputs = paths.expected_outputs(plan)
    yield f"  Outputs ({len(outputs)})"
    for path in outputs:
        yield f"    {path}"


def _run_lines(run: RunPlan) -> Iterator[str]:
    values = _run_json(run)
    kept = ", its series kept on disk" if run.on_disk else ""
    yield f"  Run {run.entities} (memory {run.mem_gb:.2f} GB{kept})"
    if "scans" in values:
        conditions = values["conditions"]
        assert isinstance(conditions, dict)
        yield (
            f"    {values['scans']} scans, TR {values['repetition_time']} s, slices at "
            f"{values['slice_time']} s; {values['columns']} columns of rank {values['rank']}, "
            f"{values['dof']} degrees of freedom"
        )
        shown = ", ".join(f"{name} ({count})" for name, count in conditions.items())
        is_given = isinstance(run.source, BoldRun) and run.source.design_file is not None
        there = "those of a design made beforehand" if is_given else "none"
        yield f"    conditions (events): {shown or there}"
        yield f"    confounds: {', '.join(run.confounds.names) or 'none'}"
        for request, found in run.confounds.missing.items():
            yield f"    MISSING confounds {request}: {found}"
        censored = [f"{item.scan} ({item.reason})" for item in run.confounds.censored]
        yield f"    censored scans: {', '.join(censored) or 'none'}"
    for item in run.contrasts:
        state = f"NOT ESTIMABLE: {item.reason}" if item.reason else "estimable"
        if item.efficiency:
            state += f", efficiency {_numbers(item.efficiency)}, VIF {_numbers(item.inflation)}"
        formula = f" = {item.contrast.formula}" if item.contrast.formula else ""
        yield f"    contrast {item.contrast.label}{formula}: {state}"
        for text in _inflation_warnings(item):
            yield f"      WARNING {text}"


def _table_lines(table: RunByContrast) -> Iterator[str]:
    """Iterate over the lines of runs by contrasts, if any cell needs a reason."""
    marks = table.marks
    if not marks:
        return
    names = [str(run.without("sub")) for run in table.runs]
    first = max(map(len, names))
    heads = [contrast.label for contrast in table.contrasts]
    is_wide = first + sum(len(head) + 2 for head in heads) > _WIDTH
    if is_wide:
        heads = [str(place) for place in range(1, len(heads) + 1)]
    yield "  Runs by contrasts (+ estimable, - not asked of this task; letters tell why not)"
    yield f"    {'':{first}}  {'  '.join(heads)}"
    for name, cells in zip(names, table.cells, strict=True):
        shown = ["-" if cell is None else marks.get(cell, "+") for cell in cells]
        line = "  ".join(f"{mark:{len(head)}}" for mark, head in zip(shown, heads, strict=True))
        yield f"    {name:{first}}  {line.rstrip()}"
    if is_wide:
        listed = zip(heads, table.contrasts, strict=True)
        yield from (f"    {head}: {contrast.label}" for head, contrast in listed)
    yield from (f"    {mark}: {reason}" for reason, mark in marks.items())


def _numbers(values: Sequence[float]) -> str:
    """Return the numbers of a contrast's rows."""
    return " / ".join(f"{value:.3g}" if math.isfinite(value) else "n/a" for value in values)

"""The part of the report about all runs together: their names, what they lack, what they tell."""

from __future__ import annotations

from collections.abc import Iterator

from bids_fx.entities import Entities
from bids_fx.records import Plan
from bids_fx.reports.page import Table
from bids_fx.run_by_contrast import run_by_contrast

#: What the table of runs says of a run that is absent.
ABSENT = "left out"
#: In a cell that says nothing.
_NOTHING = "\N{EM DASH}"


def run_names(plan: Plan) -> dict[str, str]:
    """Return a short name of each run, by key: what all runs have in common is left out."""
    return {run.key: short_name(plan, run.entities) for run in plan.runs}


def short_name(plan: Plan, entities: Entities) -> str:
    """Return the name of a run without what all runs have in common."""
    common = common_pairs(plan)
    pairs = entities.without("sub").items()
    return " ".join(f"{key}-{label}" for key, label in pairs if (key, label) not in common)


def common_pairs(plan: Plan) -> list[tuple[str, str]]:
    """Return the entities of all runs, but for those by which people call them."""
    if not plan.runs:
        return []
    first, *others = plan.runs
    return [
        (key, label)
        for key, label in first.entities.without("sub", "ses", "task", "run").items()
        if all(run.entities.get(key) == label for run in others)
    ]


def absent_rows(plan: Plan, n_columns: int) -> Iterator[tuple[str, ...]]:
    """Iterate over the rows that absent runs have in the table of runs."""
    for absence in plan.absent_runs:
        yield (short_name(plan, absence.entities), *[_NOTHING] * (n_columns - 2), ABSENT)


def nodes_tables(plan: Plan) -> list[Table]:
    """Return the table of the nodes of a model file, if there is one."""
    if plan.model is None:
        return []
    rows = (
        (node.name, node.level, node.source or _NOTHING, node.does, ", ".join(node.contrasts))
        for node in plan.model.nodes
    )
    return [
        Table(
            caption=f"Nodes of the model '{plan.model.name}' ({plan.model.file})",
            head=("Node", "Level", "Takes results of", "What is done", "Contrasts"),
            rows=tuple(rows),
        )
    ]


def contrasts_table(plan: Plan) -> Table:
    """Return which run can estimate which contrast, with a letter for each reason why not."""
    table = run_by_contrast(plan)
    answers = {reason: f"no\N{NO-BREAK SPACE}({mark})" for reason, mark in table.marks.items()}
    rows = (
        (
            short_name(plan, run),
            *(_NOTHING if cell is None else answers.get(cell, "yes") for cell in cells),
        )
        for run, cells in zip(table.runs, table.cells, strict=True)
    )
    why = "; a letter tells why not" if answers else ""
    return Table(
        caption=f"Which run can estimate which contrast, and by which test (t or F){why}",
        head=("Run", *(f"{item.name} ({item.test})" for item in table.contrasts)),
        rows=tuple(rows),
        tones={"yes": "good"} | dict.fromkeys(answers.values(), "bad"),
    )


def estimability_reasons(plan: Plan) -> tuple[str, ...]:
    """Return what the letters in the table of contrasts mean: why runs cannot estimate them."""
    return tuple(f"({mark}) {reason}." for reason, mark in run_by_contrast(plan).marks.items())


def absence_reasons(plan: Plan) -> tuple[str, ...]:
    """Return why runs are absent, and which lack confounds that were asked for."""
    names = run_names(plan)
    absent = [f"{short_name(plan, one.entities)}: {one.reason}." for one in plan.absent]
    return (
        *absent,
        *(
            f"{names[run.key]}: confounds {request}: {there} in its table."
            for run in plan.runs
            for request, there in run.confounds.missing.items()
        ),
    )

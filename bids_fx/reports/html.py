"""The report of a participant: one HTML file, from the plan and the files on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_fx import __version__
from bids_fx.calls import Failure
from bids_fx.derivatives import paths
from bids_fx.derivatives.write import write_text
from bids_fx.errors import Notice
from bids_fx.records import MethodsText, Plan
from bids_fx.reports import models, overview
from bids_fx.reports.markdown import methods_html
from bids_fx.reports.page import AnalysisPart, FailurePart, Page, Tile
from bids_fx.reports.results import group_part
from bids_fx.reports.summary import best_result, summary_sentences
from bids_fx.reports.wording import count


def write_report(
    plan: Plan,
    out_dir: Path,
    *,
    failures: Sequence[Failure],
    software: Mapping[str, str],
    methods: MethodsText,
) -> Path:
    """Write a participant's report, whatever the state of the results.

    Parameters
    ----------
    plan : Plan
        What was to be done; it may hold nothing but problems.
    out_dir : Path
        The output folder. What the plan promises and is not there is listed as missing, so the
        files of the dataset and of the citation must be written before.
    failures : sequence of Failure
        What failed.
    software : mapping of str to str
        Name and version of each package, in the order to be shown.
    methods : MethodsText
        The methods text of this participant.

    Returns
    -------
    Path
        ``sub-XX.html``. The same plan and files give the same bytes.

    Raises
    ------
    OSError
        Where it cannot be written.
    """
    page = _make_page(plan, out_dir, failures, software, methods)
    path = out_dir / paths.report(plan.participant)
    write_text(path, _render(page))
    return path


def missing_outputs(plan: Plan, out_dir: Path) -> tuple[str, ...]:
    """Return the planned outputs that are not on disk, the report itself aside."""
    own = {paths.report(plan.participant), paths.calls(plan.participant)}
    return tuple(
        str(path)
        for path in paths.expected_outputs(plan)
        if path not in own and not (out_dir / path).is_file()
    )


def _make_page(
    plan: Plan,
    out_dir: Path,
    failures: Sequence[Failure],
    software: Mapping[str, str],
    methods: MethodsText,
) -> Page:
    """Gather all that the page shows."""
    missing = missing_outputs(plan, out_dir)
    part = _analysis_part(plan, out_dir, "analysis-1", software, methods)
    state, verdict = _verdict(plan, missing, failures, part.notices)
    return Page(
        participant=plan.participant,
        version=__version__,
        verdict=verdict,
        state=state,
        tiles=_tiles(plan, out_dir, missing, failures, part.notices),
        worst=(),
        analyses=(part,),
        others=models.other_pictures(plan, out_dir),
        problems=plan.problems,
        failures=tuple(
            FailurePart(record=item.record, message=item.message, details=item.details)
            for item in failures
        ),
        missing=missing,
    )


def _analysis_part(
    plan: Plan, out_dir: Path, anchor: str, software: Mapping[str, str], methods: MethodsText
) -> AnalysisPart:
    """Gather what the page shows of one analysis."""
    names = overview.run_names(plan)
    groups = tuple(
        group_part(plan, group, f"{anchor}-group-{index}", out_dir)
        for index, group in enumerate(plan.groups, start=1)
    )
    return AnalysisPart(
        anchor=anchor,
        title="Analysis 1",
        differences=(),
        summary=summary_sentences(plan),
        best=best_result(groups),
        overview=models.overview_tables(plan, out_dir) if plan.runs else (),
        absent=overview.absence_reasons(plan),
        reasons=overview.estimability_reasons(plan),
        groups=groups,
        runs=tuple(
            models.run_part(run, names[run.key], f"{anchor}-run-{index}", out_dir)
            for index, run in enumerate(plan.runs, start=1)
        ),
        methods=methods_html(methods.markdown, methods.references, prefix=f"{anchor}-"),
        provenance=(
            models.settings_table(plan),
            models.software_table(software),
            models.inputs_table(plan),
            models.hashes_table(plan),
        ),
        notices=tuple(sorted(dict.fromkeys(plan.notices), key=lambda notice: not notice.warning)),
    )


def _verdict(
    plan: Plan, missing: Sequence[str], failures: Sequence[Failure], notices: Sequence[Notice]
) -> tuple[str, str]:
    """Return the state of the results and the sentence that says it."""
    warnings = sum(notice.warning for notice in notices)
    if plan.problems:
        return "bad", (
            f"Nothing was computed: the input has {count(len(plan.problems), 'problem')}."
        )
    if failures or missing:
        return "bad", (
            f"Incomplete: {count(len(failures), 'step')} failed and "
            f"{count(len(missing), 'planned output')} {'is' if len(missing) == 1 else 'are'} "
            "missing."
        )
    if not plan.runs:
        return "warning", "There is no run to analyse."
    if warnings:
        return "warning", f"Complete, with {count(warnings, 'warning')}."
    return "good", "Complete: every planned output is there."


def _tiles(
    plan: Plan,
    out_dir: Path,
    missing: Sequence[str],
    failures: Sequence[Failure],
    notices: Sequence[Notice],
) -> tuple[Tile, ...]:
    """Return the most important counts; what is wrong leads to where it is told."""
    used = sum(
        bool(run.estimable) and not models.run_files_missing(run, out_dir) for run in plan.runs
    )
    n_outputs = len(paths.expected_outputs(plan)) - 1
    contrasts = {item.contrast.label for run in plan.runs for item in run.contrasts}
    contrasts |= {item.contrast.label for group in plan.groups for item in group.contrasts}
    incomplete, absent = len(plan.runs) - used, len(plan.absent_runs)
    errors = len(failures) + len(plan.problems)
    warnings = sum(notice.warning for notice in notices)
    tiles = [
        Tile(value=str(used), name="runs used", goal="runs"),
        Tile(
            value=str(incomplete),
            name="runs incomplete",
            goal="summary",
            state="bad" if incomplete else "",
        ),
        Tile(value=str(absent), name="runs left out", goal="summary", state="warning"),
        Tile(value=str(len(contrasts)), name="contrasts", goal="contrasts"),
        Tile(
            value=f"{n_outputs - len(missing)} of {n_outputs}",
            name="outputs written",
            goal="errors-missing" if missing else "provenance",
            state="bad" if missing else "",
        ),
        Tile(
            value=str(warnings),
            name="warnings",
            goal="errors-notices" if warnings else "errors",
            state="warning" if warnings else "",
        ),
        Tile(value=str(errors), name="errors", goal="errors", state="bad" if errors else ""),
    ]
    return tuple(tile for tile in tiles if absent or tile.name != "runs left out")


def _render(page: Page) -> str:
    """Fill the template; every text is escaped but the methods', whose maker did it."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bids_fx", "data"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(page=page)

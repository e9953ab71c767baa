"""The report of a participant: one HTML file, from the plan and the files on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bids_fx import __version__
from bids_fx.analyses import differences
from bids_fx.calls import Call, Failure
from bids_fx.derivatives import paths
from bids_fx.derivatives.holdings import missing_outputs
from bids_fx.derivatives.quality import quality_failures
from bids_fx.derivatives.write import write_text
from bids_fx.entities import IMAGE_ENTITIES, Entities
from bids_fx.records import GroupContrast, MethodsText, Plan, RunContrast, RunPlan
from bids_fx.regular import read_bytes
from bids_fx.reports import models, overview, provenance
from bids_fx.reports.markdown import methods_html
from bids_fx.reports.measures import worst_quality
from bids_fx.reports.page import AnalysisPart, FailurePart, Page, Tile
from bids_fx.reports.results import group_part
from bids_fx.reports.run_quality import quality_part
from bids_fx.reports.summary import best_result, summary_sentences
from bids_fx.reports.templates import render
from bids_fx.reports.viewer import PAGE_BYTES, viewer_part
from bids_fx.reports.wording import count


def write_report(
    calls: Sequence[Call], out_dir: Path, methods: Sequence[MethodsText], *, n_threads: int = 1
) -> Path:
    """Write a participant's report, whatever the state of the results.

    Parameters
    ----------
    calls : sequence of Call
        One for each analysis of the participant, that of the newest call first. The plans may
        hold nothing but problems.
    out_dir : Path
        The output folder. What the plans promise and is not there is listed as missing, so the
        files of the dataset and of the citation must be written before.
    methods : sequence of MethodsText
        The methods text of each analysis.
    n_threads : int
        Threads that pack the viewer's maps; >= 1. The page does not depend on it.

    Returns
    -------
    Path
        ``sub-XX.html``. The same calls and files give the same bytes.

    Raises
    ------
    OSError
        Where it cannot be written.
    """
    page = _make_page(calls, out_dir, methods)
    plans = [call.plan for call in calls]
    if any(plan.groups for plan in plans):
        # Its maps get the room that the rest of the page leaves.
        room = PAGE_BYTES - len(_render(page).encode())
        page = replace(page, viewer=viewer_part(plans, out_dir, room=room, n_threads=n_threads))
    path = out_dir / paths.report(page.participant)
    write_text(path, _render(page))
    return path


def _make_page(calls: Sequence[Call], out_dir: Path, methods: Sequence[MethodsText]) -> Page:
    """Gather all that the page shows."""
    plans = [call.plan for call in calls]
    absent = (path for plan in plans for path in missing_outputs(plan, out_dir))
    missing = tuple(dict.fromkeys(absent))
    failures = tuple(dict.fromkeys(failure for call in calls for failure in call.failures))
    problems = tuple(dict.fromkeys(problem for plan in plans for problem in plan.problems))
    parts = tuple(
        _analysis_part(number, call, calls[0], out_dir, text, 3 if len(calls) == 1 else 4)
        for number, (call, text) in enumerate(zip(calls, methods, strict=True), start=1)
    )
    broken = tuple(dict.fromkeys(one for plan in plans for one in quality_failures(plan, out_dir)))
    counts = _Counts(
        runs=len(fits := _fits(plans)),
        used=sum(all(models.has_maps(run, out_dir) for run in of_run) for of_run in fits.values()),
        problems=len(problems),
        failures=len(failures),
        missing=len(missing),
        broken=len(broken),
        warnings=sum(notice.warning for part in parts for notice in part.notices),
    )
    state, verdict = _verdict(counts)
    return Page(
        participant=plans[0].participant,
        version=__version__,
        verdict=verdict,
        state=state,
        tiles=_tiles(plans, counts),
        worst=worst_quality(plans, out_dir),
        analyses=parts,
        others=models.other_pictures(plans, out_dir),
        problems=problems,
        failures=tuple(
            FailurePart(record=item.record, message=item.message, details=_details(item, out_dir))
            for item in failures
        ),
        missing=missing,
        broken=broken,
    )


def _details(failure: Failure, out_dir: Path) -> str:
    """Return all that is known of a failure, as far as its file is there."""
    if not failure.crash:
        return failure.details
    try:
        return read_bytes(out_dir / failure.crash).decode(errors="replace")
    except OSError:
        return f"What was known of it stood in {failure.crash}, which cannot be read any more."


class _Counts(NamedTuple):
    """What of all analyses there is how many of; a run in several spaces is one."""

    runs: int
    used: int
    problems: int
    failures: int
    missing: int
    broken: int
    warnings: int


def _analysis_part(
    number: int, call: Call, first: Call, out_dir: Path, methods: MethodsText, level: int
) -> AnalysisPart:
    """Gather what the page shows of one analysis; its headings begin at a level."""
    plan, anchor = call.plan, f"analysis-{number}"
    names = overview.run_names(plan)
    groups = [
        group_part(plan, group, f"{anchor}-group-{index}", out_dir)
        for index, group in enumerate(plan.groups, start=1)
    ]
    # What is combined over all sessions is looked at first; the nodes of a model keep their order.
    if plan.steps is None:
        groups.sort(key=lambda part: part.level == "session")
    return AnalysisPart(
        anchor=anchor,
        title=f"Analysis {number}",
        differences=differences(call, first),
        summary=summary_sentences(plan),
        best=best_result(groups),
        overview=models.overview_tables(plan, out_dir) if plan.runs else (),
        absent=overview.absence_reasons(plan),
        reasons=overview.estimability_reasons(plan),
        groups=tuple(groups),
        runs=tuple(
            models.run_part(
                run,
                names[run.key],
                f"{anchor}-run-{index}",
                out_dir,
                plan.report.quality_limits,
            )
            for index, run in enumerate(plan.runs, start=1)
            if run.key not in plan.replaced
        ),
        quality=quality_part(plan, out_dir),
        methods=methods_html(
            methods.markdown, methods.references, prefix=f"{anchor}-", level=level
        ),
        provenance=(
            provenance.settings_table(plan),
            provenance.software_table(call.software),
            provenance.inputs_table(plan),
            provenance.hashes_table(plan),
        ),
        notices=tuple(sorted(dict.fromkeys(plan.notices), key=lambda notice: not notice.warning)),
    )


def _verdict(counts: _Counts) -> tuple[str, str]:
    """Return the state of the results and the sentence that says it."""
    if counts.problems:
        stays = "; what earlier calls computed stands below" if counts.runs else ""
        return "bad", (
            f"Nothing was computed: the input has {count(counts.problems, 'problem')}{stays}."
        )
    if counts.failures or counts.missing:
        told = [f"{count(counts.failures, 'step')} failed"] if counts.failures else []
        if counts.missing:
            are = "is" if counts.missing == 1 else "are"
            told.append(f"{count(counts.missing, 'planned output')} {are} missing")
        return "bad", f"Incomplete: {' and '.join(told)}."
    if counts.broken:
        return "bad", f"Complete, but {count(counts.broken, 'limit')} of quality not kept."
    if not counts.runs:
        return "warning", "There is no run to analyse."
    if counts.warnings:
        return "warning", f"Complete, with {count(counts.warnings, 'warning')}."
    return "good", "Complete: every planned output is there."


def _fits(plans: Sequence[Plan]) -> dict[Entities, list[RunPlan]]:
    """Return the BOLD runs with the plans of each, which are of several spaces or analyses."""
    found: dict[Entities, list[RunPlan]] = {}
    for plan in plans:
        for run in plan.runs:
            if run.key not in plan.replaced:
                found.setdefault(run.entities.without(*IMAGE_ENTITIES), []).append(run)
    return found


def _tiles(plans: Sequence[Plan], counts: _Counts) -> tuple[Tile, ...]:
    """Return the most important counts; what is wrong leads to where it is told."""
    n_outputs = len({path for plan in plans for path in paths.expected_outputs(plan)}) - 2
    contrasts = {item.contrast.label for plan in plans for item in _items(plan)}
    incomplete = counts.runs - counts.used
    absences = {absence.entities for plan in plans for absence in plan.absent_runs}
    absent = len({one.without(*IMAGE_ENTITIES) for one in absences} - {*_fits(plans)})
    errors, warnings = counts.failures + counts.problems + counts.broken, counts.warnings
    missing = counts.missing
    tiles = [_tile(counts.used, "run", "runs", " used")]
    tiles += [_tile(incomplete, "run", "summary", " incomplete", "bad")] if counts.runs else []
    tiles += [_tile(absent, "run", "summary", " left out", "warning")] if absent else []
    # Where nothing was to be computed, there are no results to count.
    tiles += [_tile(len(contrasts), "contrast", "contrasts")] if counts.runs else []
    if counts.runs or missing:
        written = Tile(
            value=f"{n_outputs - missing} of {n_outputs}",
            name="outputs written",
            goal="errors-missing" if missing else "provenance",
            state="bad" if missing else "",
        )
        tiles.append(written)
    notices = "errors-notices" if warnings else "errors"
    return (
        *tiles,
        _tile(warnings, "warning", notices, state="warning"),
        _tile(errors, "error", "errors", state="bad"),
    )


def _tile(number: int, noun: str, goal: str, more: str = "", state: str = "") -> Tile:
    """Return a count whose name agrees with it; its state shows where there is any."""
    return Tile(
        value=str(number),
        name=f"{noun}{'' if number == 1 else 's'}{more}",
        goal=goal,
        state=state if number else "",
    )


def _items(plan: Plan) -> Iterator[RunContrast | GroupContrast]:
    """Iterate over the contrasts of all runs and groups."""
    for run in plan.runs:
        yield from run.contrasts
    for group in plan.groups:
        yield from group.contrasts


def _render(page: Page) -> str:
    """Fill the template."""
    scripts = (page.viewer.script, page.viewer.library)
    started, held = ([text] if text else [] for text in scripts)
    return render("report.html.jinja", "report.js", page, further=started, held=held)

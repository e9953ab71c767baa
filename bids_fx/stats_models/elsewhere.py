"""What other programs would ignore in a model, or do differently."""

from __future__ import annotations

from collections.abc import Callable

from bids_fx.stats_models.outputs import node_contrasts, passed
from bids_fx.stats_models.records import Node, StatsModel

#: The programs as they were when this was written: FitLins 0.11, pybids 0.22 and bidspm of
#: July 2026.
PROGRAMS = "FitLins 0.11, pybids 0.22, bidspm of 2026"


def elsewhere(model: StatsModel) -> tuple[str, ...]:
    """Return what other programs that read such files would do with a model, in sentences.

    Parameters
    ----------
    model : StatsModel
        A sound model.
    """
    return tuple(text for applies, text in _CLAIMS if applies(model))


def _above(model: StatsModel) -> list[Node]:
    """Return the nodes of level session and subject."""
    return [node for node in model.nodes if node.level in ("session", "subject")]


def _convolves(model: StatsModel) -> bool:
    return any(item.name == "Convolve" for item in model.root.instructions)


def _has_fir(model: StatsModel) -> bool:
    return any(
        item.name == "Convolve" and str(item.arguments.get("Model")).casefold().startswith("fir")
        for item in model.root.instructions
    )


def _weighs_results(model: StatsModel) -> bool:
    return any(node.x or node.contrasts for node in _above(model))


def _passes_f_tests(model: StatsModel) -> bool:
    return any(
        contrast.test == "F"
        for node in _above(model)
        for contrast in passed(model, model.source_of(node)).contrasts
    )


def _has_rows(model: StatsModel) -> bool:
    return any(len(contrast.weights) > 1 for contrast in node_contrasts(model, model.root))


_CLAIMS: tuple[tuple[Callable[[StatsModel], bool], str], ...] = (
    (
        lambda model: model.root.hrf is not None,
        (
            "Model.HRF is ignored by FitLins and pybids: what it names stays unconvolved there,"
            " which needs an instruction Convolve instead. bidspm convolves, with spm and its "
            "derivatives."
        ),
    ),
    (
        _convolves,
        (
            "Convolve is ignored by bidspm, which needs Model.HRF. FitLins and pybids convolve,"
            " but sample the response at times that drift by almost one TR over a run, whatever"
            " StartTime is. An event of duration 0 has area 1 s here, and there that of a step "
            "of their grid, 0.1 s or less."
        ),
    ),
    (
        _has_fir,
        "FIR delays are counted in steps of 0.1 s by FitLins and pybids, and in scans here.",
    ),
    (
        lambda model: not _convolves(model) and model.root.hrf is None,
        "Nothing is convolved by FitLins and pybids, since the model says nothing of it.",
    ),
    (
        lambda model: model.root.high_pass_hz is not None,
        (
            "Options.HighPassFilterCutoffHz is ignored by FitLins, which takes the drift from "
            "its command line, and by pybids. bidspm filters by it."
        ),
    ),
    (
        lambda model: any(node.software or node.labels for node in model.nodes),
        "Software.bids_fx is for this program alone.",
    ),
    (
        lambda model: not model.root.x,
        "A model of runs with an intercept alone is refused by FitLins and pybids.",
    ),
    (
        lambda model: bool(model.root.x),
        (
            "Where a run lacks a condition or column that the model has by name, FitLins stops,"
            " and where by a wildcard, it leaves contrasts out without a word. Here the "
            "contrasts that the run can still estimate are kept, and the run is left out of the"
            " others by name."
        ),
    ),
    (
        lambda model: bool(_above(model)),
        (
            "FitLins combines runs by fixed effects only where Type is spelled 'Meta'; as the "
            "specification spells it, 'meta', or without it, it runs ordinary least squares "
            "over the runs. Its fixed effects are unweighted, and come without z, p and degrees"
            " of freedom."
        ),
    ),
    (
        lambda model: bool(_above(model)),
        "bidspm fits all runs of a participant as one GLM.",
    ),
    (
        _weighs_results,
        (
            "The weights of contrasts above run level are ignored by FitLins' fixed effects, "
            "and contrasts that are new there may be left out."
        ),
    ),
    (
        _passes_f_tests,
        (
            "F contrasts end at their node in the specification; here they are combined over "
            "runs as joint tests."
        ),
    ),
    (_has_rows, "F contrasts of several rows are left out by FitLins' AFNI estimator."),
    (
        lambda model: "run" in model.root.group_by,
        (
            "In a dataset without 'run' in its file names, 'run' in GroupBy is no grouping that"
            " FitLins and pybids can make."
        ),
    ),
    (
        lambda model: any(node.level == "dataset" for node in model.nodes),
        "Nodes of level Dataset are run by the others, and not yet here.",
    ),
)

"""What a model does, in plain words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from bids_fx.errors import Notice
from bids_fx.model import write_rows
from bids_fx.settings import AnalysisSettings, setting_text
from bids_fx.stats_models.analysis import Analysis
from bids_fx.stats_models.elsewhere import PROGRAMS, elsewhere
from bids_fx.stats_models.names import CONTRAST, long_key
from bids_fx.stats_models.outline import combined_over
from bids_fx.stats_models.outputs import (
    INTERCEPT_NAME,
    Outputs,
    node_contrasts,
    outputs_of,
    passed,
)
from bids_fx.stats_models.records import INTERCEPT, Edge, Node, NodeContrast, StatsModel
from bids_fx.stats_models.software import SETTINGS
from bids_fx.transforms.records import Instruction

_WIDTH = 96
_TESTS = {"t": "t test", "F": "F test", "pass": "no test"}


def explain(analysis: Analysis, notices: Iterable[Notice]) -> str:
    """Return what a model does, what was assumed, and what others would make of it.

    Parameters
    ----------
    analysis : Analysis
        A sound model, and what it asks for.
    notices : iterable of Notice
        What was assumed when it was read.

    Returns
    -------
    str
        Text of several paragraphs that ends with a line break.
    """
    model = analysis.model
    parts = [_heading(model, analysis.where)]
    parts += [_node_text(analysis, node, i) for i, node in enumerate(model.nodes, start=1)]
    prefix = f"{analysis.where}: "
    assumed = [notice.text.removeprefix(prefix) for notice in (*notices, *analysis.notices)]
    if assumed:
        parts.append(_section("Assumed and noted", assumed))
    parts.append(_section(f"In other programs ({PROGRAMS})", elsewhere(model)))
    return "\n\n".join(parts) + "\n"


def _heading(model: StatsModel, name: str) -> str:
    """Return what the model is called, and which images it is about."""
    lines = [f"{name}: model '{model.name}' (BIDS Stats Models {model.version})"]
    if model.description:
        lines.append(_wrapped(model.description))
    chosen = [f"{long_key(key)} {' or '.join(labels)}" for key, labels in model.input.items()]
    lines.append(_wrapped(f"It is about images of {', '.join(chosen) or 'all tasks'}."))
    return "\n".join(lines)


def _node_text(analysis: Analysis, node: Node, number: int) -> str:
    """Return what a node does."""
    model = analysis.model
    title = f"{number}. Node '{node.name}', level {node.level.capitalize()}"
    if node.level == "run":
        points = _run_points(node)
    elif node.level == "dataset":
        points = [_taken_text(model, node), "It is not run yet by this program."]
    else:
        points = _combination_points(analysis, node)
    if node.level != "dataset":
        points += _contrast_points(model, node)
        points += [_passed_text(model, edge) for edge in model.edges if edge.source == node.name]
    return _section(title, points)


def _run_points(node: Node) -> list[str]:
    """Return how a run is modelled."""
    points = ["Each run is fitted by itself, by a general linear model."]
    if node.instructions:
        steps = "; ".join(_instruction_text(item) for item in node.instructions)
        points.append(f"Variables are transformed: {steps}.")
    columns = ", ".join(node.x) or "none"
    points.append(f"Columns of the design (X): {columns}; and an intercept.")
    points += [_convolution_text(node), _drift_text(node)]
    points += _software_points(node)
    return points


def _instruction_text(item: Instruction) -> str:
    """Return an instruction on one line."""
    text = f"{item.name} {', '.join(item.inputs)}".strip()
    if item.arguments:
        text += (
            f" ({', '.join(f'{key} {_value(value)}' for key, value in item.arguments.items())})"
        )
    return text + (f" into {', '.join(item.outputs)}" if item.outputs else "")


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _convolution_text(node: Node) -> str:
    """Return what is convolved, and by what."""
    by_instruction = [item for item in node.instructions if item.name == "Convolve"]
    if node.hrf is not None:
        return f"Convolved with the HRF {node.hrf.hrf_model}: {', '.join(node.hrf.variables)}."
    if by_instruction:
        return "The instructions convolve; other variables of events in X would enter as they are."
    chosen = node.software.get("hrf_model")
    why = "as Software.bids_fx has it" if chosen else "by default, since the model says nothing"
    hrf_model = chosen or AnalysisSettings().hrf_model
    return f"Variables of events in X are convolved with the HRF {hrf_model}, {why}."


def _drift_text(node: Node) -> str:
    """Return what stands for slow drift."""
    defaults = AnalysisSettings()
    if node.high_pass_hz is not None:
        return (
            f"Drift: cosines, which take out periods above {1 / node.high_pass_hz:.4g} s "
            f"(HighPassFilterCutoffHz {node.high_pass_hz:g})."
        )
    drift = node.software.get("drift_model")
    period = node.software.get("high_pass_s")
    if drift is None and period is None and node.names_cosines:
        return "Drift: none but the cosine columns that X names."
    if drift not in (None, "cosine"):
        return f"Drift: {drift}."
    why = "" if drift or period else ", by default"
    return (
        f"Drift: cosines, which take out periods above {period or defaults.high_pass_s:g} s{why}."
    )


def _software_points(node: Node) -> list[str]:
    """Return the settings of this program."""
    chosen = [
        f"{key} {setting_text(setting.field, node.software[setting.field])}"
        for key, setting in SETTINGS.items()
        if setting.field in node.software
    ]
    return [f"Settings for this program: {'; '.join(chosen)}."] if chosen else []


def _combination_points(analysis: Analysis, node: Node) -> list[str]:
    """Return what a node above run level combines."""
    points = [_taken_text(analysis.model, node)]
    over = combined_over(analysis, node)
    if over:
        kept = [long_key(key) for key in node.group_by if key not in (CONTRAST, *over)]
        text = (
            f"It combines over {' and '.join(map(long_key, over))}, by fixed effects, separately "
            f"for each {' and '.join(kept)}"
        )
        points.append(text + (", each contrast by itself." if CONTRAST in node.group_by else "."))
    else:
        points.append("It hands on what it takes.")
    if node.instructions:
        steps = "; ".join(_instruction_text(item) for item in node.instructions)
        points.append(f"Results are told apart by their labels: {steps}.")
    return points + _software_points(node)


def _taken_text(model: StatsModel, node: Node) -> str:
    """Return what comes to a node."""
    edge = model.source_of(node)
    labels = [
        f"{long_key(key)} {' or '.join(values)}"
        for key, values in edge.filter.items()
        if key != CONTRAST
    ]
    of = f" of {', '.join(labels)}" if labels else ""
    return f"It takes the results{of} of '{edge.source}': {_listing(passed(model, edge))}."


def _passed_text(model: StatsModel, edge: Edge) -> str:
    return f"To '{edge.destination}' it passes on {_listing(passed(model, edge))}."


def _listing(outputs: Outputs) -> str:
    """Return the names of contrasts."""
    patterns = [f"one for each column like {name}" for name in outputs.patterns]
    return ", ".join([*outputs.names, *patterns]) or "nothing"


def _contrast_points(model: StatsModel, node: Node) -> list[str]:
    """Return each contrast of a node as a formula."""
    contrasts = node_contrasts(model, node)
    points = [_contrast_text(contrast) for contrast in contrasts]
    points += [
        f"Contrasts: one for each column like {name}." for name in outputs_of(model, node).patterns
    ]
    return points or ["It makes no contrast."]


def _contrast_text(contrast: NodeContrast) -> str:
    """Return a contrast with its formula and test."""
    names = [INTERCEPT_NAME if name == INTERCEPT else name for name in contrast.conditions]
    rows = tuple(
        tuple((name, None, weight) for name, weight in zip(names, row, strict=True) if weight)
        for row in contrast.weights
    )
    formula = write_rows(rows, "F" if len(rows) > 1 else "t", names)
    return f"Contrast {contrast.name} = {formula} ({_TESTS[contrast.test]})."


def _section(title: str, points: Sequence[str]) -> str:
    """Return a heading with points below it."""
    return "\n".join([title, *(_wrapped(point, first="  - ", rest="    ") for point in points)])


def _wrapped(text: str, *, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )

"""The nodes of a model in a few words, for the plan and the report."""

from __future__ import annotations

from bids_fx.stats_models.analysis import Analysis
from bids_fx.stats_models.names import long_key
from bids_fx.stats_models.outputs import outputs_of
from bids_fx.stats_models.records import Node
from bids_fx.steps import ModelOutline, NodeOutline


def outline(analysis: Analysis) -> ModelOutline:
    """Return what a reader of the plan must know of a model."""
    nodes = tuple(_node(analysis, node) for node in analysis.model.nodes)
    return ModelOutline(name=analysis.model.name, file=analysis.where, nodes=nodes)


def combined_over(analysis: Analysis, node: Node) -> list[str]:
    """Return the short keys of what a node combines over, and no node before it."""
    steps = {step.name: step for step in analysis.steps}
    if node.name not in steps:
        return []
    keys = list(steps[node.name].over)
    source = steps[node.name].source
    while source is not None:
        keys = [key for key in keys if key not in steps[source].over]
        source = steps[source].source
    return keys


def _node(analysis: Analysis, node: Node) -> NodeOutline:
    is_root = node is analysis.model.root
    made = outputs_of(analysis.model, node)
    open_ones = [f"one for each column like {name}" for name in made.patterns]
    return NodeOutline(
        name=node.name,
        level=node.level,
        source=None if is_root else analysis.model.source_of(node).source,
        does=_does(analysis, node),
        contrasts=() if node.level == "dataset" else (*made.names, *open_ones),
    )


def _does(analysis: Analysis, node: Node) -> str:
    """Return what is done at a node."""
    if node.level == "run":
        return "fits each run"
    if node.level == "dataset":
        return "not run yet"
    over = combined_over(analysis, node)
    if not over:
        return "hands on what it takes"
    return f"combines over {' and '.join(map(long_key, over))}"

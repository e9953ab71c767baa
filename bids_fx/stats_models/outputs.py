"""What the nodes of a model make of what they take, by names, before any data are seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bids_fx.stats_models.names import CONTRAST, entity_key, is_held, plain_name, read_name
from bids_fx.stats_models.records import INTERCEPT, Edge, Node, NodeContrast, NodeTest, StatsModel
from bids_fx.transforms.scope import is_pattern

#: What the contrast of an intercept is called that has no name of its own.
INTERCEPT_NAME = "intercept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """The contrasts that a node makes, or that an edge passes on.

    Parameters
    ----------
    contrasts : tuple of NodeContrast
        Those whose names are known. Of a node above run level, the conditions are names of the
        contrasts that it takes, or ``name.label`` where it takes only those with a label, see
        `term_of`.
    patterns : tuple of str
        Shell patterns of the names of others, one for each column that the data have.
    """

    contrasts: tuple[NodeContrast, ...] = ()
    patterns: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are known."""
        return tuple(contrast.name for contrast in self.contrasts)

    def has(self, name: str) -> bool:
        """Tell whether there is, or may be, a contrast of a name."""
        return is_held(name, self.patterns) or plain_name(name) in map(plain_name, self.names)


def node_contrasts(model: StatsModel, node: Node) -> tuple[NodeContrast, ...]:
    """Return the contrasts that a node makes, as far as their names are known.

    Parameters
    ----------
    model : StatsModel
        A sound model.
    node : Node
        One of its nodes.

    Returns
    -------
    tuple of NodeContrast
        Those of the file, then one for each dummy contrast; none for shell patterns in X.
    """
    return outputs_of(model, node).contrasts


def outputs_of(model: StatsModel, node: Node) -> Outputs:
    """Return what a node makes."""
    if node.level in ("run", "dataset"):
        return _of_columns(node)
    return _of_results(node, passed(model, model.source_of(node)))


def passed(model: StatsModel, edge: Edge) -> Outputs:
    """Return what an edge passes on.

    Notes
    -----
    In the specification F contrasts end where they are made. Here those of runs are combined by
    a joint test, so that they are passed on, but not to nodes at dataset level.
    """
    made = outputs_of(model, model.node(edge.source))
    wanted = edge.filter.get(CONTRAST)
    plain = set(map(plain_name, wanted or ()))
    ends_f_tests = model.node(edge.destination).level == "dataset"
    contrasts = tuple(
        contrast
        for contrast in made.contrasts
        if (wanted is None or plain_name(contrast.name) in plain)
        and not (ends_f_tests and contrast.test == "F")
    )
    if wanted is None:
        return Outputs(contrasts=contrasts, patterns=made.patterns)
    patterns = tuple(name for name in wanted if is_held(name, made.patterns))
    return Outputs(contrasts=contrasts, patterns=patterns)


def _of_columns(node: Node) -> Outputs:
    """Return the contrasts of the columns of a design."""
    contrasts, patterns = list(node.contrasts), []
    if node.dummies is not None:
        for name in node.dummy_names:
            if is_pattern(name):
                patterns.append(name)
            else:
                label = INTERCEPT_NAME if name == INTERCEPT else name
                contrasts.append(_dummy(label, name, node.dummies.test))
    return Outputs(contrasts=tuple(contrasts), patterns=tuple(patterns))


def _of_results(node: Node, taken: Outputs) -> Outputs:
    """Return the contrasts of the results of other nodes."""
    if CONTRAST not in node.group_by and node.x:
        return _of_columns(replace(node, x=columns_of(node, taken)))
    made: list[NodeContrast] = []
    for source in taken.contrasts:
        made += _of_one(node, source)
    passes = node.dummies is not None and not node.x
    return Outputs(contrasts=tuple(made), patterns=taken.patterns if passes else ())


def columns_of(node: Node, taken: Outputs) -> tuple[str, ...]:
    """Return X of a node above run level, its patterns replaced by the names that they meet."""
    columns: list[str] = []
    for name in node.x:
        met = [other for other in taken.names if is_held(other, [name])]
        columns += met if is_pattern(name) else [name]
    return tuple(dict.fromkeys(columns))


def _of_one(node: Node, source: NodeContrast) -> list[NodeContrast]:
    """Return the contrasts that a node makes of each contrast that it takes, of one of them.

    Names are made as pybids makes them: that of the source, and behind it that of the contrast
    unless it is the intercept's.
    """
    made = []
    for contrast in node.contrasts:
        own = read_name(contrast.name) == INTERCEPT
        made.append(
            replace(
                contrast,
                name=source.name if own else f"{source.name}_{contrast.name}",
                conditions=tuple(_within(source.name, name) for name in contrast.conditions),
                test="F" if source.test == "F" else contrast.test,
            )
        )
    if node.dummies is None:
        return made
    test: NodeTest = "F" if source.test == "F" else node.dummies.test
    for name in node.dummy_names:
        own_name = source.name if name == INTERCEPT else f"{source.name}_{name}"
        made.append(_dummy(own_name, _within(source.name, name), test))
    return made


def _within(source: str, condition: str) -> str:
    """Return a condition on the results of one contrast: all of them, or those with a label."""
    if condition == INTERCEPT:
        return source
    return f"{source}.{condition.partition('.')[2]}"


def _dummy(name: str, condition: str, test: NodeTest) -> NodeContrast:
    return NodeContrast(name=name, conditions=(condition,), weights=((1.0,),), test=test)


def split_keys(node: Node) -> tuple[str, ...]:
    """Return the short keys of the entities by whose labels a node tells results apart.

    Parameters
    ----------
    node : Node
        Above run level; its instructions are ``Split`` and ``Factor``.
    """
    keys: list[str] = []
    for item in node.instructions:
        by = item.arguments.get("By", ()) if item.name == "Split" else item.inputs
        names = [by] if isinstance(by, str) else _texts(by)
        keys += [entity_key(name) or name for name in names]
    return tuple(dict.fromkeys(keys))


def _texts(values: object) -> Sequence[str]:
    return [str(value) for value in values] if isinstance(values, list | tuple) else []


def term_of(condition: str, node: Node, names: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """Return the contrast that a condition of a node above run level is about, and its labels.

    Parameters
    ----------
    condition : str
        As `node_contrasts` has it.
    node : Node
        The node.
    names : sequence of str
        Names of the contrasts that it takes.

    Returns
    -------
    name : str
        Of the contrast.
    labels : mapping of str to str
        Labels of the results that are meant, by short entity key; empty means all.

    Raises
    ------
    ValueError
        If it is about none of them.
    """
    by_plain_name = {plain_name(name): name for name in names}
    if plain_name(condition) in by_plain_name:
        return by_plain_name[plain_name(condition)], {}
    keys = split_keys(node)
    before, *labels = condition.rsplit(".", len(keys)) if keys else (condition,)
    name = by_plain_name.get(plain_name(before))
    if name is None or len(labels) != len(keys) or not all(labels):
        raise ValueError(f"'{condition}' is none of the contrasts that come from below")
    return name, dict(zip(keys, labels, strict=True))

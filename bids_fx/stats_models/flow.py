"""The names of contrasts along the edges of a model: that each node takes what there is."""

from __future__ import annotations

from dataclasses import replace

from bids_fx.stats_models.findings import Place
from bids_fx.stats_models.names import CONTRAST, entity_key, is_held, long_key
from bids_fx.stats_models.outputs import (
    Outputs,
    columns_of,
    outputs_of,
    passed,
    split_keys,
    term_of,
)
from bids_fx.stats_models.records import INTERCEPT, Edge, Node, StatsModel
from bids_fx.stats_models.software import check_labels
from bids_fx.suggest import did_you_mean, listed

#: Instructions that tell results apart by their labels.
_SPLITS = ("Split", "Factor")


def settle(model: StatsModel, place: Place) -> StatsModel:
    """Check the names of contrasts along all edges, from the root on.

    Parameters
    ----------
    model : StatsModel
        A tree. Nodes among `Findings.faulty` are passed over with all that takes their results,
        since it is not known what they make.
    place : Place
        The file.

    Returns
    -------
    StatsModel
        The same, where dummy contrasts that name what comes from below, beside an intercept
        alone, have become filters of their node's edge.
    """
    ahead = [model.root.name]
    while ahead:
        name = ahead.pop(0)
        if name in place.findings.faulty:
            continue
        for given in [edge for edge in model.edges if edge.source == name]:
            node = given.destination
            where = Place(place.findings, f"{place.text}: node '{node}'", node)
            model, edge = _with_filter(model, given, where)
            if _check_filter(model, edge, place):
                _check_node(model, edge, where)
                ahead.append(node)
    return model


def _with_filter(model: StatsModel, edge: Edge, place: Place) -> tuple[StatsModel, Edge]:
    """Make dummy contrasts of what comes from below a filter of the edge."""
    node = model.node(edge.destination)
    if node.x or node.dummies is None or node.dummies.conditions is None:
        return model, edge
    wanted = node.dummies.conditions
    if INTERCEPT in wanted:
        return model, edge
    if CONTRAST in edge.filter:
        wanted = tuple(name for name in wanted if is_held(name, edge.filter[CONTRAST]))
    place.note(
        f"its DummyContrasts name contrasts from below, beside X = [1]: read as an edge that "
        f"passes on {listed(wanted)} alone"
    )
    narrowed = replace(edge, filter={**edge.filter, CONTRAST: wanted})
    plain = replace(node, dummies=replace(node.dummies, conditions=None))
    edges = tuple(narrowed if other is edge else other for other in model.edges)
    nodes = tuple(plain if other is node else other for other in model.nodes)
    return replace(model, nodes=nodes, edges=edges), narrowed


def _check_filter(model: StatsModel, edge: Edge, place: Place) -> bool:
    """Check that a filter names contrasts that there are."""
    source = model.node(edge.source)
    wanted = edge.filter.get(CONTRAST)
    if source.level == "dataset" or wanted is None:
        return True
    made = outputs_of(model, source)
    unknown = [name for name in wanted if not made.has(name)]
    for name in unknown:
        found = f"node '{source.name}' makes no contrast '{name}'"
        place.at(f"edge from '{edge.source}' to '{edge.destination}'").fault(
            found + _question(name, made), f"it makes {listed(made.names)}"
        )
    return not unknown


def _check_node(model: StatsModel, edge: Edge, place: Place) -> None:
    """Check a node above run level against what comes to it."""
    node = model.node(edge.destination)
    if node.level == "dataset":
        place.note("the level Dataset is not run yet")
        return
    taken = passed(model, edge)
    if not node.contrasts and node.dummies is None:
        place.fault("it makes no contrast", 'write "DummyContrasts": {"Test": "t"}')
        return
    if not taken.contrasts and not taken.patterns:
        place.fault(f"nothing comes to it from '{edge.source}'", "pass on a contrast")
        return
    if not _check_instructions(node, model.node(edge.source), taken, place):
        return
    if node.x:
        _check_columns(node, taken, place)
    elif CONTRAST not in node.group_by and (len(taken.contrasts) > 1 or taken.patterns):
        place.at("GroupBy").fault(
            "without 'contrast', X = [1] would average different contrasts", "add contrast"
        )
    if place.node in place.findings.faulty:
        return
    _check_made(model, node, taken, place)


def _check_instructions(node: Node, source: Node, taken: Outputs, place: Place) -> bool:
    """Check the transformations of a node above run level, and what they are about."""
    keys = split_keys(node)
    for number, item in enumerate(node.instructions, start=1):
        where = place.at(f"instruction {number} ({item.name})")
        if item.name not in _SPLITS:
            where.fault(
                "above run level it is not handled",
                "only Split of contrasts by an entity, and Factor of an entity, are",
            )
            continue
        if split_keys(replace(node, instructions=(item,))) != keys:
            where.fault("two instructions are about different entities", "use one entity")
        for name in item.inputs if item.name == "Split" else ():
            if not taken.has(name):
                found = f"no contrast '{name}' comes to the node"
                where.fault(found + _question(name, taken), f"it takes {listed(taken.names)}")
    for key in keys:
        _check_split(key, node, source, place)
    if node.instructions and not node.x:
        place.fault("its Transformations have no effect on X = [1]", "name their results in X")
    return place.node not in place.findings.faulty


def _check_split(key: str, node: Node, source: Node, place: Place) -> None:
    """Check that what comes to a node can be told apart by an entity."""
    where = place.at("Transformations")
    if entity_key(key) is None:
        where.fault(f"'{key}' is no entity", "only labels of entities tell runs apart")
    elif key in node.group_by:
        where.fault(
            f"the node has '{long_key(key)}' in GroupBy, and so one label at a time",
            f"take '{long_key(key)}' out of GroupBy",
        )
    elif source.level != "run" and key in ("run", "ses") and key not in source.group_by:
        where.fault(
            f"node '{source.name}' has combined over '{long_key(key)}' already",
            "take the results of an earlier node",
        )


def _question(name: str, taken: Outputs) -> str:
    question = did_you_mean(name, taken.names)
    return f" ({question})" if question else ""


def _check_columns(node: Node, taken: Outputs, place: Place) -> None:
    """Check X of a node above run level where it is not the intercept alone."""
    where = place.at("Model").at("X")
    if node.has_intercept:
        where.fault(
            "1 stands beside other names: meta-regression is not handled",
            "write 1 alone, or names of contrasts alone",
        )
        return
    factors = [item.inputs[0] for item in node.instructions if item.name == "Factor"]
    of_labels = [name for name in node.x if name.partition(".")[0] in factors and "." in name]
    of_results = [name for name in node.x if name not in of_labels]
    if of_labels and of_results:
        where.fault(
            f"it mixes labels ({listed(of_labels)}) with contrasts ({listed(of_results)})",
            "use Split for the contrasts",
        )
        return
    if of_labels and CONTRAST not in node.group_by:
        place.at("GroupBy").fault(
            "labels of entities without 'contrast' would mix different contrasts", "add contrast"
        )
    elif of_results and CONTRAST in node.group_by:
        place.at("GroupBy").fault(
            "with 'contrast' in it, X can name only 1, since each contrast is by itself",
            "take contrast out of GroupBy",
        )
    f_tests = {contrast.name for contrast in taken.contrasts if contrast.test == "F"}
    for name in columns_of(node, taken) if of_results else ():
        source = _source_of(name, node, taken)
        if source is None:
            found = f"'{name}' is no contrast that comes to the node"
            where.fault(
                found + _question(name, taken),
                f"meta-regression is not handled; name of {listed(taken.names)}",
            )
        elif source in f_tests:
            where.fault(f"'{source}' is an F contrast, and has no weights", "name t contrasts")


def _source_of(name: str, node: Node, taken: Outputs) -> str | None:
    """Return the contrast that a name in X is about, or None."""
    of_split = [other for item in node.instructions for other in item.inputs]
    try:
        source, labels = term_of(name, node, taken.names)
        return source if not labels or is_held(source, of_split) else None
    except ValueError:
        return None


def _check_made(model: StatsModel, node: Node, taken: Outputs, place: Place) -> None:
    """Check the contrasts that a node above run level makes."""
    made = outputs_of(model, node)
    for name in dict.fromkeys(made.names):
        if made.names.count(name) > 1:
            place.fault(f"two of its contrasts are named '{name}'", "give each its own name")
    check_labels(node.labels, (*made.names, *made.patterns), place)
    f_tests = [contrast.name for contrast in taken.contrasts if contrast.test == "F"]
    if f_tests and not node.x:
        place.note(
            f"the F contrasts {listed(f_tests)} are combined as joint tests; other programs pass "
            "no F contrasts on"
        )
    unused = [name for name in taken.names if node.x and not _is_used(name, node, taken)]
    if unused:
        place.note(f"{listed(unused)} come to it, but are not in X")


def _is_used(name: str, node: Node, taken: Outputs) -> bool:
    """Tell whether X has something of a contrast."""
    if CONTRAST in node.group_by:
        return True
    return any(_source_of(item, node, taken) == name for item in columns_of(node, taken))

"""The edges of a model: which node's results go to which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from bids_fx.stats_models.findings import Place, kind_of, read_object, text_of, texts_of
from bids_fx.stats_models.names import CONTRAST, entity_key, entity_names
from bids_fx.stats_models.nodes import LEVELS
from bids_fx.stats_models.records import Edge, Node
from bids_fx.suggest import did_you_mean, listed

_ORDER = tuple(LEVELS.values())


def read_edges(raw: object, nodes: Sequence[Node], place: Place) -> tuple[Edge, ...]:
    """Return the edges of a model.

    Parameters
    ----------
    raw : object
        ``Edges``; None chains the nodes in their order.
    nodes : sequence of Node
        The nodes.
    place : Place
        The file.
    """
    if raw is None:
        return tuple(Edge(source=a.name, destination=b.name) for a, b in pairwise(nodes))
    if not isinstance(raw, list):
        place.at("Edges").fault(f"it is {kind_of(raw)}", "write a list of edges")
        return ()
    levels = {node.name: node.level for node in nodes}
    edges = [_read_edge(item, place.at(f"Edges[{i}]"), levels) for i, item in enumerate(raw)]
    return tuple(edge for edge in edges if edge is not None)


def _read_edge(raw: object, place: Place, levels: Mapping[str, str]) -> Edge | None:
    """Return an edge between known nodes, or None."""
    values = read_object(raw, place, ("Source", "Destination", "Filter"))
    if not isinstance(raw, dict):
        return None
    ends = []
    for key in ("Source", "Destination"):
        if key not in values:
            place.fault(f"{key} not there", "name the node")
            continue
        name = text_of(values[key], place.at(key))
        if name is not None and name not in levels:
            question = did_you_mean(name, levels)
            found = f"there is no node '{name}'" + (f" ({question})" if question else "")
            place.at(key).fault(found, f"the nodes are {listed(list(levels))}")
        elif name is not None:
            ends.append(name)
    if len(ends) < 2:
        return None
    source, destination = ends
    any_key = levels[destination] == "dataset"
    chosen = read_filter(values.get("Filter"), place.at("Filter"), any_key=any_key)
    return Edge(source=source, destination=destination, filter=chosen)


def read_filter(
    raw: object, place: Place, *, any_key: bool = False, with_contrast: bool = True
) -> dict[str, tuple[str, ...]]:
    """Return labels by short entity key.

    Parameters
    ----------
    raw : object
        ``Filter`` of an edge, or ``Input`` of the model; None where there is none.
    place : Place
        Where it stands.
    any_key : bool
        Whether keys may be other metadata.
    with_contrast : bool
        Whether ``contrast`` may be a key.
    """
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        place.fault(f"it is {kind_of(raw)}", "write an object, entities to lists of labels")
        return {}
    chosen: dict[str, tuple[str, ...]] = {}
    for written, value in raw.items():
        key = entity_key(written) or (written if any_key else None)
        if with_contrast and written.casefold() == CONTRAST:
            key = CONTRAST
        if key is None:
            names = (*entity_names(), *((CONTRAST,) if with_contrast else ()))
            question = did_you_mean(written, names)
            found = f"there is no entity '{written}'" + (f" ({question})" if question else "")
            place.fault(found, "use entities, such as task, session and run")
        elif key in chosen:
            place.fault(f"'{written}' stands twice in two spellings", "keep one of them")
        elif value == []:
            place.note(f"the empty list of '{written}' is read as all")
        else:
            chosen[key] = _labels(value, place.at(written), key)
    return chosen


def _labels(value: object, place: Place, key: str) -> tuple[str, ...]:
    """Return labels without their prefix, each once."""
    if value is None:
        place.fault("it is null", "give labels, or leave it out")
        return ()
    prefix = "" if key == CONTRAST else f"{key}-"
    return tuple(dict.fromkeys(text.removeprefix(prefix) for text in texts_of(value, place)))


def check_graph(nodes: Sequence[Node], edges: Sequence[Edge], place: Place) -> bool:
    """Check that the nodes are a tree whose root is the one node of level run.

    Returns
    -------
    bool
        Whether they are.
    """
    before = len(place.findings.problems)
    runs = [node.name for node in nodes if node.level == "run"]
    if not runs:
        place.fault(
            "no node is of level Run, and there is nothing else that could be run",
            "add the node that fits the runs",
        )
    elif len(runs) > 1:
        place.fault(
            f"{len(runs)} nodes are of level Run ({listed(runs)})",
            "keep one; other models of the runs go into files of their own",
        )
    levels = {node.name: node.level for node in nodes}
    for edge in edges:
        lower, upper = (_ORDER.index(levels[name]) for name in (edge.source, edge.destination))
        if upper < lower:
            place.at("Edges").fault(
                f"'{edge.source}' of level {_ORDER[lower].capitalize()} leads down to "
                f"'{edge.destination}' of level {_ORDER[upper].capitalize()}",
                "results go from Run to Session to Subject to Dataset",
            )
    for node in nodes:
        _check_sources(node, edges, place)
    _check_cycles(nodes, edges, place)
    return len(place.findings.problems) == before


def _check_sources(node: Node, edges: Sequence[Edge], place: Place) -> None:
    """Check that a node has the one source that it must have, or none if it fits runs."""
    sources = [edge.source for edge in edges if edge.destination == node.name]
    place = place.at(f"node '{node.name}'")
    if node.level != "run" and not sources:
        place.fault("no edge leads to it", "add the edge from the node whose results it takes")
    elif len(sources) > 1:
        place.fault(
            f"{len(sources)} edges lead to it (from {listed(sources)})",
            "keep one source; a node takes the results of one other",
        )


def _check_cycles(nodes: Sequence[Node], edges: Sequence[Edge], place: Place) -> None:
    """Check that no node takes, by whatever way, what it has made itself."""
    for node in nodes:
        reached, ahead = set[str](), [node.name]
        while ahead:
            name = ahead.pop()
            found = {edge.destination for edge in edges if edge.source == name} - reached
            reached |= found
            ahead += sorted(found)
        if node.name in reached:
            place.at("Edges").fault(
                f"node '{node.name}' takes its own results, in a circle", "remove an edge of it"
            )

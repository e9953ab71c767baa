"""Model files of the old form, whose nodes are called Steps."""

from __future__ import annotations

from bids_fx.stats_models.findings import folded


def has_steps(raw: object) -> bool:
    """Tell whether a model is in the old form."""
    return isinstance(raw, dict) and any(folded(key) == "steps" for key in raw)


def nodes_of_steps(steps: object) -> object:
    """Return steps as nodes.

    Parameters
    ----------
    steps : object
        Plain JSON. What is no list of objects is returned as it is.

    Returns
    -------
    object
        The same, each with a name of its own. A step above run level that has Transformations
        alone hands them on to the next one, and passes on all that comes to it: in the old form
        the transformed contrasts were what it gave to the next step.
    """
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        return steps
    nodes: list[dict[str, object]] = []
    waiting: object = None
    names: list[str] = []
    for step in steps:
        node = dict(step)
        held = {folded(key): key for key in node}
        level = str(node.get(held.get("level", ""), "step")).casefold()
        if "name" not in held:
            same = names.count(level)
            node["Name"] = f"{level}-{same + 1}" if same else level
            names.append(level)
        if waiting is not None and "transformations" not in held:
            node["Transformations"], waiting = waiting, None
            held["transformations"] = "Transformations"
        if level != "run" and not held.keys() & {"model", "contrasts", "dummycontrasts"}:
            waiting = node.pop(held.get("transformations", ""), None)
            node["DummyContrasts"] = {"Test": "t"}
        nodes.append(node)
    if waiting is not None:
        nodes[-1]["Transformations"] = waiting
    return nodes

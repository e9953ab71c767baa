"""Reading BIDS Stats Models: lenient in spelling, strict in meaning."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from bids_fx.errors import ExitCode, Notice, Problem
from bids_fx.json_files import whole
from bids_fx.stats_models.findings import Findings, Place, folded, read_object, text_of
from bids_fx.stats_models.flow import settle
from bids_fx.stats_models.graph import check_graph, read_edges, read_filter
from bids_fx.stats_models.nodes import read_nodes
from bids_fx.stats_models.old_form import has_steps, nodes_of_steps
from bids_fx.stats_models.records import StatsModel

Reading = tuple[StatsModel | None, tuple[Problem, ...], tuple[Notice, ...]]

#: The version of the specification that is read.
VERSION = "1.0.0"
_KEYS = ("Name", "BIDSModelVersion", "Input", "Nodes", "Edges")
#: Editors look there for the form of the file.
_SCHEMA = "$schema"


_TOO_DEEP = "it is nested too deeply"
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class _Object(dict[str, object]):
    """An object of JSON that remembers which keys it has more than once."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        times = Counter(key for key, _ in pairs)
        self.repeated = tuple(name for name in self if times[name] > 1)


def read_model(path: Path) -> Reading:
    """Read a model file.

    Parameters
    ----------
    path : Path
        JSON.

    Returns
    -------
    model : StatsModel or None
        None where there is a problem.
    problems : tuple of Problem
        All that is wrong, each with its place in the file.
    notices : tuple of Notice
        What was assumed or passed over.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = Problem(
            where=str(path),
            found=f"it cannot be read ({error.strerror or error})",
            remedy="give a model file that is there",
            code=ExitCode.MISSING_INPUT,
        )
        return None, (problem,), ()
    try:
        text = data.decode(json.detect_encoding(data))
        raw = json.loads(
            text, object_pairs_hook=_Object, parse_constant=_no_number, parse_int=whole
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return _refused(path.name, f"it is no JSON at {place}: {error.msg}")
    except RecursionError:
        return _refused(path.name, _TOO_DEEP)
    except ValueError as error:
        return _refused(path.name, f"it is no JSON: {error}")
    try:
        return parse_model(raw, path.name)
    except RecursionError:
        return _refused(path.name, _TOO_DEEP)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _refused(name: str, found: str) -> Reading:
    return None, (Problem(where=name, found=found, remedy="mend the file"),), ()


def parse_model(raw: object, name: str) -> Reading:
    """Read a model.

    Parameters
    ----------
    raw : object
        Plain JSON.
    name : str
        Of the file, for messages, and for a model without a name.

    Returns
    -------
    model : StatsModel or None
        None where there is a problem.
    problems : tuple of Problem
        All that is wrong, each with its place in the file.
    notices : tuple of Notice
        What was assumed or passed over.
    """
    findings = Findings()
    model = _read(raw, Place(findings, name), name)
    if findings.spellings:
        pairs = [f"'{written}' ({meant})" for written, meant in findings.spellings.items()]
        Place(findings, name).note(
            "not spelled as the specification has it, which other programs may refuse: "
            + ", ".join(pairs)
        )
    notices = tuple(dict.fromkeys(findings.notices))
    return (None if findings.problems else model), tuple(dict.fromkeys(findings.problems)), notices


def _read(raw: object, place: Place, file_name: str) -> StatsModel | None:
    """Return a model as far as it can be read."""
    _check_form(raw, place)
    is_old = has_steps(raw)
    values = read_object(raw, place, (*_KEYS, _SCHEMA), old={"Steps": "Nodes"} if is_old else {})
    if not isinstance(raw, dict):
        return None
    if is_old:
        place.note(
            "it is in the old form of Steps, which is read as Nodes; bids_fx-model --upgrade FILE "
            "prints it in the present form"
        )
        values["Nodes"] = nodes_of_steps(values.get("Nodes"))
    if "Nodes" not in values:
        place.fault("there are no Nodes", "write a BIDS Stats Model, with a list of Nodes")
        return None
    name, version = _identity(values, place, file_name)
    chosen = read_filter(values.get("Input"), place.at("Input"), with_contrast=False)
    nodes = read_nodes(values["Nodes"], place)
    edges = read_edges(values.get("Edges"), nodes, place)
    model = StatsModel(
        name=name,
        description=_description(raw),
        version=version,
        input=chosen,
        nodes=nodes,
        edges=edges,
    )
    raw_nodes = values["Nodes"]
    n_given = len(raw_nodes) if isinstance(raw_nodes, list) else 0
    is_known = len({node.name for node in nodes}) == n_given > 0
    if is_known and check_graph(nodes, edges, place):
        return settle(model, place)
    return model


def _identity(values: dict[str, object], place: Place, file_name: str) -> tuple[str, str]:
    """Return the model's name and the version of the specification it is written for."""
    if values.get("Name") in (None, ""):
        name = file_name.partition(".")[0].removeprefix("model-").removesuffix("_smdl")
        place.note(f"it has no Name, and is named '{name}' by its file")
    else:
        name = text_of(values["Name"], place.at("Name")) or ""
    if "BIDSModelVersion" not in values:
        place.note(f"it has no BIDSModelVersion, and is read as {VERSION}")
        return name, VERSION
    given = values["BIDSModelVersion"]
    version = (
        str(given) if isinstance(given, float) else text_of(given, place.at("BIDSModelVersion"))
    )
    if version is not None and version.partition(".")[0] != VERSION.partition(".")[0]:
        place.note(f"it is written for version {version}, and is read as {VERSION}", warning=True)
    return name, version or VERSION


def _description(raw: dict[str, object]) -> str:
    """Return the model's description."""
    found = [value for key, value in raw.items() if folded(key) == "description"]
    return str(found[0]) if found and isinstance(found[0], str) else ""


def _check_form(raw: object, place: Place) -> None:
    """Check that no object has a key twice, of which JSON would keep the last, and all texts."""
    if isinstance(raw, dict):
        for key in raw.repeated if isinstance(raw, _Object) else ():
            place.fault(f"the key '{key}' stands twice", "keep one of them")
        for key, value in raw.items():
            _check_form(key, place)
            _check_form(value, place.at(key))
    elif isinstance(raw, list):
        for i, value in enumerate(raw):
            _check_form(value, Place(place.findings, f"{place.text}[{i}]"))
    elif isinstance(raw, str) and _HALF_CHARACTER.search(raw):
        place.fault(f"{raw!r} holds half a character", "write whole characters")

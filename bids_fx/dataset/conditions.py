"""The conditions that the whole dataset knows, whoever of the participants has them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from bids_fx.dataset.events import MISSING_NAMES
from bids_fx.dataset.tsv import read_table
from bids_fx.entities import parse_name
from bids_fx.errors import BIDSFXError

#: Where events tables stand: for one run, or inherited from further up.
PATTERNS = tuple(f"{folder}*_events.tsv*" for folder in ("", "sub-*/", "sub-*/func/")) + tuple(
    f"sub-*/ses-*/{folder}*_events.tsv*" for folder in ("", "func/")
)


def list_conditions(bids_dir: Path, columns: Iterable[str] = ()) -> dict[str, list[str]]:
    """Read the conditions of every events table of a raw dataset.

    Parameters
    ----------
    bids_dir : Path
        The raw dataset.
    columns : iterable of str
        Columns beside ``trial_type`` whose values a model takes as conditions.

    Returns
    -------
    dict of str to list of str
        Conditions by task, sorted; those of further columns as ``column.value``. Tables that
        cannot be read are passed over here: their participants are told of it when they are
        analysed.

    Notes
    -----
    Reads all participants' tables, so it is called only where a contrast names a condition that
    none of the participants asked for has.
    """
    conditions: dict[str, set[str]] = {}
    for path in chain.from_iterable(map(bids_dir.glob, PATTERNS)):
        task = parse_name(path.name).entities.get("task", "")
        try:
            table = read_table(path).columns
        except BIDSFXError:
            continue
        own = conditions.setdefault(task, set())
        own.update(set(table.get("trial_type", ())) - MISSING_NAMES)
        for name in columns:
            own.update(f"{name}.{value}" for value in set(table.get(name, ())) - MISSING_NAMES)
    return {task: sorted(names) for task, names in conditions.items()}

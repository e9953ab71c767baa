"""The conditions that the whole dataset knows, whoever of the participants has them."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from bids_fx.dataset.tables import read_table
from bids_fx.entities import parse_name
from bids_fx.errors import BIDSFXError

#: Where events tables stand: for one run, or inherited from further up.
PATTERNS = tuple(f"{folder}*_events.tsv*" for folder in ("", "sub-*/", "sub-*/func/")) + tuple(
    f"sub-*/ses-*/{folder}*_events.tsv*" for folder in ("", "func/")
)


def list_conditions(bids_dir: Path) -> dict[str, list[str]]:
    """Read the conditions of every events table of a raw dataset.

    Parameters
    ----------
    bids_dir : Path
        The raw dataset.

    Returns
    -------
    dict of str to list of str
        Conditions by task, sorted. Tables that cannot be read are passed over here: their
        participants are told of it when they are analysed.

    Notes
    -----
    Reads all participants' tables, so it is called only where a contrast names a condition that
    none of the participants asked for has.
    """
    conditions: dict[str, set[str]] = {}
    for path in chain.from_iterable(map(bids_dir.glob, PATTERNS)):
        task = parse_name(path.name).entities.get("task", "")
        try:
            column = read_table(path).columns.get("trial_type", ())
        except BIDSFXError:
            continue
        conditions.setdefault(task, set()).update(column)
    return {task: sorted(names - {"n/a", ""}) for task, names in conditions.items()}

"""The named confound strategies that come with the program."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from bids_fx.confounds import ConfoundStrategy

_ORDER = (
    *("motion6", "motion12", "motion24", "36p", "wm-csf"),
    *("acompcor", "acompcor-separate", "acompcor50", "tcompcor", "aroma"),
    *("scrub", "nss", "gsr"),
)


def load_strategies() -> dict[str, ConfoundStrategy]:
    """Return the strategies of ``bids_fx/data/confounds`` by name.

    Returns
    -------
    dict of str to ConfoundStrategy
        In the order in which the documentation lists them; further files follow by name.

    Examples
    --------
    >>> list(load_strategies())[:3]
    ['motion6', 'motion12', 'motion24']
    """
    texts = {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in files("bids_fx").joinpath("data", "confounds").iterdir()
        if entry.name.endswith(".toml")
    }
    names = [name for name in _ORDER if name in texts] + sorted(set(texts) - set(_ORDER))
    return {name: _parse(name, texts[name]) for name in names}


def _parse(name: str, text: str) -> ConfoundStrategy:
    """Read a strategy; a key that does not exist is a TypeError."""
    content = tomllib.loads(text)
    content["patterns"] = tuple(tuple(names) for names in content["patterns"])
    content["metadata"] = tuple(content.get("metadata", {}).items())
    content["masks"] = tuple(content.get("masks", ()))
    content["references"] = tuple(content.get("references", ()))
    return ConfoundStrategy(name=name, **content)

"""The texts of ``boilerplate/`` and of the confound strategies, read and formatted."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

#: Characters that mean something to CommonMark or pandoc within a line.
_SPECIAL = re.compile(r"([\\`*_\[\]<>&@$^~])")
_CITATION = re.compile(r"\[(@[\w:.-]+(?:; ?@[\w:.-]+)*)\]")
_ENTRY = re.compile(r"^@(\w+)\{([\w:.-]+),\n(.*?)\n\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (\w+) = \{(.*)\},?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An entry of the bibliography.

    Parameters
    ----------
    bibtex : str
        The entry as it stands in the file.
    text : str
        The same as it stands in a list of references.
    """

    bibtex: str
    text: str


def cited_keys(markdown: str) -> list[str]:
    """Return the keys that a text cites, in order.

    Examples
    --------
    >>> cited_keys("As in [@b; @a] and [@c].")
    ['b', 'a', 'c']
    """
    return [
        key.strip().removeprefix("@")
        for citation in _CITATION.findall(markdown)
        for key in citation.split(";")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyText:
    """A confound strategy's phrase, and whether a displacement threshold replaces it."""

    phrase: str
    replaced: bool


@cache
def strategy_texts() -> dict[str, StrategyText]:
    """Read what the confound strategies say of themselves."""
    found = {}
    for path in (files("bids_fx") / "data" / "confounds").iterdir():
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        keys = "; ".join(f"@{key}" for key in content.get("references", ()))
        phrase = content["description"].strip() + (f" [{keys}]" if keys else "")
        replaced = "fd_threshold_mm" in content
        found[path.name.removesuffix(".toml")] = StrategyText(phrase=phrase, replaced=replaced)
    return found


def escape(text: str) -> str:
    r"""Return a text that Markdown shows as it is, on one line.

    Examples
    --------
    >>> print(escape("2*a_b  [c]"))
    2\*a\_b \[c\]
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


@cache
def fragment(name: str) -> str:
    """Read a fragment."""
    folder = files("bids_fx") / "data" / "boilerplate" / "methods"
    return (folder / f"{name}.md").read_text(encoding="utf-8").strip()


@cache
def bibliography() -> dict[str, Reference]:
    """Read the bibliography by key."""
    path = files("bids_fx") / "data" / "boilerplate" / "references.bib"
    return {
        match[2]: Reference(bibtex=match[0], text=format_reference(dict(_FIELD.findall(match[3]))))
        for match in _ENTRY.finditer(path.read_text(encoding="utf-8"))
    }


def format_reference(entry: Mapping[str, str]) -> str:
    """Return a reference as it stands in a list.

    Examples
    --------
    >>> format_reference(
    ...     {
    ...         "author": "A, B. and C, D. and others",
    ...         "title": "T",
    ...         "journal": "J",
    ...         "year": "1999",
    ...         "volume": "2",
    ...         "pages": "3--4",
    ...     }
    ... )
    'A, B., C, D., et al. (1999). T. J 2: 3-4.'
    """
    authors = entry["author"].replace(" and others", ", et al.").replace(" and ", ", ")
    number = f"({entry['number']})" if "number" in entry else ""
    place = entry.get("journal", entry.get("publisher", ""))
    place += f" {entry['volume']}{number}" if "volume" in entry else ""
    place += f": {entry['pages'].replace('--', '-')}" if "pages" in entry else ""
    year = f" ({entry['year']})" if "year" in entry else ""
    doi = f" doi:{entry['doi']}" if "doi" in entry else ""
    full_stop = "" if authors.endswith(".") and not year else "."
    text = f"{authors}{year}{full_stop} {entry['title']}. {place}.{doi}"
    return text.replace("\\&", "&").replace("`", "'")

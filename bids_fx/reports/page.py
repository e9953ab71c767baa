"""The parts of the page that the template shows; everything in them is plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bids_fx.errors import Notice, Problem

_NUMBER = re.compile("[\N{MINUS SIGN}-]?[\\d.,]+ ?%?|\\([^()]*\\)|n/a|\N{EM DASH}|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table whose first column names its rows.

    Parameters
    ----------
    caption : str
        What it shows, with units.
    head : tuple of str
        Names of the columns.
    rows : tuple of tuples of str
        Cells, as many as `head`.
    tones : dict of str to str
        Cells that stand out: ``good``, ``bad`` or ``strong`` by their text.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: dict[str, str] = field(default_factory=dict)

    def is_numeric(self, column: int) -> bool:
        """Tell whether all cells of a column are numbers or places, which are set flush right."""
        return column > 0 and all(_NUMBER.fullmatch(row[column]) for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure, or the place where it should be.

    Parameters
    ----------
    title, caption : str
        What it is; what it shows, with units and threshold.
    alt : str
        What somebody who cannot see it needs to know.
    path : str
        Where it is in the output folder.
    uri : str or None
        The image itself as a data URI; None where the file is missing.
    is_wide : bool
        Whether it needs the whole width of the page.
    """

    title: str
    caption: str
    alt: str
    path: str
    uri: str | None
    is_wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastPart:
    """One contrast of a group: maps, peaks, clusters and what each run does to the peaks."""

    anchor: str
    name: str
    formula: str
    notes: tuple[str, ...]
    picture: Picture | None = None
    peaks: Table | None = None
    clusters: Table | None = None
    influence: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPart:
    """The contrasts of a group of runs."""

    anchor: str
    title: str
    text: str
    contrasts: tuple[ContrastPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPart:
    """The model of one run."""

    anchor: str
    title: str
    text: str
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePart:
    """Something that failed while it ran."""

    record: str
    message: str
    details: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The whole report.

    Parameters
    ----------
    participant, version : str
        Label without ``sub-``; the program's version.
    verdict : str
        One sentence: is everything there?
    state : str
        ``good``, ``warning`` or ``bad``, for the verdict's colour.
    tiles : tuple of (str, str)
        The most important counts: value and what is counted.
    overview : tuple of Table
        The runs, and which contrasts each can estimate.
    absent : tuple of str
        Why runs are not there, and which confounds runs lack.
    reasons : tuple of str
        Why contrasts cannot be estimated.
    groups : tuple of GroupPart
        Combined results.
    others : tuple of Picture
        Map figures of other calls in the same folder.
    runs : tuple of RunPart
        Models.
    methods : str
        HTML, escaped by its maker.
    provenance : tuple of Table
        Settings, software, inputs and hashes.
    problems : tuple of Problem
        What was wrong with the input.
    failures : tuple of FailurePart
        What failed.
    missing : tuple of str
        Planned outputs that are not there.
    notices : tuple of Notice
        Warnings first.
    """

    participant: str
    version: str
    verdict: str
    state: str
    tiles: tuple[tuple[str, str], ...]
    overview: tuple[Table, ...]
    absent: tuple[str, ...]
    reasons: tuple[str, ...]
    groups: tuple[GroupPart, ...]
    others: tuple[Picture, ...]
    runs: tuple[RunPart, ...]
    methods: str
    provenance: tuple[Table, ...]
    problems: tuple[Problem, ...]
    failures: tuple[FailurePart, ...]
    missing: tuple[str, ...]
    notices: tuple[Notice, ...]

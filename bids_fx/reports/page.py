"""The parts of the page that the template shows; everything in them is plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bids_fx.errors import Notice, Problem

#: Contrasts that are seen without unfolding them.
N_OPEN = 12

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
    headings : dict of int to str
        What stands above some of the rows, by the number of the first of them.
    is_wide : bool
        Whether it needs the whole width of the page.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: dict[str, str] = field(default_factory=dict)
    headings: dict[int, str] = field(default_factory=dict)
    is_wide: bool = False

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
    size : (float, float) or None
        Its width and height in CSS pixels, so that the page does not move when it is drawn.
    is_wide : bool
        Whether it needs the whole width of the page.
    """

    title: str
    caption: str
    alt: str
    path: str
    uri: str | None
    size: tuple[float, float] | None = None
    is_wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastPart:
    """One contrast of a group: maps, peaks, clusters, and how what is combined differs.

    `peak_z` is the z of its combined map with the largest |z|; None where there is none.
    """

    anchor: str
    name: str
    formula: str
    notes: tuple[str, ...]
    picture: Picture | None = None
    peaks: Table | None = None
    clusters: Table | None = None
    heterogeneity: Picture | None = None
    forest: Picture | None = None
    influence: Table | None = None
    peak_z: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPart:
    """The contrasts of a group of runs; `level` is ``session`` or ``subject``."""

    anchor: str
    title: str
    level: str
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
class QualityPart:
    """The quality of all runs beside each other.

    Parameters
    ----------
    table : Table
        A run a row, a measure a column.
    legend : tuple of (str, str)
        Of each measure its column's name and what it is.
    """

    table: Table
    legend: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePart:
    """Something that failed while it ran."""

    record: str
    message: str
    details: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A sentence that leads to another part of the page.

    Parameters
    ----------
    text : str
        The sentence.
    goal : str
        Id of that part.
    """

    text: str
    goal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisPart:
    """What calls with the same settings did for a participant.

    Parameters
    ----------
    anchor : str
        Its id in the page, with which those of its groups and runs begin.
    title : str
        What it is called where there are several.
    differences : tuple of str
        What its settings have that those of the first do not; empty for the first.
    summary : tuple of str
        What was done, in a few sentences.
    best : Link or None
        Where to look first: the contrast with the highest combined peak, if there is any.
    overview : tuple of Table
        The runs, the nodes of a model, and which contrasts each run can estimate.
    absent : tuple of str
        Why runs are not there, and which confounds runs lack.
    reasons : tuple of str
        Why contrasts cannot be estimated.
    groups : tuple of GroupPart
        Combined results.
    runs : tuple of RunPart
        Models.
    quality : QualityPart or None
        None where no model was fitted.
    methods : str
        HTML, escaped by its maker.
    provenance : tuple of Table
        Settings, software, inputs and hashes.
    notices : tuple of Notice
        Warnings first.
    """

    anchor: str
    title: str
    differences: tuple[str, ...]
    summary: tuple[str, ...]
    best: Link | None
    overview: tuple[Table, ...]
    absent: tuple[str, ...]
    reasons: tuple[str, ...]
    groups: tuple[GroupPart, ...]
    runs: tuple[RunPart, ...]
    quality: QualityPart | None
    methods: str
    provenance: tuple[Table, ...]
    notices: tuple[Notice, ...]

    def is_open(self, group: GroupPart, contrast: ContrastPart) -> bool:
        """Tell whether a contrast is seen at once.

        All are if they are few, else those of the last level, and if these are many too only
        the one to look at first.
        """
        last = tuple(other for other in self.groups if other.level == "subject")
        return (self.best is not None and self.best.goal == contrast.anchor) or any(
            group in groups and sum(len(one.contrasts) for one in groups) <= N_OPEN
            for groups in (self.groups, last)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A count of the header.

    Parameters
    ----------
    value, name : str
        How many, and of what.
    goal : str
        Id of the part of the page that tells more.
    state : str
        ``warning`` or ``bad`` for what asks for attention, else empty.
    """

    value: str
    name: str
    goal: str
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerPart:
    """The interactive viewer of the maps, or why there is none.

    Parameters
    ----------
    sentence : str
        Why there is none; empty where there is one.
    script, library : str
        Our script, and the library that it starts when a reader asks for it.
    packed_library : str
        The library as the page holds it: compressed (zlib), in base64.
    licence : str
        That of the library.
    catalogue : str
        JSON: what there is to be shown.
    blocks : tuple of str
        The maps' bytes in base64; the catalogue tells which is which.
    left_out : tuple of str
        Maps for which there was no room.
    """

    sentence: str = ""
    script: str = ""
    library: str = ""
    packed_library: str = ""
    licence: str = ""
    catalogue: str = ""
    blocks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


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
    tiles : tuple of Tile
        The most important counts.
    worst : tuple of (str, str, str, bool)
        The worst quality figures of all runs: what it is, its value with units, the run, and
        whether it breaks a limit.
    analyses : tuple of AnalysisPart
        One for each set of settings that the output folder holds results of.
    others : tuple of Picture
        Map figures of which no call is known.
    problems : tuple of Problem
        What was wrong with the input.
    failures : tuple of FailurePart
        What failed.
    missing : tuple of str
        Planned outputs that are not there.
    broken : tuple of str
        Which run does not keep which limit of quality.
    viewer : ViewerPart
        The viewer of the maps; without a sentence and a script there is nothing to say of it.
    """

    participant: str
    version: str
    verdict: str
    state: str
    tiles: tuple[Tile, ...]
    worst: tuple[tuple[str, str, str, bool], ...]
    analyses: tuple[AnalysisPart, ...]
    others: tuple[Picture, ...]
    problems: tuple[Problem, ...]
    failures: tuple[FailurePart, ...]
    missing: tuple[str, ...]
    broken: tuple[str, ...] = ()
    viewer: ViewerPart = field(default_factory=ViewerPart)

    @property
    def has_contrasts(self) -> bool:
        """Whether any analysis has anything to say of its contrasts."""
        return any(part.groups or part.overview[1:] or part.reasons for part in self.analyses)

"""The records of what is planned: `plan` fills them; workflows, report and methods text read them.

None of them touches a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

from bids_fx.entities import Entities
from bids_fx.errors import Notice, Problem
from bids_fx.glm.design import Column, Design
from bids_fx.groups import GroupCell, GroupContrast, GroupPlan, Level
from bids_fx.inputs import Absence, BoldRun, RunMaps
from bids_fx.model import Contrast
from bids_fx.report_settings import ReportSettings
from bids_fx.settings import AnalysisSettings, digest
from bids_fx.steps import ModelOutline, Step

__all__ = [
    "Censored",
    "ConfoundChoice",
    "GroupCell",
    "GroupContrast",
    "GroupPlan",
    "Level",
    "MethodsText",
    "Plan",
    "RunContrast",
    "RunPlan",
    "Todo",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Censored:
    """One scan that is taken out of the model, and why.

    Parameters
    ----------
    scan : int
        Counted from 0.
    reason : str
        Why, with the numbers or columns that tell it; several are joined by ``;``.
    kinds : tuple of str
        The rules that censor it, in the words that they have for every scan.
    """

    scan: int
    reason: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfoundChoice:
    """The confounds of one run, resolved to columns and scans.

    Parameters
    ----------
    columns : tuple of str
        Columns of the confounds table that enter the design, in the table's order.
    censored : tuple of Censored
        Scans that are censored, in order, each once; also those that a design made beforehand
        censors.
    filled : dict of str to str
        Of `columns`, those whose missing values were filled, and with what.
    by_request : dict of str to tuple of str
        What each strategy name or pattern was resolved to.
    missing : dict of str to str
        Of each of these that the run's table cannot meet fully, what there is of it.
    fd_threshold_mm : float or None
        Framewise displacement above which scans were censored; None where none were for it.
    made : tuple of str
        Regressors without interest that instructions of a model made of the table's columns.
    is_read : bool
        Whether instructions of a model read the table, for whatever they made.
    """

    columns: tuple[str, ...] = ()
    censored: tuple[Censored, ...] = ()
    filled: dict[str, str] = field(default_factory=dict)
    by_request: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    fd_threshold_mm: float | None = None
    made: tuple[str, ...] = ()
    is_read: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all regressors that come from the table alone."""
        return (*self.columns, *self.made)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContrast:
    """A contrast in one run.

    Parameters
    ----------
    contrast : Contrast
        Name, label and formula.
    rows : tuple of tuple of (str, float)
        One for a t test, one or more for an F test: design columns and their weights. Empty
        where the contrast cannot be estimated or comes from maps made beforehand; of an F test
        on such maps, each row is empty.
    reason : str or None
        Why it cannot be estimated; None where it can.
    efficiency : tuple of float
        Of each row, 1 / (c (X'X)^- c'), which grows as the variance of the effect shrinks.
    inflation : tuple of float
        Of each row, by how much correlations between regressors inflate its variance.
    """

    contrast: Contrast
    rows: tuple[tuple[tuple[str, float], ...], ...] = ()
    reason: str | None = None
    efficiency: tuple[float, ...] = ()
    inflation: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunPlan:
    """What is computed for one run.

    Parameters
    ----------
    key : str
        Unique short name in the plan: the output entities without ``sub``.
    entities : Entities
        Entities of the output names.
    source : BoldRun or RunMaps
        The data.
    design : Design or None
        None for maps made beforehand.
    rank : int or None
        Rank of the design as it is written, with a column for each censored scan; residual
        degrees of freedom are scans minus rank.
    confounds : ConfoundChoice
        What entered the design.
    contrasts : tuple of RunContrast
        Every contrast of the task, whether this run can estimate it or not.
    levels : tuple of str
        Levels that this entry stands for; more than one for a lone run without ``run-``.
    noise_model : str or None
        By name (`bids_fx.glm.names.NOISE_MODELS`), which decides what maps of it are written;
        None where no model is fitted.
    settings_hash : str
        Hash of all that changes this run's numbers but the images themselves.
    mem_gb : float
        Estimated peak memory of its node in GB.
    on_disk : bool
        Whether its series is kept on disk while it is fitted, since it does not fit in memory.
    notes : tuple of str
        What the sidecars must say beyond the settings.
    columns : tuple of Column
        Those of `design` where that was left out.
    hash_without_design : str
        The `design_hash` where `design` was left out.
    """

    key: str
    entities: Entities
    source: BoldRun | RunMaps
    design: Design | None = None
    rank: int | None = None
    confounds: ConfoundChoice = field(default_factory=ConfoundChoice)
    contrasts: tuple[RunContrast, ...] = ()
    levels: tuple[Level, ...] = ("run",)
    noise_model: str | None = None
    settings_hash: str = ""
    mem_gb: float = 0.0
    on_disk: bool = False
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    hash_without_design: str = ""

    def __repr__(self) -> str:
        """Return the key alone, since it names folders and stands in logs and crash files."""
        return self.key

    def __deepcopy__(self, memo: object) -> RunPlan:
        """Return the record itself, which nobody changes; nipype copies every node's inputs."""
        return self

    def outline(self) -> RunPlan:
        """Return the plan without its tables and matrices, to be passed around."""
        source = self.source.outline() if isinstance(self.source, BoldRun) else self.source
        return replace(
            self,
            source=source,
            design=None,
            columns=self.design_columns,
            hash_without_design=self.design_hash,
        )

    @property
    def design_columns(self) -> tuple[Column, ...]:
        """The columns of the design matrix; none for maps made beforehand."""
        return self.columns if self.design is None else self.design.columns

    @property
    def design_hash(self) -> str:
        """Hash of the design and the contrasts of its columns; empty where there is none."""
        if self.design is None:
            return self.hash_without_design
        contrasts = [[item.contrast.label, *item.rows] for item in self.contrasts]
        return digest({**self.design.identity, "contrasts": contrasts})

    def hrf_models(self, settings: AnalysisSettings) -> tuple[str, ...]:
        """Return the HRF models of the design; none for one made beforehand."""
        source = self.source
        if not isinstance(source, BoldRun) or source.design_file is not None:
            return ()
        return (settings.hrf_model,) if source.responses is None else source.hrf_models

    @property
    def estimable(self) -> tuple[RunContrast, ...]:
        """The contrasts that this run can estimate."""
        return tuple(item for item in self.contrasts if item.reason is None)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plan:
    """All that is decided for one participant before any work.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    settings : AnalysisSettings
        The choices it was made with.
    runs : tuple of RunPlan
        In the order of their entities.
    groups : tuple of GroupPlan
        All groups, also those that are not written; each behind those that it combines.
    absent : tuple of Absence
        What should be analysed and cannot be had.
    problems : tuple of Problem
        What keeps this participant from being run; nothing is computed if there is any.
    notices : tuple of Notice
        Everything that was left out, assumed or noticed.
    steps : tuple of Step or None
        The steps of a model by which it combines; None means those of the settings.
    model : ModelOutline or None
        The nodes of a model file; None without one.
    report : ReportSettings
        What its report shows.
    replaced : frozenset of str
        Keys of runs that were fitted again since, with other settings.
    """

    participant: str
    settings: AnalysisSettings
    runs: tuple[RunPlan, ...] = ()
    groups: tuple[GroupPlan, ...] = ()
    absent: tuple[Absence, ...] = ()
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()
    steps: tuple[Step, ...] | None = None
    model: ModelOutline | None = None
    report: ReportSettings = field(default_factory=ReportSettings)
    replaced: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Return the participant alone, since logs and crash files show it."""
        return f"Plan({self.participant!r})"

    def __deepcopy__(self, memo: object) -> Plan:
        """Return the record itself, which nobody changes; nipype copies every node's inputs."""
        return self

    @property
    def written_groups(self) -> tuple[GroupPlan, ...]:
        """The groups whose combined maps are written."""
        return tuple(group for group in self.groups if group.not_written is None)

    @property
    def absent_runs(self) -> tuple[Absence, ...]:
        """Of what is absent the runs, without labels that were asked for and that no run has."""
        return tuple(absence for absence in self.absent if "task" in absence.entities)

    @property
    def has_given_maps(self) -> bool:
        """Whether there are runs and the statistics of all were made beforehand."""
        return bool(self.runs) and all(isinstance(run.source, RunMaps) for run in self.runs)

    @property
    def has_given_designs(self) -> bool:
        """Whether there are fitted runs and the designs of all were made beforehand."""
        files = [run.source.design_file for run in self.runs if isinstance(run.source, BoldRun)]
        return bool(files) and all(file is not None for file in files)

    @property
    def hrf_models(self) -> tuple[str, ...]:
        """The HRF models of all designs, sorted."""
        return tuple(sorted({name for run in self.runs for name in run.hrf_models(self.settings)}))

    def run(self, key: str) -> RunPlan:
        """Return the run of a key."""
        return next(run for run in self.runs if run.key == key)

    def result(self, key: str) -> RunPlan | GroupPlan:
        """Return the run or the group of a key."""
        groups = (group for group in self.groups if group.key == key)
        return next(groups, None) or self.run(key)

    def inputs(self, item: GroupPlan | GroupContrast) -> list[RunPlan | GroupPlan]:
        """Return the results that are combined into a group, or that enter a contrast."""
        return [self.result(key) for key in item.input_keys]

    def shown_inputs(self, item: GroupContrast) -> list[RunPlan | GroupPlan]:
        """Return those of them whose maps are still what entered."""
        return [result for result in self.inputs(item) if result.key not in self.replaced]

    def combination(self, group: GroupPlan) -> str:
        """Return how a group is combined."""
        return group.combination or self.settings.combination

    def n_rows(self, item: GroupContrast) -> int:
        """Return the number of rows of an F contrast, made here or beforehand."""
        first = self.result(item.input_keys[0])
        if isinstance(first, GroupPlan):
            return self.n_rows(first.source_of(item))
        label = item.source_label
        (mine,) = (one for one in first.estimable if one.contrast.label == label)
        return len(mine.rows)

    def outline(self) -> Plan:
        """Return the plan without its tables and matrices, to be passed around."""
        return replace(self, runs=tuple(run.outline() for run in self.runs))

    def group_runs(self, group: GroupPlan) -> Iterator[RunPlan]:
        """Iterate over the runs of a group, also of what it combines."""
        for result in self.inputs(group):
            yield from self.group_runs(result) if isinstance(result, GroupPlan) else (result,)

    def contrast_runs(self, item: GroupContrast) -> Iterator[RunPlan]:
        """Iterate over the runs that enter a contrast, also through what it combines."""
        for result in self.inputs(item):
            if isinstance(result, GroupPlan):
                yield from self.contrast_runs(result.source_of(item))
            else:
                yield result


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """What of a plan is still to be done.

    Parameters
    ----------
    runs : frozenset of str
        Keys of the runs to fit.
    groups : frozenset of str
        Keys of the groups of which to make what tells of all their contrasts.
    contrasts : frozenset of (str, str)
        Group key and contrast label of what is to be combined.
    run_figures : frozenset of str
        Keys of the runs whose designs are to be drawn.
    fit_figures : frozenset of str
        Keys of the runs of which what the fit writes is to be drawn.
    group_figures : frozenset of (str, str)
        Group key and contrast label of the map figures to be drawn.
    """

    runs: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    contrasts: frozenset[tuple[str, str]] = frozenset()
    run_figures: frozenset[str] = frozenset()
    fit_figures: frozenset[str] = frozenset()
    group_figures: frozenset[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        """Tell whether anything is to be done."""
        return any(getattr(self, item.name) for item in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodsText:
    """The description of what was done, ready for a paper.

    Parameters
    ----------
    markdown : str
        Text with pandoc's citations, for example ``[@Friston1998]``.
    references : tuple of (str, str)
        Key and formatted reference, in the order of first citation.
    bibtex : str
        The BibTeX entries of the same references.
    """

    markdown: str
    references: tuple[tuple[str, str], ...]
    bibtex: str

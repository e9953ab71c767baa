"""The records that pass between the layers: what was found, and what is planned.

`dataset` fills the records of the first part, `plan` those of the second; workflows, report and
methods text only read them. None of them touches a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from bids_fx.entities import Entities
from bids_fx.errors import Notice, Problem
from bids_fx.glm.design import Condition, Design
from bids_fx.model import Contrast
from bids_fx.settings import AnalysisSettings

FloatArray = npt.NDArray[np.float64]

# ---------------------------------------------------------------- what was found in the dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The voxel grid of an image.

    Parameters
    ----------
    shape : tuple of 3 int
        Number of voxels along each axis.
    affine : tuple of 4 tuples of 4 float
        Voxel indices to world coordinates in mm.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]

    @property
    def n_voxels(self) -> int:
        """Number of voxels of the whole grid."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def voxel_sizes_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel in mm."""
        columns = np.asarray(self.affine)[:3, :3]
        x, y, z = np.sqrt((columns**2).sum(axis=0)).tolist()
        return x, y, z

    def matches(self, other: Grid) -> bool:
        """Tell whether both grids have the same voxels at the same places (to 1 µm)."""
        return self.shape == other.shape and np.allclose(
            self.affine, other.affine, rtol=0, atol=1e-3
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfoundTable:
    """A confounds table with its missing values already treated.

    Parameters
    ----------
    path : Path
        The file it was read from.
    values : dict of str to ndarray of shape (n_scans,)
        Columns by name, in the file's order. A column that still holds NaN may not be used.
    filled : dict of str to str
        Columns whose missing values were filled, and with what (``"0"`` or ``"mean"``).
    metadata : dict of str to dict
        The sidecar's entry of each column, where there is one.
    """

    path: Path
    values: dict[str, FloatArray]
    filled: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, dict[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoldRun:
    """One run of BOLD data and what belongs to it, as found on disk.

    Parameters
    ----------
    entities : Entities
        All entities of the BOLD file but ``desc``, in its name's own order and spelling.
    bold, mask, confounds_file, t1w : Path or None
        Preprocessed series; its brain mask; its confounds; the participant's T1w in that space.
    events_files : tuple of Path
        The events table, as the inheritance principle finds it; empty with a design made
        beforehand.
    grid : Grid
        Grid of `bold`.
    n_scans : int
        Number of volumes.
    repetition_time : float
        Seconds between volumes; > 0.
    slice_time : float
        Seconds from a volume's onset to the moment its slices were corrected to; >= 0.
    conditions : tuple of Condition
        Events by ``trial_type``, sorted by name.
    confounds : ConfoundTable or None
        None where no confounds file was found.
    design : Design or None
        The design matrix made beforehand (``--design-dir``).
    design_file : Path or None
        Where `design` was read from.
    names_conditions : bool
        Whether a sidecar says which columns of `design` are conditions.
    n_mask_voxels : int or None
        Number of voxels of the mask; None without a mask.
    skull_stripped : bool
        What the sidecar says of the BOLD series.
    uris : dict of Path to str
        BIDS URI of each input file, without any path of this machine.
    notices : tuple of Notice
        What the reader of the report must know about these inputs.
    """

    entities: Entities
    bold: Path
    mask: Path | None = None
    events_files: tuple[Path, ...] = ()
    confounds_file: Path | None = None
    t1w: Path | None = None
    grid: Grid
    n_scans: int
    repetition_time: float
    slice_time: float = 0.0
    conditions: tuple[Condition, ...] = ()
    confounds: ConfoundTable | None = None
    design: Design | None = None
    design_file: Path | None = None
    names_conditions: bool = False
    n_mask_voxels: int | None = None
    skull_stripped: bool = True
    uris: dict[Path, str] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()

    @property
    def frame_times(self) -> FloatArray:
        """Acquisition times in seconds after the first volume's onset, shape (n_scans,)."""
        return np.arange(self.n_scans, dtype=np.float64) * self.repetition_time + self.slice_time


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMaps:
    """One run whose statistics were made beforehand (``--run-maps``).

    Parameters
    ----------
    entities : Entities
        The run's entities.
    grid : Grid
        Grid of all its maps.
    maps : dict of str to dict of str to Path
        By contrast label, then by ``stat-`` label: ``effect``, ``variance``, perhaps ``dof``.
    names : dict of str to str
        Contrast name (formula) of each label, from the sidecar or the label itself.
    dof : dict of str to float
        Degrees of freedom by label, where no dof map gives them.
    uris : dict of Path to str
        BIDS URI of each map.
    """

    entities: Entities
    grid: Grid
    maps: dict[str, dict[str, Path]]
    names: dict[str, str]
    dof: dict[str, float] = field(default_factory=dict)
    uris: dict[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found for one participant.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    runs : tuple of BoldRun or tuple of RunMaps
        In the order of their entities.
    left_out : tuple of Entities
        Runs that the dataset has and the filters (``--run-id``, ``--session-label``, filter
        file) left out; they decide which combined maps may be written.
    problems : tuple of Problem
        What is wrong with this participant's input.
    notices : tuple of Notice
        What was left out or assumed.
    """

    participant: str
    runs: tuple[BoldRun, ...] | tuple[RunMaps, ...] = ()
    left_out: tuple[Entities, ...] = ()
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()


# ------------------------------------------------------------------------------ what is planned

Level = Literal["run", "session", "subject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Censored:
    """One scan that is taken out of the model, and why."""

    scan: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfoundChoice:
    """The confounds of one run, resolved to columns and scans.

    Parameters
    ----------
    columns : tuple of str
        Columns of the confounds table that enter the design, in the table's order.
    censored : tuple of Censored
        Scans that are censored, in order, each once.
    filled : dict of str to str
        Of `columns`, those whose missing values were filled, and with what.
    by_request : dict of str to tuple of str
        What each strategy name or pattern was resolved to.
    """

    columns: tuple[str, ...] = ()
    censored: tuple[Censored, ...] = ()
    filled: dict[str, str] = field(default_factory=dict)
    by_request: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContrast:
    """A contrast in one run.

    Parameters
    ----------
    contrast : Contrast
        Name, label and formula.
    weights : tuple of (str, float)
        Design columns and their weights; empty where the contrast cannot be estimated or comes
        from maps made beforehand.
    reason : str or None
        Why it cannot be estimated; None where it can.
    efficiency : float or None
        1 / (c (X'X)^- c'), which grows as the variance of the effect shrinks.
    """

    contrast: Contrast
    weights: tuple[tuple[str, float], ...] = ()
    reason: str | None = None
    efficiency: float | None = None


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
        Rank of the design; degrees of freedom are scans minus rank.
    confounds : ConfoundChoice
        What entered the design.
    contrasts : tuple of RunContrast
        Every contrast of the task, whether this run can estimate it or not.
    levels : tuple of str
        Levels that this entry stands for; more than one for a lone run without ``run-``.
    autoregressive : bool
        Whether the noise model estimates an autocorrelation (and its map is written).
    settings_hash : str
        Hash of all that changes this run's numbers but the images themselves.
    mem_gb : float
        Estimated peak memory of its node in GB.
    notes : tuple of str
        What the sidecars must say beyond the settings.
    """

    key: str
    entities: Entities
    source: BoldRun | RunMaps
    design: Design | None = None
    rank: int | None = None
    confounds: ConfoundChoice = field(default_factory=ConfoundChoice)
    contrasts: tuple[RunContrast, ...] = ()
    levels: tuple[Level, ...] = ("run",)
    autoregressive: bool = False
    settings_hash: str = ""
    mem_gb: float = 0.0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the key alone, since it names folders and stands in logs and crash files."""
        return self.key

    def outline(self) -> RunPlan:
        """Return the plan without its tables and matrices, to be passed around."""
        source = self.source
        if isinstance(source, BoldRun):
            source = replace(source, conditions=(), confounds=None, design=None)
        return replace(self, source=source, design=None)

    @property
    def estimable(self) -> tuple[RunContrast, ...]:
        """The contrasts that this run can estimate."""
        return tuple(item for item in self.contrasts if item.reason is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupContrast:
    """A contrast combined over runs: which runs enter it, and why the others do not.

    Parameters
    ----------
    contrast : Contrast
        Name, label and formula.
    run_keys : tuple of str
        The runs that can estimate it, in order.
    dropped : dict of str to str
        The group's other runs, and the reason of each.
    """

    contrast: Contrast
    run_keys: tuple[str, ...]
    dropped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GroupPlan:
    """Runs that are combined into one result.

    Parameters
    ----------
    key : str
        Unique short name in the plan.
    level : str
        ``session`` (over the runs of a session) or ``subject`` (over all runs).
    levels : tuple of str
        Levels that this entry stands for.
    entities : Entities
        Entities of the output names: those of the runs without the ones combined over.
    run_keys : tuple of str
        All runs of the group, in order.
    contrasts : tuple of GroupContrast
        Every contrast of the task; one that no run can estimate has no `run_keys`.
    not_written : str or None
        Why no combined map is written (filters left runs out, or the level is the run itself);
        None where it is written.
    settings_hash : str
        Hash of all that changes the combination but the run maps themselves.
    mem_gb : float
        Estimated peak memory of its node in GB.
    """

    key: str
    level: Literal["session", "subject"]
    levels: tuple[Level, ...]
    entities: Entities
    run_keys: tuple[str, ...]
    contrasts: tuple[GroupContrast, ...] = ()
    not_written: str | None = None
    settings_hash: str = ""
    mem_gb: float = 0.0

    def __repr__(self) -> str:
        """Return the key alone, since logs and crash files show it."""
        return self.key

    @property
    def estimable(self) -> tuple[GroupContrast, ...]:
        """The contrasts that at least one run can estimate."""
        return tuple(item for item in self.contrasts if item.run_keys)


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
        Sessions before the subject; all groups, also those that are not written.
    problems : tuple of Problem
        What keeps this participant from being run; nothing is computed if there is any.
    notices : tuple of Notice
        Everything that was left out, assumed or noticed.
    """

    participant: str
    settings: AnalysisSettings
    runs: tuple[RunPlan, ...] = ()
    groups: tuple[GroupPlan, ...] = ()
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()

    def __repr__(self) -> str:
        """Return the participant alone, since logs and crash files show it."""
        return f"Plan({self.participant!r})"

    @property
    def written_groups(self) -> tuple[GroupPlan, ...]:
        """The groups whose combined maps are written."""
        return tuple(group for group in self.groups if group.not_written is None)

    @property
    def has_given_maps(self) -> bool:
        """Whether there are runs and the statistics of all were made beforehand."""
        return bool(self.runs) and all(isinstance(run.source, RunMaps) for run in self.runs)

    @property
    def has_given_designs(self) -> bool:
        """Whether there are fitted runs and the designs of all were made beforehand."""
        files = [
            run.source.design_file for run in self.runs if isinstance(run.source, BoldRun)
        ]
        return bool(files) and all(file is not None for file in files)

    def run(self, key: str) -> RunPlan:
        """Return the run of a key."""
        return next(run for run in self.runs if run.key == key)

    def outline(self) -> Plan:
        """Return the plan without its tables and matrices, to be passed around."""
        return replace(self, runs=tuple(run.outline() for run in self.runs))

    def group_runs(self, group: GroupPlan) -> Iterator[RunPlan]:
        """Iterate over the runs of a group."""
        return (self.run(key) for key in group.run_keys)


# ----------------------------------------------------------------------------- what was computed


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The numbers of one run, ready to be written.

    Parameters
    ----------
    mask : ndarray of bool, 3D
        The voxels that were fitted; vectors below are in its C order.
    mean_image : ndarray of float32, 3D
        Mean over the kept scans.
    model_maps : dict of str to ndarray of shape (n_voxels,)
        By ``stat-`` label.
    contrast_maps : dict of str to dict of str to ndarray of shape (n_voxels,)
        By contrast label, then by ``stat-`` label.
    dof : float
        Degrees of freedom of the model.
    quality : dict of str to float
        Quality measures of the run.
    hashes : dict of str to str
        SHA-256 of each image that was read, by its BIDS URI.
    """

    mask: npt.NDArray[np.bool_]
    mean_image: npt.NDArray[np.float32]
    model_maps: dict[str, FloatArray]
    contrast_maps: dict[str, dict[str, FloatArray]]
    dof: float
    quality: dict[str, float | int | None]
    hashes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """The numbers of one combination, ready to be written.

    Parameters
    ----------
    grid : Grid
        The grid of the run maps.
    mask : ndarray of bool, 3D
        The voxels that at least one run covers; vectors below are in its C order.
    contrast_maps : dict of str to dict of str to ndarray of shape (n_voxels,)
        By contrast label, then by ``stat-`` label.
    hashes : dict of str to str
        SHA-256 of each run map that was read, by its BIDS URI.
    """

    grid: Grid
    mask: npt.NDArray[np.bool_]
    contrast_maps: dict[str, dict[str, FloatArray]]
    hashes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """What of a plan is still to be done.

    Parameters
    ----------
    runs : frozenset of str
        Keys of the runs to fit.
    groups : frozenset of str
        Keys of the groups to combine.
    run_figures : frozenset of str
        Keys of the runs whose figures are to be drawn.
    group_figures : frozenset of (str, str)
        Group key and contrast label of the map figures to be drawn.
    """

    runs: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    run_figures: frozenset[str] = frozenset()
    group_figures: frozenset[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        """Tell whether anything is to be done."""
        return bool(self.runs or self.groups or self.run_figures or self.group_figures)


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

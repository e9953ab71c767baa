"""The records of what was found in the dataset: `dataset` fills them, all others read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_fx.entities import Entities
from bids_fx.errors import Notice, Problem
from bids_fx.glm.design import Condition, Design, Response

FloatArray = npt.NDArray[np.float64]


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
    values : mapping of str to ndarray of shape (n_scans,)
        Columns by name, in the file's order. A column that still holds NaN may not be used.
    filled : dict of str to str
        Columns whose missing values were filled, and with what (``"0"`` or ``"mean"``).
    metadata : dict of str to dict
        The sidecar's entry of each column, where there is one.
    """

    path: Path
    values: Mapping[str, FloatArray]
    filled: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, dict[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTable:
    """The events of a run with all their columns.

    Parameters
    ----------
    path : Path
        The file it was read from.
    onsets, durations : ndarray of shape (n_events,)
        In seconds after the onset of the first stored volume; durations >= 0. Finite.
    columns : mapping of str to ndarray of shape (n_events,)
        The other columns: numbers (float64, NaN where one is missing) or texts (object, None
        where one is missing).
    """

    path: Path
    onsets: FloatArray
    durations: FloatArray
    columns: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSummary:
    """What is told of the events of a condition.

    Parameters
    ----------
    name : str
        The condition's.
    number : int
        Number of events.
    shortest_s, longest_s : float
        Durations in seconds; 0 without any event.
    is_modulated : bool
        Whether the height of any event is another than 1.
    """

    name: str
    number: int
    shortest_s: float
    longest_s: float
    is_modulated: bool = False

    @classmethod
    def of(cls, condition: Condition) -> EventSummary:
        """Return what is told of a condition's events."""
        durations = condition.durations if len(condition.durations) else np.zeros(1)
        return cls(
            name=condition.name,
            number=len(condition.onsets),
            shortest_s=float(durations.min()),
            longest_s=float(durations.max()),
            is_modulated=bool((condition.amplitudes != 1).any()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoldRun:
    """One run of BOLD data and what belongs to it, as found on disk.

    Parameters
    ----------
    entities : Entities
        All entities of the BOLD file but ``desc``, in its name's own order and spelling.
    bold, mask, confounds_file, t1w : Path or None
        Preprocessed series; its brain mask; its confounds; the participant's T1w in that space.
    segmentation : tuple of 2 Path or None
        The participant's segmented anatomy in that space, and the names of its regions.
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
        Events by ``trial_type``, sorted by name; under a model file, those of its regressors
        that are responses to events.
    events : EventTable or None
        All that the events table says; kept only for a model file, until it was applied.
    responses : tuple of Response or None
        The regressors that a model file makes; None without one.
    hrf_models : tuple of str
        The HRF models of `responses`, sorted.
    hrf_of : mapping of str to str or None
        The HRF model of each condition in `responses`; None of one that entered as it is.
    absent : mapping of str to str
        Regressors that the model file names and this run does not have, and why.
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
    told : tuple of EventSummary
        What is told of `conditions` where they were left out.
    """

    entities: Entities
    bold: Path
    mask: Path | None = None
    events_files: tuple[Path, ...] = ()
    confounds_file: Path | None = None
    t1w: Path | None = None
    segmentation: tuple[Path, Path] | None = None
    grid: Grid
    n_scans: int
    repetition_time: float
    slice_time: float = 0.0
    conditions: tuple[Condition, ...] = ()
    events: EventTable | None = None
    responses: tuple[Response, ...] | None = None
    hrf_models: tuple[str, ...] = ()
    hrf_of: Mapping[str, str | None] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    confounds: ConfoundTable | None = None
    design: Design | None = None
    design_file: Path | None = None
    names_conditions: bool = False
    n_mask_voxels: int | None = None
    skull_stripped: bool = True
    uris: dict[Path, str] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    told: tuple[EventSummary, ...] = ()

    @property
    def events_told(self) -> tuple[EventSummary, ...]:
        """What is told of the events of each condition."""
        return self.told or tuple(map(EventSummary.of, self.conditions))

    def outline(self) -> BoldRun:
        """Return the record without its tables and matrices."""
        return replace(
            self,
            conditions=(),
            events=None,
            responses=None if self.responses is None else (),
            confounds=None,
            design=None,
            notices=(),
            told=self.events_told,
        )

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
        By contrast label, then by ``stat-`` label: ``effect``, ``variance`` (of an F test
        ``covariance``), perhaps ``dof``.
    names : dict of str to str
        Contrast name (formula) of each label, from the sidecar or the label itself.
    dof : dict of str to float
        Degrees of freedom by label, where no dof map gives them; of an F test the denominator's.
    rows : dict of str to int
        Number of rows by label of those that are F tests; the others are t contrasts.
    uris : dict of Path to str
        BIDS URI of each map.
    """

    entities: Entities
    grid: Grid
    maps: dict[str, dict[str, Path]]
    names: dict[str, str]
    dof: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    uris: dict[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A run, or all runs of a label, that should be analysed and cannot be had.

    Parameters
    ----------
    entities : Entities
        Of the run, with a space only where it is absent in that space alone. Of a label that was
        asked for: the participant and the label.
    reason : str
        Why it cannot be had, as a clause.
    """

    entities: Entities
    reason: str

    def __str__(self) -> str:
        """Return what is told of it.

        Examples
        --------
        >>> print(Absence(entities=Entities((("run", "2"),)), reason="it has no events"))
        run-2: left out, since it has no events.
        """
        return f"{self.entities}: left out, since {self.reason}."


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
    absent : tuple of Absence
        Runs that the filters keep and that cannot be had.
    problems : tuple of Problem
        What is wrong with this participant's input.
    notices : tuple of Notice
        What was left out or assumed.
    """

    participant: str
    runs: tuple[BoldRun, ...] | tuple[RunMaps, ...] = ()
    left_out: tuple[Entities, ...] = ()
    absent: tuple[Absence, ...] = ()
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()

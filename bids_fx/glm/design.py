"""Design matrices: conditions, confounds, drift and intercept on exact frame times."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bids_fx.glm.drift import make_drift
from bids_fx.glm.hrf import basis_labels, convolve_events, normalise_hrf_name

__all__ = [
    "BoolArray",
    "Column",
    "Condition",
    "Design",
    "FloatArray",
    "Response",
    "Role",
    "make_design",
    "respond",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Role = Literal["condition", "derivative", "confound", "censored", "drift", "constant"]

#: What is less than this share of a response is rounding: left of a derivative by the
#: orthogonalisation, or of any column of a condition by the censored scans.
_NOTHING_LEFT = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The events of one condition.

    Parameters
    ----------
    name : str
        As in the events table's ``trial_type``.
    onsets, durations : ndarray of shape (n_events,)
        In seconds after the onset of the first stored volume; durations >= 0.
    amplitudes : ndarray of shape (n_events,)
        Height of each event (``modulation``), 1 where there is none.
    """

    name: str
    onsets: FloatArray
    durations: FloatArray
    amplitudes: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a design matrix.

    Parameters
    ----------
    name : str
        Unique in the design.
    role : str
        ``condition`` (canonical or FIR), ``derivative``, ``confound``, ``censored`` (one scan),
        ``drift`` or ``constant``.
    condition : str or None
        Name of the condition it models.
    basis : int or None
        Index of the basis function in its condition: 0 is the canonical column or the first
        FIR delay.
    """

    name: str
    role: Role
    condition: str | None = None
    basis: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Regressors that are ready for the design matrix.

    Parameters
    ----------
    matrix : ndarray of shape (n_scans, n_columns)
        Their values at the frame times, finite.
    columns : tuple of Column
        What they are.
    """

    matrix: FloatArray
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A design matrix and the meaning of its columns.

    Parameters
    ----------
    matrix : ndarray of shape (n_scans, n_columns)
        One row per stored volume.
    columns : tuple of Column
        In the matrix's order. One of the role ``censored`` is not 0 in one scan alone; a scan
        may have more than one of them.

    Notes
    -----
    A column of its own takes a scan out of a fit as exactly as leaving out its row does, with
    either of which the degrees of freedom are those of the scans that are left. The whole matrix
    is what is written, so that any program that reads it fits the same model; `fitted` is what
    is computed with, since a noise model must know which scans are absent.
    """

    matrix: FloatArray
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def identity(self) -> dict[str, object]:
        """What tells it from other designs: a hash of the matrix; names and roles of columns."""
        matrix = np.ascontiguousarray(self.matrix, dtype="<f8")
        return {
            "matrix": hashlib.sha256(matrix.tobytes()).hexdigest(),
            "columns": [[column.name, column.role] for column in self.columns],
        }

    @property
    def kept(self) -> BoolArray:
        """Which scans no column censors, shape (n_scans,)."""
        kept: BoolArray = (self.matrix[:, self._censoring] == 0).all(axis=1)
        return kept

    @property
    def fitted(self) -> Design:
        """The design of the kept scans alone, without the columns that censor.

        A condition or derivative of which the censored scans leave no more than rounding becomes
        a column of zeros: at unit norm, rounding would be a regressor.
        """
        stays = ~self._censoring
        columns = tuple(c for c, stay in zip(self.columns, stays, strict=True) if stay)
        matrix = self.matrix[np.ix_(self.kept, stays)]
        left = np.linalg.norm(matrix, axis=0)
        gone = left <= _NOTHING_LEFT * np.linalg.norm(self.matrix[:, stays], axis=0)
        gone &= [column.condition is not None for column in columns]
        return Design(matrix=np.where(gone, 0.0, matrix), columns=columns)

    @property
    def _censoring(self) -> BoolArray:
        """Which columns censor a scan, shape (n_columns,)."""
        return np.array([column.role == "censored" for column in self.columns], dtype=bool)


def make_design(
    frame_times: FloatArray,
    *,
    repetition_time: float,
    conditions: Sequence[Condition | Response],
    hrf_model: str,
    drift_model: str,
    high_pass_s: float,
    confounds: FloatArray | None,
    confound_names: Sequence[str],
    censored: Sequence[int],
) -> Design:
    """Build the design matrix of a run.

    Parameters
    ----------
    frame_times : ndarray of shape (n_scans,)
        When each volume was acquired, in seconds on the events' clock; strictly increasing.
    repetition_time : float
        Seconds between volumes; > 0.
    conditions : sequence of Condition or Response
        Each condition has at least one event, and a response is entered as it is; their order is
        that of the columns.
    hrf_model : str
        As `bids_fx.glm.names.normalise_hrf_name` takes it, for the conditions.
    drift_model : str
        One of `bids_fx.glm.names.DRIFT_MODELS` or ``polynomial:N``.
    high_pass_s : float
        Longest period in seconds that the cosine drift leaves in the data; > 0.
    confounds : ndarray of shape (n_scans, n_confounds) or None
        Entered as they are, finite; None means that there are none.
    confound_names : sequence of str
        One name per confound.
    censored : sequence of int
        Scans, counted from 0, that are taken out by a column of their own.

    Returns
    -------
    Design
        Columns in this order: conditions, each followed by its derivatives; confounds; censored
        scans (``censored_scan_0004`` is 1 in the fifth scan, else 0); drift (``drift_1`` ...);
        ``constant``. A condition whose response lies outside the run keeps its column of zeros.

    Raises
    ------
    ValueError
        If an argument is not as stated, or two columns would have one name.

    Notes
    -----
    Responses are exact at the frame times (`bids_fx.glm.hrf.convolve_events`). The time
    derivative is orthogonalised to the canonical column of its condition and the dispersion
    derivative to both, as nilearn does (SPM does so to the basis functions): the canonical
    column's effect is then nearly the one that it has alone. Drift: see
    `bids_fx.glm.drift.make_drift`.
    """
    _check_frames(frame_times, repetition_time)
    n_scans = frame_times.size
    parts = [
        item
        if isinstance(item, Response)
        else respond(item, frame_times, hrf_model, repetition_time)
        for item in conditions
    ]
    parts.append(_confound_part(confounds, confound_names, n_scans))
    parts.append(_censored_part(censored, n_scans))
    drift = make_drift(
        frame_times,
        repetition_time=repetition_time,
        drift_model=drift_model,
        high_pass_s=high_pass_s,
    )
    names = [f"drift_{i + 1}" for i in range(drift.shape[1])]
    parts.append(_entered(drift, names, "drift"))
    parts.append(_entered(np.ones((n_scans, 1)), ["constant"], "constant"))
    columns = tuple(column for part in parts for column in part.columns)
    counts = Counter(column.name for column in columns)
    double = sorted(name for name, count in counts.items() if count > 1)
    if double:
        raise ValueError(f"more than one design column is named {', '.join(map(repr, double))}")
    return Design(matrix=np.hstack([part.matrix for part in parts]), columns=columns)


def respond(
    condition: Condition, frame_times: FloatArray, hrf_model: str, repetition_time: float
) -> Response:
    """Return the columns of one condition.

    Parameters
    ----------
    condition : Condition
        With at least one event.
    frame_times : ndarray of shape (n_scans,)
        In seconds on the events' clock; strictly increasing.
    hrf_model : str
        As `bids_fx.glm.names.normalise_hrf_name` takes it.
    repetition_time : float
        Seconds between volumes; > 0.

    Raises
    ------
    ValueError
        If there is no event, or no such model.
    """
    if condition.onsets.size == 0:
        raise ValueError(f"the condition {condition.name!r} has no event")
    responses = convolve_events(
        condition.onsets,
        condition.durations,
        condition.amplitudes,
        frame_times=frame_times,
        hrf_model=hrf_model,
        repetition_time=repetition_time,
    )
    fir = normalise_hrf_name(hrf_model).startswith("fir")
    columns = tuple(
        Column(
            name=condition.name + label,
            role="condition" if fir or basis == 0 else "derivative",
            condition=condition.name,
            basis=basis,
        )
        for basis, label in enumerate(basis_labels(hrf_model, repetition_time))
    )
    return Response(matrix=responses if fir else _orthogonalise(responses), columns=columns)


def _check_frames(frame_times: FloatArray, repetition_time: float) -> None:
    if not (math.isfinite(repetition_time) and repetition_time > 0):
        raise ValueError(f"the repetition time must be > 0 s, found {repetition_time}")
    if frame_times.ndim != 1 or frame_times.size < 2 or not np.isfinite(frame_times).all():
        raise ValueError(f"expected two frame times or more, found shape {frame_times.shape}")
    if (np.diff(frame_times) <= 0).any() or frame_times[0] < 0:
        raise ValueError("frame times must increase from 0 or later")


def _entered(matrix: FloatArray, names: Sequence[str], role: Role) -> Response:
    """Return columns of one role."""
    return Response(matrix=matrix, columns=tuple(Column(name=name, role=role) for name in names))


def _confound_part(
    confounds: FloatArray | None, confound_names: Sequence[str], n_scans: int
) -> Response:
    matrix = np.zeros((n_scans, 0)) if confounds is None else np.asarray(confounds, np.float64)
    if matrix.shape != (n_scans, len(confound_names)):
        raise ValueError(
            f"expected confounds of shape {(n_scans, len(confound_names))}, found {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        bad = [
            name
            for name, column in zip(confound_names, matrix.T, strict=True)
            if not np.isfinite(column).all()
        ]
        raise ValueError(f"confounds must be finite: {', '.join(bad)}")
    return _entered(matrix, confound_names, "confound")


def _censored_part(censored: Sequence[int], n_scans: int) -> Response:
    """Return one column per censored scan; one given twice makes two columns of one name."""
    outside = [scan for scan in censored if not 0 <= scan < n_scans]
    if outside:
        raise ValueError(f"censored scans must be from 0 to {n_scans - 1}, found {outside}")
    matrix = np.zeros((n_scans, len(censored)))
    matrix[list(censored), range(len(censored))] = 1.0
    return _entered(matrix, [f"censored_scan_{scan:04d}" for scan in censored], "censored")


def _orthogonalise(columns: FloatArray) -> FloatArray:
    """Return the columns, each without its projection on those before it.

    What rounding alone leaves becomes 0: at unit norm it would be a column of noise and cost a
    degree of freedom.
    """
    result = columns.copy()
    for i in range(1, columns.shape[1]):
        weights = np.linalg.lstsq(columns[:, :i], columns[:, i], rcond=None)[0]
        result[:, i] -= columns[:, :i] @ weights
        if np.linalg.norm(result[:, i]) <= _NOTHING_LEFT * np.linalg.norm(columns[:, i]):
            result[:, i] = 0.0
    return result

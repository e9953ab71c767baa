"""Design matrices: conditions, confounds, drift and intercept on exact frame times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Role = Literal["condition", "derivative", "confound", "censored", "drift", "constant"]


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
class Design:
    """A design matrix and the meaning of its columns.

    Parameters
    ----------
    matrix : ndarray of shape (n_scans, n_columns)
        One row per stored volume.
    columns : tuple of Column
        In the matrix's order.
    """

    matrix: FloatArray
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

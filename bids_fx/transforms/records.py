"""The records of transformations: instructions, and the variables of a run that they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Largest size of a number, as in tables (`bids_fx.dataset.tsv.LARGEST_NUMBER`): beyond it squares
#: would overflow.
LARGEST_NUMBER = 1e100


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction of the transformer ``pybids-transforms-v1``.

    Parameters
    ----------
    name : str
        In the spelling of the specification.
    inputs : tuple of str
        Names of variables or of groups, or shell patterns of them.
    outputs : tuple of str
        Names of the results; empty where they keep the inputs' names.
    arguments : mapping of str to object
        Everything else, by the argument's name in the specification's spelling (``FIRDelays``,
        ``OutputSuffix``, ``SamplingRate``), as plain JSON values.
    where : str
        Its place in the file, for messages, such as ``node 'run': instruction 2 (Convolve)``.
    """

    name: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    arguments: Mapping[str, object] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """A variable of events.

    Parameters
    ----------
    onsets, durations : ndarray of shape (n_events,)
        In seconds after the onset of the first stored volume; durations >= 0. Finite.
    values : ndarray of shape (n_events,)
        Numbers (float64, NaN where one is missing), or texts (object; None where one is missing).
    """

    onsets: FloatArray
    durations: FloatArray
    values: npt.NDArray[Any]

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self.values.dtype == object


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A variable with values at regular times.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        NaN where one is missing. Sample k stands for the time from ``start + k * step`` on, for
        `step` seconds.
    start, step : float
        In seconds after the onset of the first stored volume; ``step > 0``. Variables that are
        sampled once a scan start at the first frame time and have the repetition time as step.
    confound : str or None
        Name of the column of the confounds table that it still is, unchanged and by its own name;
        None otherwise.
    is_nuisance : bool
        Whether it comes from columns of the confounds table alone.
    condition : str or None
        Name of the variable whose response it is, unchanged since the convolution; else None.
    basis : int
        Index of the basis function in that response: 0 is the canonical one or the first FIR
        delay.
    hrf_model : str or None
        The model of that response.
    events : Sparse or None
        The events whose response it is, as they were convolved.
    """

    values: FloatArray
    start: float
    step: float
    confound: str | None = None
    is_nuisance: bool = False
    condition: str | None = None
    basis: int = 0
    hrf_model: str | None = None
    events: Sparse | None = None

    @property
    def is_fir(self) -> bool:
        """Whether it is the response at a FIR delay."""
        return self.hrf_model is not None and self.hrf_model.startswith("fir")


Variable = Sparse | Dense


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What a variable was taken apart into.

    Parameters
    ----------
    variable : str
        Name of the variable.
    events : Sparse or None
        Its events, all of value 0: what a level is that none of them has. None where the variable
        is absent, and for parts that `Split` makes.
    """

    variable: str
    events: Sparse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """The variables of a run.

    Parameters
    ----------
    values : mapping of str to Sparse or Dense
        By name, in order.
    groups : mapping of str to tuple of str
        Names of variables by the name of their group.
    absent : mapping of str to str
        Variables that an instruction would have made if the run had what they are made from, and
        why it has not, such as ``condition 'face' has no event in this run``.
    zeros : mapping of str to Sparse
        Those of the absent variables that are known to be 0 at events of this run, and these
        events.
    levels : mapping of str to Levels
        Variables that were taken apart, by what stands before the level's name in the names of
        the results, such as ``trial_type.``.
    notices : tuple of str
        What was left out or assumed, each a sentence without a full stop.
    unknown : mapping of str to str
        Names that instructions give and that neither the run nor an instruction has, and the
        place of the first such instruction.
    """

    values: Mapping[str, Variable] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    zeros: Mapping[str, Sparse] = field(default_factory=dict)
    levels: Mapping[str, Levels] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)

    def why_absent(self, name: str) -> str:
        """Return why the run has not a variable of a name that is not among the values.

        Examples
        --------
        >>> Variables(absent={"RT": "no variable 'RT' in this run"}).why_absent("RT")
        "no variable 'RT' in this run"
        """
        if name in self.absent:
            return self.absent[name]
        prefix = self._prefix(name)
        if prefix is None:
            noun = "variable or condition" if "trial_type." in self.levels else "variable"
            return f"no {noun} {name!r} in this run"
        variable, level = self.levels[prefix].variable, name.removeprefix(prefix)
        if self.levels[prefix].events is None and variable in self.absent:
            return self.absent[variable]
        if self.levels[prefix].events is None:
            return f"{variable!r} has no part {name.removeprefix(variable + '.')!r} in this run"
        if variable == "trial_type":
            return f"condition {level!r} has no event in this run"
        return f"{variable!r} has no event {level!r} in this run"

    def zero_events(self, name: str) -> Sparse | None:
        """Return the events at which an absent variable is known to be 0; None if it is not."""
        if name in self.absent:
            return self.zeros.get(name)
        prefix = self._prefix(name)
        return None if prefix is None else self.levels[prefix].events

    def _prefix(self, name: str) -> str | None:
        prefixes = [prefix for prefix in self.levels if name.startswith(prefix)]
        return max(prefixes, key=len, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """When a run's volumes were taken.

    Parameters
    ----------
    n_scans : int
        Number of volumes.
    repetition_time : float
        Seconds between volumes; > 0.
    slice_time : float
        Seconds from a volume's onset to the moment its slices were corrected to; >= 0.
    """

    n_scans: int
    repetition_time: float
    slice_time: float = 0.0

    @property
    def frame_times(self) -> FloatArray:
        """Acquisition times in seconds after the first volume's onset, shape (n_scans,)."""
        return np.arange(self.n_scans, dtype=np.float64) * self.repetition_time + self.slice_time


class TransformError(ValueError):
    """An instruction that cannot be carried out; its text says why, without a full stop.

    Parameters
    ----------
    found : str
        What is wrong.
    remedy : str
        What to do about it; stands behind a semicolon in the text. Empty if there is no more to
        say than what was found.

    Examples
    --------
    >>> print(TransformError("'a' has events", "use ToDense first"))
    'a' has events; use ToDense first
    """

    def __init__(self, found: str, remedy: str = "") -> None:
        super().__init__(f"{found}; {remedy}" if remedy else found)
        self.found = found
        self.remedy = remedy

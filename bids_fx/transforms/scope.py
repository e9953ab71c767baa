"""The variables of a run while instructions change them."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bids_fx.transforms.records import (
    LARGEST_NUMBER,
    Clock,
    Dense,
    FloatArray,
    Levels,
    Sparse,
    TransformError,
    Variable,
    Variables,
)

#: Levels of this column are meant by their names alone, as everywhere in a model.
_IMPLIED = "trial_type."
#: Onsets and durations that differ by less, in seconds, are those of the same events.
SAME_S = 1e-6


def is_pattern(name: str) -> bool:
    """Return whether a name has signs that stand for others."""
    return any(sign in name for sign in "*?[")


@dataclass(slots=True, kw_only=True)
class Scope:
    """What instructions read and change.

    Parameters
    ----------
    clock, entities, hrf_model, unread
        See `bids_fx.transforms.apply.transform`.
    where : str
        The instruction that is being carried out.
    values, groups, absent, zeros, levels, notices, unknown
        See `bids_fx.transforms.records.Variables`.
    before : mapping of str to Sparse or Dense
        The values before the instruction: what it reads, whichever of its inputs it has changed.
    """

    clock: Clock
    entities: Mapping[str, str]
    hrf_model: str
    unread: Collection[str] = ()
    where: str = ""
    values: dict[str, Variable] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    zeros: dict[str, Sparse] = field(default_factory=dict)
    levels: dict[str, Levels] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    before: Mapping[str, Variable] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)

    def variables(self) -> Variables:
        """Return what stands now as a record of its own."""
        return Variables(
            values=dict(self.values),
            groups=dict(self.groups),
            absent=dict(self.absent),
            zeros=dict(self.zeros),
            levels=dict(self.levels),
            notices=tuple(self.notices),
            unknown=dict(self.unknown),
        )

    def expand(self, names: Iterable[str], *, keep_unmatched: bool = True) -> list[str]:
        """Return names for groups and patterns; a pattern that matches nothing stays itself."""
        found: list[str] = []
        for name in names:
            for member in map(self._meant, self.groups.get(name, (name,))):
                if member in self.values or member in self.absent or not is_pattern(member):
                    found.append(member)
                    continue
                hits = [key for key in self.values if fnmatch.fnmatchcase(key, member)]
                found.extend(hits or ([member] if keep_unmatched else []))
        return list(dict.fromkeys(found))

    def _meant(self, name: str) -> str:
        """Return the level of ``trial_type`` that a name means which nothing else has."""
        level = _IMPLIED + name
        is_level = level in self.values or level in self.absent
        return level if is_level and name not in {*self.values, *self.absent} else name

    def why_absent(self, name: str) -> str:
        """Return why there is no variable of a name, and keep the name if nothing made it."""
        if name not in self.absent and is_pattern(name) and not self._is_level(name):
            return f"no variable matches {name!r} in this run"
        if name not in self.absent:
            self.unknown.setdefault(name, self.where)
        return self.variables().why_absent(name)

    def zero_events(self, name: str) -> Sparse | None:
        """Return the events at which an absent variable is 0, if that is known."""
        return self.variables().zero_events(name)

    def _is_level(self, name: str) -> bool:
        return any(name.startswith(prefix) for prefix in self.levels)

    def put(self, name: str, variable: Variable) -> None:
        """Add or replace a variable.

        Raises
        ------
        TransformError
            If one of its numbers is beyond `LARGEST_NUMBER`, whose squares would overflow.
        """
        if variable.values.dtype.kind == "f" and (np.abs(variable.values) > LARGEST_NUMBER).any():
            raise TransformError(f"{name!r} gets numbers beyond {LARGEST_NUMBER:g}")
        self.absent.pop(name, None)
        self.zeros.pop(name, None)
        self.values[name] = variable

    def put_absent(self, name: str, reason: str, zeros: Sparse | None = None) -> None:
        """State that a variable would be there if the run had what it is made from."""
        if is_pattern(name) and name not in self.values and not self._is_level(name):
            return  # no instruction can name it
        self.values.pop(name, None)
        self.zeros.pop(name, None)
        self.absent[name] = reason
        if zeros is not None:
            self.zeros[name] = zeros

    def note(self, text: str) -> None:
        """Add a notice about the instruction."""
        self.notices.append(f"{self.where}: {text}" if self.where else text)


def counted(count: int, noun: str = "event") -> str:
    """Return a number of things in words.

    Examples
    --------
    >>> counted(1), counted(2, "sample")
    ('1 event', '2 samples')
    """
    return f"{count} {noun}" + ("" if count == 1 else "s")


def numbers(name: str, variable: Variable) -> FloatArray:
    """Return a variable's values, which must be numbers.

    Raises
    ------
    TransformError
        If they are texts.
    """
    if isinstance(variable, Sparse) and variable.is_text:
        raise TransformError(f"{name!r} holds texts", "make numbers of them by Factor first")
    return variable.values.astype(np.float64)


def events_of(name: str, variable: Variable, instruction: str) -> Sparse:
    """Return a variable that must be one of events.

    Raises
    ------
    TransformError
        If it is dense.
    """
    if isinstance(variable, Dense):
        raise TransformError(
            f"{name!r} has samples, and {instruction} works on events: do it before "
            "ToDense or Convolve"
        )
    return variable


def with_values(variables: Sequence[Variable], values: npt.NDArray[np.float64]) -> Variable:
    """Return a variable at the times of the first, made from all of them; no longer a response."""
    first = variables[0]
    if isinstance(first, Sparse):
        return Sparse(onsets=first.onsets, durations=first.durations, values=values)
    is_nuisance = all(isinstance(item, Dense) and item.is_nuisance for item in variables)
    return Dense(values=values, start=first.start, step=first.step, is_nuisance=is_nuisance)


def check_aligned(names: Sequence[str], variables: Sequence[Variable]) -> None:
    """Check that variables have the same events, or the same samples.

    Raises
    ------
    TransformError
        If they have not; it names the first that differs, and the remedy.
    """
    first = variables[0]
    for name, other in zip(names[1:], variables[1:], strict=True):
        if isinstance(first, Sparse) != isinstance(other, Sparse):
            sparse, dense = (names[0], name) if isinstance(first, Sparse) else (name, names[0])
            raise TransformError(
                f"{sparse!r} has events and {dense!r} has samples",
                f"use ToDense or Convolve on {sparse!r} first",
            )
        if isinstance(first, Sparse) and isinstance(other, Sparse):
            if not _same_events(first, other):
                raise TransformError(
                    f"{names[0]!r} and {name!r} have not the same events",
                    "use ToDense or Convolve on them first",
                )
        elif isinstance(first, Dense) and isinstance(other, Dense):
            same = first.values.size == other.values.size and np.allclose(
                (first.start, first.step), (other.start, other.step), rtol=1e-9, atol=SAME_S
            )
            if not same:
                raise TransformError(
                    f"{names[0]!r} and {name!r} have not the same samples", "use Resample first"
                )


def _same_events(a: Sparse, b: Sparse) -> bool:
    return a.onsets.size == b.onsets.size and bool(
        (np.abs(a.onsets - b.onsets) <= SAME_S).all()
        and (np.abs(a.durations - b.durations) <= SAME_S).all()
    )

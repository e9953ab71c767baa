"""The values of settings, wherever they are given: text in, checked values out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from bids_fx.entities import LONG_NAMES
from bids_fx.quality import BY_NAME
from bids_fx.report_settings import CORRECTIONS, ERROR_RATES, QualityLimit, Threshold
from bids_fx.suggest import did_you_mean

Convert = Callable[[str], object]

#: Ends of the ranges of settings: beyond all that data need, and far below what fills a memory or
#: overflows. Degrees of freedom are those of a run; the last is of processors and threads.
LARGEST_FWHM_MM = 100.0
LARGEST_DISPLACEMENT_MM = 1_000.0
LONGEST_PERIOD_S = 100_000.0
MOST_DUMMY_SCANS = 100_000
LARGEST_DOF = 100_000.0
MOST_AT_ONCE = 100_000

#: Entities over which runs may be combined, besides ``run`` and ``ses``.
COMBINABLE = ("acq", "ce", "rec", "dir")
#: Entities whose images do not show the same thing in the same voxel, and why.
NEVER_COMBINED = {
    "sub": "participants are not combined at this level",
    "task": "tasks are different experiments",
    "echo": "echoes of one run are not independent",
    "part": "magnitude and phase are not the same measure",
    "space": "spaces do not share their voxels",
    "cohort": "spaces do not share their voxels",
    "res": "resolutions do not share their voxels",
    "den": "densities do not share their vertices",
    "hemi": "hemispheres do not share their vertices",
    "desc": "these are versions of one run",
}


class BadValueError(ValueError):
    """A value that an option cannot take.

    Parameters
    ----------
    found : str
        What is wrong with it, in one sentence without a full stop.
    remedy : str
        What to give instead, likewise.
    """

    def __init__(self, found: str, remedy: str) -> None:
        self.found = found
        self.remedy = remedy
        super().__init__(f"{found}; {remedy}")


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return the conversion to a whole number of a range, both ends of which are in it."""
    expected = f"give a whole number >= {minimum} and <= {maximum}"

    def convert(text: str) -> int:
        is_whole = re.fullmatch(r"[+-]?[0-9]{1,9}", text.strip())
        if not is_whole or not minimum <= int(text) <= maximum:
            raise BadValueError(f"'{text}' is not possible", expected)
        return int(text)

    return convert


def number(
    *, above: float | None = None, minimum: float | None = None, maximum: float = math.inf
) -> Callable[[str], float]:
    """Return the conversion to a finite number of a range.

    Parameters
    ----------
    above, minimum : float or None
        Open or closed lower end.
    maximum : float
        Closed upper end.
    """
    limits = [
        *([f"> {above:g}"] if above is not None else []),
        *([f">= {minimum:g}"] if minimum is not None and minimum > -math.inf else []),
        *([f"<= {maximum:g}"] if maximum < math.inf else []),
    ]
    expected = f"give a number {' and '.join(limits)}".rstrip()

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise BadValueError(f"'{text}' is no number", expected) from None
        is_above = value > above if above is not None else value >= (minimum or 0.0)
        if not (math.isfinite(value) and is_above and value <= maximum):
            raise BadValueError(f"'{text}' is out of range", expected)
        return value

    return convert


def choice(choices: Sequence[str]) -> Convert:
    """Return the conversion to one of some words."""

    def convert(text: str) -> str:
        word = text.strip().lower()
        if word not in choices:
            question = did_you_mean(word, choices)
            expected = f"choose one of {', '.join(choices)}"
            raise BadValueError(f"there is no '{text}'", f"{question} {expected}".strip())
        return word

    return convert


def model_name(normalise: Callable[[str], str]) -> Callable[[str], str]:
    """Return the conversion to the name of a model."""

    def convert(text: str) -> str:
        try:
            return normalise(text)
        except ValueError as error:
            found, _, remedy = str(error).partition("; ")
            raise BadValueError(found, remedy) from None

    return convert


def smoothing_mm(text: str) -> float:
    """Return the FWHM of ``MM``, ``MM:run`` or ``MM:run:iso``.

    Raises
    ------
    BadValueError
        If another level or kind of smoothing is asked for, which other programs have.
    """
    size, *rest = text.split(":")
    level, kind = [*(part.strip().lower() for part in rest), "", ""][:2]
    if len(rest) > 2:
        raise BadValueError(f"'{text}' is not understood", "write MM, MM:run or MM:run:iso")
    if level not in ("", "run"):
        raise BadValueError(
            f"smoothing at the level '{level}' is not available",
            "the BOLD series of each run are smoothed, MM:run",
        )
    if kind not in ("", "iso"):
        raise BadValueError(
            f"smoothing of the kind '{kind}' is not available", "kernels are isotropic, MM:run:iso"
        )
    return number(minimum=0, maximum=LARGEST_FWHM_MM)(size)


def period_s(text: str) -> float:
    """Return a cut-off period in seconds; what must be a frequency in Hz is refused."""
    value = number(above=0, maximum=LONGEST_PERIOD_S)(text)
    if value < 1:
        raise BadValueError(
            f"'{text}' is a period below one second",
            f"give seconds; a cut-off of {value:g} Hz is a period of {1 / value:g} s",
        )
    return value


#: Largest framewise displacement of scans that are kept, in mm.
displacement_mm = number(above=0, maximum=LARGEST_DISPLACEMENT_MM)
#: Number of scans at the start of a run that are left out.
dummy_scans = integer(0, MOST_DUMMY_SCANS)
#: Degrees of freedom.
degrees_of_freedom = number(above=0, maximum=LARGEST_DOF)
#: Number of processors, threads or tasks.
count_at_once = integer(1, MOST_AT_ONCE)


def slice_time(text: str) -> float:
    """Return a fraction of the TR; fMRIPrep's words for it are understood."""
    words = {"start": 0.0, "middle": 0.5, "end": 1.0}
    word = text.strip().lower()
    return words[word] if word in words else number(minimum=0, maximum=1)(text)


def all_confounds(given: Sequence[str]) -> tuple[str, ...]:
    """Return strategies and patterns, each once; ``none`` alone means no confounds."""
    names = tuple(dict.fromkeys(given))
    if "none" not in (name.lower() for name in names):
        return names
    if len(names) > 1:
        raise BadValueError("'none' stands beside other confounds", "give either")
    return ()


def combinable(text: str) -> tuple[str, ...]:
    """Return the short keys of entities that are named with commas between them."""
    keys = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        key = LONG_NAMES.get(name.lower(), name.lower())
        if key in NEVER_COMBINED:
            raise BadValueError(
                f"runs are never combined over '{name}': {NEVER_COMBINED[key]}",
                "leave it out",
            )
        if key not in ("run", "ses", *COMBINABLE):
            names = ("run", "session", *COMBINABLE, *LONG_NAMES)
            question = did_you_mean(name, names)
            expected = f"choose of run, session, {', '.join(COMBINABLE)}"
            raise BadValueError(f"there is no entity '{name}'", f"{question} {expected}".strip())
        keys.append(key)
    return tuple(keys)


def all_combinable(given: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the entities to combine over in a fixed order, ``run`` always among them.

    Examples
    --------
    >>> all_combinable([("dir",), ("ses", "acq")])
    ('run', 'ses', 'acq', 'dir')
    """
    asked = {"run", *(key for keys in given for key in keys)}
    return tuple(key for key in ("run", "ses", *COMBINABLE) if key in asked)


def threshold(text: str) -> Threshold:
    """Return the threshold of ``KIND`` or ``KIND:RATE``.

    Examples
    --------
    >>> print(threshold("fdr"), threshold("uncorrected:0.01"))
    fdr:0.05 uncorrected:0.01
    """
    kind, colon, rate = text.partition(":")
    correction = str(choice(CORRECTIONS)(kind))
    error_rate = number(above=0, maximum=1)(rate) if colon else ERROR_RATES[correction]
    (known,) = (one for one in CORRECTIONS if one == correction)
    return Threshold(correction=known, error_rate=error_rate)


def quality_limit(text: str) -> QualityLimit:
    """Return the limit of ``MEASURE>VALUE`` or ``MEASURE<VALUE``.

    Examples
    --------
    >>> quality_limit("fd_mean > 0.5")
    QualityLimit(measure='fd_mean', sign='>', value=0.5)
    """
    found = re.fullmatch(r"\s*(\w+)\s*([<>])\s*(\S+)\s*", text)
    if found is None:
        raise BadValueError(
            f"'{text}' is no limit", "write a measure, > or <, and a number: 'fd_mean>0.5'"
        )
    measure, sign, value = found.groups()
    if measure not in BY_NAME:
        question = did_you_mean(measure, BY_NAME)
        expected = f"choose one of {', '.join(BY_NAME)}"
        raise BadValueError(f"there is no measure '{measure}'", f"{question} {expected}".strip())
    is_above = sign == ">"
    return QualityLimit(
        measure=measure,
        sign=">" if is_above else "<",
        value=number(minimum=-math.inf)(value),
    )

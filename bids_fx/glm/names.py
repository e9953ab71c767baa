"""The names of models, as users write them and as the core knows them."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Mapping, Sequence

#: Haemodynamic models that have a plain name; `normalise_hrf_name` tells of the others.
HRF_MODELS: tuple[str, ...] = (
    "spm",
    "spm + derivative",
    "spm + derivative + dispersion",
    "glover",
    "glover + derivative",
    "glover + derivative + dispersion",
    "fir",
)
#: What stands behind a condition's name in the names of its derivatives' columns, in the order of
#: their basis functions.
DERIVATIVE_ENDINGS: tuple[str, ...] = ("_derivative", "_dispersion")
#: Drift models; ``polynomial:N`` gives the order.
DRIFT_MODELS: tuple[str, ...] = ("cosine", "polynomial", "none")
#: Noise models: white; autocorrelation of order 1 by Yule and Walker, and by restricted maximum
#: likelihood; the latter plus white noise.
NOISE_MODELS: tuple[str, ...] = ("ols", "ar1-yw", "ar1", "arma11")
#: The fewest residual degrees of freedom with which a run is fitted. The two or three parameters
#: of a noise model of restricted likelihood are estimated from them, and with fewer than 8 would
#: be left to chance (a rule of thumb).
MIN_DOF: dict[str, int] = {"ols": 1, "ar1-yw": 1, "ar1": 8, "arma11": 8}
#: Variance inflation above this is worth a look: the customary limit (Marquardt 1970,
#: Technometrics).
HIGH_INFLATION = 10.0
#: Scalings of the signal: percent of the voxel's mean; the mask's mean to 100; none.
SIGNAL_SCALINGS: tuple[str, ...] = ("psc", "grand-mean", "none")
#: Fixed effects: inverse variance; mean of effects.
COMBINATIONS: tuple[str, ...] = ("weighted", "unweighted")

#: Delays in scans, and orders of a drift, far beyond a response and a run; every delay is a column
#: of every condition, and more of them would fill the memory.
_MOST_NUMBERED = 1_000
#: A peak so many times the undershoot is one without undershoot.
_LARGEST_RATIO = 1e6
_NOISE_ALIASES = {"none": "ols", "ar1_yw": "ar1-yw"}
#: The canonical response is SPM's for most who write so.
_HRF_ALIASES = {"canonical": "spm", "spmcanonical": "spm", "canonicalhrf": "spm"}
#: Parameters of a double gamma in the order of its name, and SPM's values of them.
_DOUBLE_GAMMA = {
    "PeakDelay": 6.0,
    "UndershootDelay": 16.0,
    "PeakDispersion": 1.0,
    "UndershootDispersion": 1.0,
    "PeakUndershootRatio": 6.0,
}
#: Kernels end at 32 s (`bids_fx.glm.hrf.KERNEL_LENGTH_S`).
_LONGEST_DELAY_S = 32.0
_EXTRAS = ("", " + derivative", " + derivative + dispersion")


def unknown_name(what: str, text: str, valid: Sequence[str]) -> ValueError:
    """Return the error for a name that is not among the valid ones.

    Parameters
    ----------
    what : str
        The kind of thing that is named.
    text : str
        What the user wrote.
    valid : sequence of str
        All that could be written.

    Returns
    -------
    ValueError
        Its message lists the valid names, and the closest one where there is one.

    Examples
    --------
    >>> print(unknown_name("noise model", "olls", ("ols", "ar1-yw")))
    unknown noise model 'olls' (did you mean 'ols'?); valid are: ols, ar1-yw
    """
    by_folded = {name.casefold(): name for name in valid}
    close = difflib.get_close_matches(text.casefold(), by_folded, n=1)
    hint = f" (did you mean {by_folded[close[0]]!r}?)" if close else ""
    return ValueError(f"unknown {what} {text!r}{hint}; valid are: {', '.join(valid)}")


def normalise_hrf_name(text: str) -> str:
    """Return the one spelling of a haemodynamic model's name.

    Parameters
    ----------
    text : str
        Case and blanks do not matter. One of `HRF_MODELS`; ``fir:N`` for N delays, in scans from
        0 on; ``fir:0,2,4`` for these delays, in scans, and ``fir:3,`` for one alone;
        ``doublegamma:6,16,1,1,6`` for a peak and an undershoot with their delays and dispersions
        in seconds and the ratio of their weights (see `double_gamma_parameters`), also with
        ``+ derivative`` or ``+ derivative + dispersion``. ``canonical`` means ``spm``.

    Returns
    -------
    str
        For example ``spm + derivative``, ``fir:12`` or ``doublegamma:6,16,1,1,6``.

    Raises
    ------
    ValueError
        If there is no such model; the message lists the valid names.

    Examples
    --------
    >>> normalise_hrf_name("SPM+Derivative"), normalise_hrf_name("fir: 12")
    ('spm + derivative', 'fir:12')
    >>> normalise_hrf_name("FIR:0, 2,4"), normalise_hrf_name("DoubleGamma:5.0,15,1,1,6")
    ('fir:0,2,4', 'doublegamma:5,15,1,1,6')
    """
    family, plus, extras = "".join(text.casefold().split()).partition("+")
    if family == "afni":
        raise ValueError(
            "the HRF model 'afni' is the response of AFNI's own program, which is not offered; "
            f"valid are: {', '.join(HRF_MODELS)}"
        )
    if family.startswith("fir:") and "," in family:
        return _explicit_delays(text)
    if family.startswith("doublegamma:"):
        extra = next((name for name in _EXTRAS if name.replace(" ", "") == plus + extras), None)
        if extra is not None:
            values = double_gamma_parameters(text)
            return f"doublegamma:{','.join(f'{value:.12g}' for value in values)}{extra}"
    known = _HRF_ALIASES.get(family)
    name = text if known is None else known + plus + extras
    return _normalise("HRF model", name, HRF_MODELS, numbered="fir")


def delay_ending(delay: int | str) -> str:
    """Return what stands behind a condition's name in the name of a FIR delay's column.

    Parameters
    ----------
    delay : int or str
        In scans, or a shell pattern of it.

    Examples
    --------
    >>> delay_ending(2)
    '_delay_2'
    """
    return f"_delay_{delay}"


def fir_delays(hrf_model: str) -> tuple[int, ...] | None:
    """Return the delays in scans that a normalised name lists; None if it lists none.

    Examples
    --------
    >>> fir_delays("fir:0,2,4"), fir_delays("fir:3,"), fir_delays("fir:3"), fir_delays("spm")
    ((0, 2, 4), (3,), (0, 1, 2), None)
    """
    family, _, numbers = hrf_model.partition(":")
    if family != "fir" or not numbers:
        return None
    if "," not in numbers:
        return tuple(range(int(numbers)))
    return tuple(int(number) for number in numbers.split(",") if number)


def double_gamma_parameters(hrf_model: str) -> tuple[float, float, float, float, float]:
    """Return the parameters of a double gamma from its name.

    Returns
    -------
    tuple of float
        Delays of the peak and of the undershoot and their dispersions, in seconds, and the
        weight of the peak over that of the undershoot, which is 6 in SPM. It must be above 1:
        programs that ask for the undershoot over the peak (1/6) mean its inverse.

    Raises
    ------
    ValueError
        If they are not five numbers that make a response.

    Examples
    --------
    >>> double_gamma_parameters("doublegamma:6,16,1,1,6")
    (6.0, 16.0, 1.0, 1.0, 6.0)
    """
    numbers = "".join(hrf_model.split()).partition(":")[2].partition("+")[0]
    fault = f"the HRF model {hrf_model!r}: "
    try:
        delay, under, width, under_width, ratio = (float(text) for text in numbers.split(","))
    except ValueError:
        raise ValueError(
            f"{fault}expected five numbers ({', '.join(_DOUBLE_GAMMA)}), such as "
            "doublegamma:6,16,1,1,6"
        ) from None
    if not 0 < delay < under <= _LONGEST_DELAY_S:
        raise ValueError(
            f"{fault}the undershoot's delay must be longer than the peak's, which must be above "
            f"0 s, and at most {_LONGEST_DELAY_S:g} s"
        )
    if not (0 < width <= delay and 0 < under_width <= under):
        raise ValueError(f"{fault}a dispersion must be above 0 s and at most the delay")
    if not 1 < ratio <= _LARGEST_RATIO:
        raise ValueError(
            f"{fault}the ratio of the peak to the undershoot must be above 1 (6 in SPM; "
            f"write 6 where another program has 1/6) and at most {_LARGEST_RATIO:.0f}"
        )
    return delay, under, width, under_width, ratio


def hrf_name(model: str, parameters: Mapping[str, object] | None = None) -> str:
    """Return the name of a haemodynamic model that is given with parameters.

    Parameters
    ----------
    model : str
        As `normalise_hrf_name` takes it, or ``DoubleGamma``.
    parameters : mapping of str to object
        Of ``fir``: ``fir_delays``, in scans. Of ``DoubleGamma``, perhaps with ``+ derivative``:
        ``PeakDelay``, ``UndershootDelay``, ``PeakDispersion``, ``UndershootDispersion`` and
        ``PeakUndershootRatio``, which are SPM's where they are not given. Case and underscores
        of their names do not matter.

    Raises
    ------
    ValueError
        If there is no such model, or no such parameter of it, or a value is of no use.

    Examples
    --------
    >>> hrf_name("fir", {"fir_delays": [0, 1]}), hrf_name("DoubleGamma", {"PeakDelay": 5})
    ('fir:0,1', 'doublegamma:5,16,1,1,6')
    """
    given = {
        key.casefold().replace("_", ""): (key, value) for key, value in (parameters or {}).items()
    }
    family, plus, extras = "".join(model.casefold().split()).partition("+")
    double = family.replace("-", "").replace("_", "") == "doublegamma"
    names = tuple(_DOUBLE_GAMMA) if double else ("FIRDelays",) if family == "fir" else ()
    known = {name.casefold(): name for name in names}
    for folded, (key, _) in given.items():
        if folded not in known:
            what = f"parameter of the HRF model {model!r}:"
            raise unknown_name(what, key, names or ("none",))
    if double:
        values = [
            _number(*given.get(name.casefold(), (name, value)))
            for name, value in _DOUBLE_GAMMA.items()
        ]
        return normalise_hrf_name(f"doublegamma:{','.join(map(repr, values))}{plus}{extras}")
    if "firdelays" in given:
        key, delays = given["firdelays"]
        listed = delays if isinstance(delays, (list, tuple)) else [delays]
        return _explicit_delays("fir:" + "".join(f"{_number(key, item):.12g}," for item in listed))
    return normalise_hrf_name(model)


def normalise_drift_name(text: str) -> str:
    """Return the name of a drift model as `DRIFT_MODELS` spells it.

    Parameters
    ----------
    text : str
        Case and blanks do not matter; ``polynomial:N`` gives the order.

    Returns
    -------
    str
        One of `DRIFT_MODELS`, or ``polynomial:N``.

    Raises
    ------
    ValueError
        If there is no such model; the message lists the valid names.

    Examples
    --------
    >>> normalise_drift_name("Cosine"), normalise_drift_name("polynomial: 3")
    ('cosine', 'polynomial:3')
    """
    return _normalise("drift model", text, DRIFT_MODELS, numbered="polynomial")


def normalise_noise_name(text: str) -> str:
    """Return the name of a noise model as `NOISE_MODELS` spells it.

    Parameters
    ----------
    text : str
        Case and blanks do not matter; ``none`` means ``ols``.

    Returns
    -------
    str
        One of `NOISE_MODELS`.

    Raises
    ------
    ValueError
        If there is no such model; the message lists the valid names.

    Examples
    --------
    >>> normalise_noise_name("AR1-YW"), normalise_noise_name("none")
    ('ar1-yw', 'ols')
    """
    compact = "".join(text.casefold().split())
    return _normalise("noise model", _NOISE_ALIASES.get(compact, text), NOISE_MODELS)


def _explicit_delays(text: str) -> str:
    compact = "".join(text.casefold().split())
    found = re.fullmatch(r"fir:((?:[0-9]{1,9},)+)([0-9]{1,9})?,?", compact)
    delays = [int(number) for number in compact[4:].split(",") if number] if found else []
    if not delays or any(a >= b for a, b in itertools.pairwise(delays)):
        raise ValueError(
            f"the HRF model {text!r}: FIR delays are whole numbers of scans, 0 or more, each "
            "larger than the one before, such as fir:0,1,2"
        )
    if delays[-1] > _MOST_NUMBERED:
        raise ValueError(
            f"the HRF model {text!r} has a number above {_MOST_NUMBERED}; give a smaller one"
        )
    return f"fir:{','.join(map(str, delays))}" + ("," if len(delays) == 1 else "")


def _number(name: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{name} must be a number, found {value!r}")


def _normalise(what: str, text: str, valid: tuple[str, ...], *, numbered: str = "") -> str:
    """Return the valid name that a text means; `numbered` may be followed by a number > 0."""
    compact = "".join(text.casefold().split())
    for name in valid:
        if compact == name.replace(" ", ""):
            return name
    with_number = re.fullmatch(rf"{numbered}:([0-9]+)", compact) if numbered else None
    if with_number is not None and with_number[1].strip("0"):
        number = with_number[1].lstrip("0")
        if len(number) > len(str(_MOST_NUMBERED)) or int(number) > _MOST_NUMBERED:
            raise ValueError(
                f"the {what} {text!r} has a number above {_MOST_NUMBERED}; give a smaller one"
            )
        return f"{numbered}:{number}"
    raise unknown_name(what, text, (*valid, f"{numbered}:N") if numbered else valid)

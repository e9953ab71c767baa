"""The names of models, as users write them and as the core knows them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

#: Haemodynamic models; ``fir:N`` gives the number of delays.
HRF_MODELS: tuple[str, ...] = (
    "spm",
    "spm + derivative",
    "spm + derivative + dispersion",
    "glover",
    "glover + derivative",
    "glover + derivative + dispersion",
    "fir",
)
#: Drift models; ``polynomial:N`` gives the order.
DRIFT_MODELS: tuple[str, ...] = ("cosine", "polynomial", "none")
#: Noise models: white; autocorrelation of order 1 by Yule and Walker, and by restricted maximum
#: likelihood; the latter plus white noise.
NOISE_MODELS: tuple[str, ...] = ("ols", "ar1-yw", "ar1", "arma11")
#: The fewest residual degrees of freedom with which a run is fitted. The two or three parameters
#: of a noise model of restricted likelihood are estimated from them, and with fewer than 8 would
#: be left to chance (a rule of thumb).
MIN_DOF: dict[str, int] = {"ols": 1, "ar1-yw": 1, "ar1": 8, "arma11": 8}
#: Scalings of the signal: percent of the voxel's mean; the mask's mean to 100; none.
SIGNAL_SCALINGS: tuple[str, ...] = ("psc", "grand-mean", "none")
#: Fixed effects: inverse variance; mean of effects.
COMBINATIONS: tuple[str, ...] = ("weighted", "unweighted")

_NOISE_ALIASES = {"none": "ols", "ar1_yw": "ar1-yw"}


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
    """Return the name of a haemodynamic model as `HRF_MODELS` spells it.

    Parameters
    ----------
    text : str
        Case and blanks do not matter; ``fir:N`` gives the number of delays.

    Returns
    -------
    str
        One of `HRF_MODELS`, or ``fir:N``.

    Raises
    ------
    ValueError
        If there is no such model; the message lists the valid names.

    Examples
    --------
    >>> normalise_hrf_name("SPM+Derivative"), normalise_hrf_name("fir: 12")
    ('spm + derivative', 'fir:12')
    """
    return _normalise("HRF model", text, HRF_MODELS, numbered="fir")


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


def _normalise(what: str, text: str, valid: tuple[str, ...], *, numbered: str = "") -> str:
    """Return the valid name that a text means; `numbered` may be followed by a number > 0."""
    compact = "".join(text.casefold().split())
    for name in valid:
        if compact == name.replace(" ", ""):
            return name
    with_number = re.fullmatch(rf"{numbered}:([0-9]+)", compact) if numbered else None
    if with_number is not None and int(with_number[1]) > 0:
        return f"{numbered}:{int(with_number[1])}"
    raise unknown_name(what, text, (*valid, f"{numbered}:N") if numbered else valid)

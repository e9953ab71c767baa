"""Slow drifts of the signal, as columns of the design matrix."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bids_fx.glm.names import normalise_drift_name

FloatArray = npt.NDArray[np.float64]

#: A polynomial drift without an order gets one more for each of these: AFNI's rule (3dDeconvolve,
#: ``-polort A``), in seconds.
SECONDS_PER_ORDER = 150.0
#: Undoes the rounding of quotients that are whole numbers in decimals.
_ROUNDING = 1e-9


def make_drift(
    frame_times: FloatArray, *, repetition_time: float, drift_model: str, high_pass_s: float
) -> FloatArray:
    r"""Return the drift columns of a run, without the constant.

    Parameters
    ----------
    frame_times : ndarray of shape (n_scans,)
        In seconds; strictly increasing, the last > 0.
    repetition_time : float
        Seconds between volumes; > 0.
    drift_model : str
        One of `bids_fx.glm.names.DRIFT_MODELS` or ``polynomial:N``.
    high_pass_s : float
        Cut-off of the cosine drift: its longest period left in the data, in seconds; > 0.

    Returns
    -------
    ndarray of shape (n_scans, n_drifts)
        May have no column: a short run has no cosine of a longer period than the cut-off.

    Raises
    ------
    ValueError
        If there is no such model, or the cut-off is not > 0.

    Notes
    -----
    ``cosine``: with n scans every TR seconds, :math:`\sqrt{2/n} \cos(\pi k (t + 1/2) / n)` for
    k from 1 to :math:`\lfloor 2 n TR / cutoff \rfloor`, at most n - 1 (spm_filter.m; nilearn's
    ``create_cosine_drift``). ``polynomial``: powers of time over the last frame's, each
    orthogonalised to the lower ones (nilearn); without an order it is 1 + floor(n TR / 150 s),
    AFNI's rule, at most n - 1.
    """
    name = normalise_drift_name(drift_model)
    if not (math.isfinite(high_pass_s) and high_pass_s > 0):
        raise ValueError(f"the high-pass cut-off must be > 0 s, found {high_pass_s}")
    n_scans = frame_times.size
    seconds = n_scans * repetition_time
    if name == "none":
        return np.zeros((n_scans, 0))
    if name == "cosine":
        order = min(n_scans - 1, math.floor(2 * seconds / high_pass_s + _ROUNDING))
        phase = np.outer(np.arange(n_scans) + 0.5, np.arange(1, order + 1))
        return math.sqrt(2 / n_scans) * np.cos(math.pi / n_scans * phase)
    _, _, number = name.partition(":")
    order = int(number) if number else 1 + math.floor(seconds / SECONDS_PER_ORDER + _ROUNDING)
    return _orthogonal_powers(frame_times / frame_times[-1], min(order, n_scans - 1))


def _orthogonal_powers(x: FloatArray, order: int) -> FloatArray:
    """Return the powers 1 to `order` of x, each orthogonalised to all lower ones.

    Stieltjes' recurrence gives them without the ill-conditioned matrix of powers.
    """
    previous, current = np.zeros_like(x), np.ones_like(x)
    columns = []
    for power in range(order):
        centre = (x * current**2).sum() / (current**2).sum()
        decay = (current**2).sum() / (previous**2).sum() if power else 0.0
        previous, current = current, (x - centre) * current - decay * previous
        columns.append(current)
    return np.stack(columns, axis=1)

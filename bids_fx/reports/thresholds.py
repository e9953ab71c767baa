"""What of a z map is shown and listed: the |z| above which its voxels count, and what it means."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bids_fx.report_settings import Threshold
from bids_fx.reports.maps import is_covered
from bids_fx.reports.wording import number

FloatArray = npt.NDArray[np.floating]


def z_cutoff(z: FloatArray, threshold: Threshold) -> float:
    r"""Return the \|z\| above which the voxels of a map are shown.

    Parameters
    ----------
    z : ndarray
        z values with the two-sided tail of the test, as those of t and of F here are; NaN or 0
        where there is no result.
    threshold : Threshold
        What is asked for; a correction is for the voxels of this map that have a result.

    Returns
    -------
    float
        Infinite where a false discovery rate is asked for and no voxel survives it.

    Notes
    -----
    With m voxels and p the two-sided tail of z: uncorrected, p < rate; Bonferroni, p < rate / m;
    false discovery rate, the k smallest p values for the largest k with p_(k) <= k rate / m
    (Benjamini and Hochberg 1995). Tails are compared as logarithms, since p of z > 38 is 0.
    """
    if threshold.correction == "uncorrected":
        return _z_of(math.log(threshold.error_rate))
    sizes = np.abs(z[is_covered(z)])
    if not sizes.size:
        return math.inf
    log_share = math.log(threshold.error_rate) - math.log(sizes.size)
    if threshold.correction == "bonferroni":
        return _z_of(log_share)
    return _discovery_cutoff(sizes, math.log(threshold.error_rate), log_share)


def _discovery_cutoff(sizes: FloatArray, log_rate: float, log_share: float) -> float:
    """Return the cutoff of a false discovery rate, of sizes of shape (n_voxels,)."""
    from scipy.special import log_ndtr

    # No other can survive: k is at most the number of voxels.
    largest = np.sort(sizes[sizes >= np.nextafter(sizes.dtype.type(_z_of(log_rate)), 0)])[::-1]
    log_p = math.log(2) + log_ndtr(-largest.astype(np.float64))
    survive = np.flatnonzero(log_p <= log_share + np.log(np.arange(1, largest.size + 1)))
    if not survive.size:
        return math.inf
    last = int(survive[-1])
    # Just below the last survivor, should its p be exactly the critical one, in its own precision.
    below = float(np.nextafter(largest[last], largest.dtype.type(0)))
    return min(_z_of(log_share + math.log(last + 1)), below)


def _z_of(log_p: float) -> float:
    """Return the z of a two-sided tail probability, from its logarithm."""
    from scipy.special import ndtri_exp

    return abs(float(ndtri_exp(min(log_p, 0.0) - math.log(2))))


def threshold_told(threshold: Threshold, test: str) -> str:
    """Return the kind of a threshold and its rate, as a clause about the voxels that are shown.

    Parameters
    ----------
    threshold : Threshold
        What is asked for.
    test : str
        ``t`` or ``F``.
    """
    rate = threshold.rate_told
    sided = " two-sided" if test == "t" else ""
    tail = "" if test == "t" else " (z has the two-sided tail that p of F is)"
    return {
        "uncorrected": (
            f"p < {rate}{sided} in each voxel{tail}, not corrected for the number of voxels"
        ),
        "fdr": (
            f"a false discovery rate of {rate} over the voxels of each map (Benjamini and "
            f"Hochberg's;{sided or ' F'} p values)"
        ),
        "bonferroni": (
            f"p < {rate}{sided}{tail}, corrected for the number of voxels of each map by "
            "Bonferroni's inequality"
        ),
    }[threshold.correction]


def threshold_briefly(threshold: Threshold) -> str:
    """Return the kind of a threshold and its rate in a few words.

    Examples
    --------
    >>> threshold_briefly(Threshold())
    'p < .001, uncorrected'
    >>> threshold_briefly(Threshold(correction="fdr", error_rate=0.05))
    'false discovery rate .05'
    """
    rate = threshold.rate_told
    return {
        "uncorrected": f"p < {rate}, uncorrected",
        "fdr": f"false discovery rate {rate}",
        "bonferroni": f"p < {rate}, Bonferroni-corrected",
    }[threshold.correction]


def cutoff_told(cutoff: float, *, one_sided: bool = False) -> str:
    """Return which values are above a cutoff.

    Examples
    --------
    >>> cutoff_told(3.2905), cutoff_told(4.0, one_sided=True)
    ('|z| > 3.29', 'z > 4.00')
    """
    return f"{'z' if one_sided else '|z|'} > {'∞' if math.isinf(cutoff) else number(cutoff)}"

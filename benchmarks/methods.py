"""The tests that are compared: ours and nilearn's, on the same data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from nilearn.glm.contrasts import compute_contrast
from nilearn.glm.first_level import run_glm
from scipy import stats

from bids_fx.glm.contrasts import design_space
from bids_fx.glm.noise import fit_run
from bids_fx.glm.tails import f_statistics, t_statistics
from nulls import N_BASELINE, known_covariance_fit, lag_one, null_covariance
from rates import hits

FloatArray = npt.NDArray[np.float64]

NILEARN = "nilearn ar1"
TRUE = "true noise"
#: Voxels of a design whose residuals are whitened one by one.
_N_WHITENED = 25


def two_sided(z: FloatArray) -> FloatArray:
    """Return the p of a z map, as a reader of the map takes it: |z| > 3.29 is p < .001."""
    return np.asarray(2 * stats.norm.sf(np.abs(z)))


def wald_f(effects: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the F of a contrast's rows.

    Parameters
    ----------
    effects : ndarray of shape (q, n_voxels)
        One row per row of the contrast.
    covariance : ndarray of shape (q(q+1)/2, n_voxels)
        Their covariance, upper triangle row by row.
    """
    q, n_voxels = effects.shape
    upper = np.triu_indices(q)
    full = np.empty((n_voxels, q, q))
    full[:, *upper] = full[:, *upper[::-1]] = covariance.T
    solved = np.linalg.solve(full, effects.T[:, :, np.newaxis])[:, :, 0]
    return np.asarray((effects.T * solved).sum(axis=1) / q)


def compare(
    Y: FloatArray,
    X: FloatArray,
    contrast: FloatArray,
    models: Sequence[str],
    *,
    n_baseline: int = N_BASELINE,
    truth: tuple[float, float] | None = None,
    whiteness: bool = False,
) -> dict[str, dict[str, float]]:
    """Test a contrast in every voxel by several methods.

    Parameters
    ----------
    Y : ndarray of shape (n_scans, n_voxels)
        Data.
    X : ndarray of shape (n_scans, n_columns)
        Design; its last `n_baseline` columns are drift and constant.
    contrast : ndarray of shape (q, n_columns)
        A t test where q is 1, else an F test.
    models : sequence of str
        Noise models of ours; `NILEARN` is nilearn's.
    truth : tuple of two floats or None
        Of simulated data rho and the white share: adds the exact test.
    whiteness : bool
        Whether to measure what autocorrelation is left.

    Returns
    -------
    dict
        By method, the measures of `rates.MEASURES`.
    """
    some = Y[:, :_N_WHITENED]
    outcomes = {}
    for model in models:
        p, noise = (
            _nilearn_test(Y, X, contrast)
            if model == NILEARN
            else _our_test(Y, X, contrast, model, n_baseline)
        )
        outcomes[model] = hits(p)
        if "ar1" in noise:
            outcomes[model]["rho"] = float(noise["ar1"].mean())
        if whiteness:
            rho, white = (noise.get(name, np.zeros(Y.shape[1])) for name in ("ar1", "white"))
            outcomes[model]["lag"] = lag_one(some, X, rho[:_N_WHITENED], white[:_N_WHITENED])
    if truth is not None:
        covariance = null_covariance(len(Y), *truth)
        f, dof = known_covariance_fit(Y, X, contrast, covariance)
        outcomes[TRUE] = hits(np.asarray(stats.f.sf(f, len(contrast), dof)))
        if whiteness:
            outcomes[TRUE]["lag"] = lag_one(some, X, *truth)
    return outcomes


def _our_test(
    Y: FloatArray, X: FloatArray, contrast: FloatArray, model: str, n_baseline: int
) -> tuple[FloatArray, Mapping[str, FloatArray]]:
    """Return two-sided p, and the noise that was estimated."""
    fit = fit_run(
        Y,
        design_space(X),
        [contrast],
        baseline=design_space(X[:, X.shape[1] - n_baseline :]),
        noise_model=model,
    )
    (result,) = fit.contrasts
    if len(contrast) == 1:
        z = t_statistics(result.effects[0], result.covariance[0], result.dof).z
    else:
        f = wald_f(result.effects, result.covariance)
        z = f_statistics(f, float(len(contrast)), result.dof).z
    return two_sided(z), fit.noise


def _nilearn_test(
    Y: FloatArray, X: FloatArray, contrast: FloatArray
) -> tuple[FloatArray, Mapping[str, FloatArray]]:
    """Return nilearn's two-sided p, and the noise that it estimated.

    Its F maps' z is the one-sided one of the same p, so that p is what is counted there.
    """
    result, labels = nilearn_contrast(Y, X, contrast)
    p = two_sided(result.z_score()) if len(contrast) == 1 else result.p_value()
    return np.asarray(p), {"ar1": labels.astype(np.float64)}


def nilearn_contrast(Y: FloatArray, X: FloatArray, contrast: FloatArray) -> tuple[Any, Any]:
    """Return nilearn's `Contrast` of a run fitted by ``ar1``, and the label of each voxel."""
    labels, results = run_glm(Y, X, noise_model="ar1")
    rows = contrast[0] if len(contrast) == 1 else contrast
    return compute_contrast(labels, results, rows), labels

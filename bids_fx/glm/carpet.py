"""The residuals of a run scan by scan: a carpet of some voxels, and what they do in each scan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from bids_fx.glm.ordinary import fit_ordinary
from bids_fx.glm.series import SeriesMatrix

FloatArray = npt.NDArray[np.float64]

#: Voxels that are looked at: 30 for each row of the carpet.
CARPET_VOXELS, CARPET_ROWS = 6000, 200
#: Voxels that are fitted at a time; fixed, so that no result depends on threads or blocks.
CARPET_PIECE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """The residuals of some voxels, each divided by the voxel's own standard deviation.

    Parameters
    ----------
    carpet : ndarray of shape (n_rows, n_scans)
        Means over voxels that go along with the mean residual to a like degree, the most at the
        top; each row divided by its own root mean square.
    mean, sd : ndarray of shape (n_scans,)
        Mean and standard deviation over the voxels in each scan.
    dvars : ndarray of shape (n_scans,)
        Root mean square over the voxels of the change from the scan before; NaN in the first
        scan and behind a scan that is missing.
    n_voxels : int
        Number of voxels.
    """

    carpet: FloatArray
    mean: FloatArray
    sd: FloatArray
    dvars: FloatArray
    n_voxels: int

    def measures(self) -> dict[str, float | int | None]:
        """Return the measures of quality that summarize the scans; None without any voxel."""
        changes = self.dvars[np.isfinite(self.dvars)]
        return {
            "residual_sd_max": float(self.sd.max()) if self.n_voxels else None,
            "residual_dvars_mean": float(changes.mean()) if changes.size else None,
        }


def sample_residuals(
    Y: SeriesMatrix,
    basis: FloatArray,
    residual_sd: FloatArray,
    scans: npt.NDArray[np.integer],
    *,
    offset: FloatArray | None = None,
    n_threads: int = 1,
) -> Residuals:
    """Look at the residuals of ordinary least squares in some voxels.

    Parameters
    ----------
    Y : ndarray or SeriesMatrix of shape (n_scans, n_voxels)
        The data.
    basis : ndarray of shape (n_scans, rank)
        Orthonormal basis of the design.
    residual_sd : ndarray of shape (n_voxels,)
        Standard deviation of each voxel's residuals; NaN where it was not fitted.
    scans : ndarray of int, shape (n_scans,)
        Numbers of the scans that there are, increasing.
    offset : ndarray of shape (n_voxels,) or None
        Added to every scan of each voxel, as in `bids_fx.glm.noise.fit_run`.
    n_threads : int
        Threads; no result depends on it.

    Returns
    -------
    Residuals
        Of up to `CARPET_VOXELS` voxels, evenly spread over those that were fitted.

    Notes
    -----
    The residuals before whitening show what happened in the scan where it happened; whitening
    moves a part of it to the next. The order of the voxels is that of Aquino et al. (2020,
    NeuroImage 212): by their correlation with the mean over the voxels.
    """
    fitted = np.flatnonzero(residual_sd > 0)
    places = np.linspace(0, max(fitted.size - 1, 0), min(CARPET_VOXELS, fitted.size))
    voxels = fitted[places.astype(np.intp)]
    residuals = np.empty((len(basis), voxels.size), dtype=np.float32)

    def fill(first: int) -> None:
        some = voxels[first : first + CARPET_PIECE]
        series = Y[:, some].astype(np.float64, order="C")
        if offset is not None:
            series += offset[some]
        _, left = fit_ordinary(series, basis)
        residuals[:, first : first + CARPET_PIECE] = left / residual_sd[some]

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(fill, range(0, voxels.size, CARPET_PIECE)):
            pass
    return _summarize(residuals, scans)


def _summarize(residuals: npt.NDArray[np.float32], scans: npt.NDArray[np.integer]) -> Residuals:
    """Return what scaled residuals, shape (n_scans, n_voxels), do in each scan."""
    n_scans, n_voxels = residuals.shape
    none = np.full(n_scans, np.nan)
    if not n_voxels:
        return Residuals(carpet=np.empty((0, n_scans)), mean=none, sd=none, dvars=none, n_voxels=0)
    mean = residuals.mean(axis=1, dtype=np.float64)
    # Scan by scan: of all at once numpy would hold a copy in double precision.
    sd = np.array([row.std(dtype=np.float64) for row in residuals])
    dvars = none.copy()
    for t in np.flatnonzero(np.diff(scans) == 1) + 1:
        change = residuals[t] - residuals[t - 1]
        dvars[t] = np.sqrt(np.mean(change**2, dtype=np.float64))
    return Residuals(
        carpet=_rows(residuals, mean),
        mean=mean,
        sd=sd,
        dvars=dvars,
        n_voxels=n_voxels,
    )


def _rows(residuals: npt.NDArray[np.float32], mean: FloatArray) -> FloatArray:
    """Return the carpet's rows from the top down."""
    # All columns have the same sum of squares: their products sort as their correlations do.
    likeness = np.zeros(residuals.shape[1])
    for weight, row in zip(mean.tolist(), residuals, strict=True):
        likeness += weight * row
    order = np.argsort(-likeness, kind="stable")
    parts = np.array_split(order, min(CARPET_ROWS, order.size))
    rows = np.array([residuals[:, part].mean(axis=1, dtype=np.float64) for part in parts])
    sizes = np.sqrt(np.mean(rows**2, axis=1, keepdims=True))
    scaled: FloatArray = rows / np.where(sizes > 0, sizes, 1.0)
    return scaled

"""Generalised least squares, with the noise parameters of each voxel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.glm.correlation import YULE_WALKER_LIMIT, CorrelationModel, IntArray
from bids_fx.glm.readings import Read, Reading, make_reading
from bids_fx.glm.tables import DesignTable, tabulate

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralizedFit:
    """A block of voxels fitted by generalised least squares.

    Parameters
    ----------
    parameters : tuple of ndarray of shape (n_voxels,)
        The noise parameters, in the model's order.
    sigmasq : ndarray of shape (n_voxels,)
        Marginal variance of the noise.
    added : tuple of ndarray of shape (q, n_voxels)
        By contrast, what is to be added to the effects of ordinary least squares.
    covariances : tuple of ndarray of shape (q * (q + 1) / 2, n_voxels)
        By contrast.
    dofs : tuple of ndarray of shape (n_voxels,)
        By contrast.
    """

    parameters: tuple[FloatArray, ...]
    sigmasq: FloatArray
    added: tuple[FloatArray, ...]
    covariances: tuple[FloatArray, ...]
    dofs: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generalized:
    """A design and its contrasts under a model of the noise's correlation.

    Parameters
    ----------
    model : CorrelationModel
        The family of correlations.
    scans : ndarray of int, shape (n_scans,)
        Numbers of the scans that are there.
    basis : ndarray of shape (n_scans, rank)
        Orthonormal basis of the design.
    sizes : tuple of int
        Number of rows of each contrast.
    table : DesignTable
        What depends on the design alone.
    reading : Reading
        What depends on the data.
    """

    model: CorrelationModel
    scans: IntArray
    basis: FloatArray
    sizes: tuple[int, ...]
    table: DesignTable
    reading: Reading

    @classmethod
    def of(
        cls,
        model: CorrelationModel,
        scans: IntArray,
        basis: FloatArray,
        contrasts: Sequence[FloatArray],
        pool: Executor,
    ) -> Generalized:
        """Tabulate a design; `contrasts` are rows in terms of its basis."""
        table = tabulate(model, scans, basis, contrasts, pool)
        return cls(
            model=model,
            scans=scans,
            basis=basis,
            sizes=tuple(len(rows) for rows in contrasts),
            table=table,
            reading=make_reading(model, scans, basis, table.factors, table.rows),
        )

    @property
    def numbers_per_voxel(self) -> int:
        """How many numbers a voxel takes while it is fitted, beside its series.

        Those of the reading; or the likelihood at every point of the search, and at every node
        the likelihood, its polynomial, and polynomials at the voxel's parameters.
        """
        search = int(np.prod([axis.search.size for axis in self.model.box.axes]))
        return max(self.reading.numbers_per_voxel, search + 10 * len(self.table.factors))

    def fit(self, data: Read, usable: BoolArray) -> GeneralizedFit:
        """Fit a block of voxels.

        Parameters
        ----------
        data : Read
            What `reading` says of their series.
        usable : ndarray of bool, shape (n_voxels,)
            Voxels with residuals; what stands in the others means nothing.
        """
        dof, box = self.basis.shape[0] - self.basis.shape[1], self.model.box
        log_s = np.log(np.where(usable, data.left, 1.0))
        if self.model.likelihood:
            determinants = self.table.log_determinants[:, np.newaxis]
            where = box.highest(-0.5 * (dof * log_s + determinants))
        else:
            rss = np.where(usable, data.ordinary.rss, 1.0)
            where = box.coordinates([_yule_walker(data.lagged, rss, self.scans)])
        weights = box.weights(where)
        sigmasq = np.exp(np.einsum("nv,nv->v", weights, log_s)) / dof
        step = data.added(weights)
        found = [contrast.at(weights) for contrast in self.table.contrasts]
        return GeneralizedFit(
            parameters=box.parameters(where),
            sigmasq=sigmasq,
            added=tuple(np.split(step, np.cumsum(self.sizes)[:-1])) if self.sizes else (),
            covariances=tuple(covariance * sigmasq for covariance, _ in found),
            # Of a model without a likelihood they are whole, which interpolation would blur.
            dofs=tuple(
                own if self.model.likelihood else np.full(usable.size, float(dof))
                for _, own in found
            ),
        )


def _yule_walker(lagged: FloatArray, rss: FloatArray, scans: IntArray) -> FloatArray:
    """Return the autocorrelation of residuals as nilearn estimates it, over adjacent scans."""
    n_adjacent = max(1, int(np.count_nonzero(np.diff(scans) == 1)))
    rho = (lagged / n_adjacent) / (rss / scans.size)
    return np.asarray(np.clip(rho, -YULE_WALKER_LIMIT, YULE_WALKER_LIMIT))

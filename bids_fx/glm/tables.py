"""What generalised least squares needs of a design, tabulated over the noise parameters."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.glm.correlation import Correlation, CorrelationModel, IntArray
from bids_fx.glm.kenward_roger import f_reference
from bids_fx.glm.matrices import to_triangle

FloatArray = npt.NDArray[np.float64]

#: Smaller eigenvalues of the noise parameters' information, at unit diagonal, are rounding.
_RCOND = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastTable:
    """A contrast's covariance and degrees of freedom at each node.

    Parameters
    ----------
    log_scale : ndarray of shape (n_nodes,)
        Logarithm of the mean of the rows' variances, each over that of the first node.
    covariance : ndarray of shape (n_nodes, q * (q + 1) / 2)
        Upper triangle, row by row, of the covariance of the rows' estimates at a marginal
        variance of 1, over the exponential of `log_scale`.
    log_dof : ndarray of shape (n_nodes,)
        Logarithm of the degrees of freedom: of t, or of F's denominator.
    """

    log_scale: FloatArray
    covariance: FloatArray
    log_dof: FloatArray

    def at(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return covariance (q * (q + 1) / 2, n_points) and dof (n_points,) between nodes."""
        covariance = (self.covariance.T @ weights) * np.exp(self.log_scale @ weights)
        return covariance, np.exp(self.log_dof @ weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignTable:
    r"""A design under every correlation of a model, at the model's nodes.

    Parameters
    ----------
    log_determinants : ndarray of shape (n_nodes,)
        :math:`\log |R| + \log |Q'R^{-1}Q|`.
    factors : tuple of ndarray of shape (rank, rank)
        By node, U with :math:`U'U = (Q'R^{-1}Q)^{-1}`.
    rows : tuple of ndarray of shape (n_rows, rank)
        By node, what takes :math:`Q'R^{-1}e` to what generalised least squares adds to each row
        of the contrasts.
    contrasts : tuple of ContrastTable
        In the order of the contrasts.
    """

    log_determinants: FloatArray
    factors: tuple[FloatArray, ...]
    rows: tuple[FloatArray, ...]
    contrasts: tuple[ContrastTable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A design under one correlation."""

    log_determinant: float
    phi: FloatArray
    covariances: list[FloatArray]
    dofs: list[float]


def tabulate(
    model: CorrelationModel,
    scans: IntArray,
    basis: FloatArray,
    contrasts: Sequence[FloatArray],
    pool: Executor,
) -> DesignTable:
    r"""Compute all that depends on design, contrasts and noise parameters alone.

    Parameters
    ----------
    model : CorrelationModel
        The family of correlations.
    scans : ndarray of int, shape (n_scans,)
        Numbers of the scans that are there.
    basis : ndarray of shape (n_scans, rank)
        Orthonormal basis Q of the design.
    contrasts : sequence of ndarray of shape (q, rank)
        Rows of each contrast in terms of the basis.
    pool : Executor
        Where the nodes are computed; no result depends on it.

    Returns
    -------
    DesignTable
        Covariances are Kenward and Roger's adjusted ones where the model has a likelihood.

    Notes
    -----
    Let :math:`V = \sigma^2 R(\theta)`, :math:`\Phi = (Q'V^{-1}Q)^{-1}`,
    :math:`P = V^{-1} - V^{-1}Q\Phi Q'V^{-1}` and :math:`V_i` the derivative of V by parameter i,
    :math:`\sigma^2` among them. The estimates of the parameters have, about, the covariance
    :math:`W = I^{-1}` with the expected information of the restricted likelihood

    .. math:: I_{ij} = \tfrac12 \operatorname{tr}(P V_i P V_j).

    Kenward and Roger (1997, Biometrics 53:983), V taken as linear in the parameters, add what
    their uncertainty costs twice, since :math:`\Phi` at the estimates is also too small:

    .. math:: \Phi_A = \Phi + 2 \Phi \Bigl[ \sum_{ij} W_{ij}
              (Q'V^{-1}V_iV^{-1}V_jV^{-1}Q - P_i \Phi P_j) \Bigr] \Phi, \quad
              P_i = -Q'V^{-1}V_iV^{-1}Q.

    With L the rows of a contrast, :math:`C = L\Phi L'` and :math:`\dot C_i = -L\Phi P_i\Phi L'`,

    .. math:: A_1 = \sum_{ij} W_{ij} \operatorname{tr}(C^{-1}\dot C_i)
                    \operatorname{tr}(C^{-1}\dot C_j), \quad
              A_2 = \sum_{ij} W_{ij} \operatorname{tr}(C^{-1}\dot C_i C^{-1}\dot C_j)

    give scale and denominator degrees of freedom of F (`f_reference`); for one row the scale is 1
    and the degrees of freedom are :math:`2 / A_2`. The covariance is divided by the scale, so
    that :math:`F = e'C^{-1}e/q` for every contrast. The information is the expected one:
    the curvature of the likelihood at its maximum says nothing where that lies on a bound.
    Neither adjustment depends on :math:`\sigma^2` or on the data but through the parameters, so
    that a table does for all voxels.

    Without a likelihood the covariance is :math:`\Phi` and the degrees of freedom are n - rank.
    """

    def at(parameters: tuple[float, ...]) -> _Node:
        correlation = model.at(scans, parameters)
        if model.likelihood:
            return _likelihood_node(correlation, basis, contrasts)
        return _plain_node(correlation, basis, contrasts)

    nodes, rank = list(pool.map(at, model.box.nodes)), basis.shape[1]
    return DesignTable(
        log_determinants=np.array([node.log_determinant for node in nodes]),
        factors=tuple(np.asarray(np.linalg.cholesky(node.phi).T) for node in nodes),
        rows=tuple(np.vstack([np.empty((0, rank)), *contrasts]) @ node.phi for node in nodes),
        contrasts=tuple(
            _contrast_table([n.covariances[i] for n in nodes], [n.dofs[i] for n in nodes])
            for i in range(len(contrasts))
        ),
    )


def _contrast_table(covariances: list[FloatArray], dofs: list[float]) -> ContrastTable:
    variances = np.array([np.diag(covariance) for covariance in covariances])
    log_scale = np.log((variances / variances[0]).mean(axis=1))
    triangles = np.array([to_triangle(covariance) for covariance in covariances])
    return ContrastTable(
        log_scale=log_scale,
        covariance=triangles / np.exp(log_scale)[:, np.newaxis],
        log_dof=np.log(dofs),
    )


def _plain_node(
    correlation: Correlation, basis: FloatArray, contrasts: Sequence[FloatArray]
) -> _Node:
    phi, log_determinant = _coefficient_covariance(basis.T @ (correlation.precision @ basis))
    dof = float(basis.shape[0] - basis.shape[1])
    return _Node(
        log_determinant=correlation.log_determinant + log_determinant,
        phi=phi,
        covariances=[rows @ phi @ rows.T for rows in contrasts],
        dofs=[dof] * len(contrasts),
    )


def _likelihood_node(
    correlation: Correlation, basis: FloatArray, contrasts: Sequence[FloatArray]
) -> _Node:
    n_scans, rank = basis.shape
    weighted = correlation.precision @ basis
    phi, log_determinant = _coefficient_covariance(basis.T @ weighted)
    moved = [derivative @ weighted for derivative in correlation.derivatives]
    solved = [correlation.precision @ columns for columns in moved]
    # -P_i, and Q'V^-1 V_i V^-1 V_j V^-1 Q.
    slopes = [weighted.T @ columns for columns in moved]
    bends = [[left.T @ right for right in solved] for left in moved]
    information = _information(correlation, n_scans - rank, phi, slopes=slopes, bends=bends)
    W = _inverse(information)
    noise = W[1:, 1:]
    excess = sum(
        noise[i, j] * (bends[i][j] - slopes[i] @ phi @ slopes[j])
        for i in range(len(slopes))
        for j in range(len(slopes))
    )
    covariances, dofs = [], []
    for rows in contrasts:
        gain = rows @ phi
        plain = gain @ rows.T
        dots = [plain, *(gain @ slope @ gain.T for slope in slopes)]
        scale, dof = _reference(plain, dots, W)
        covariances.append((plain + 2 * gain @ excess @ gain.T) / scale)
        dofs.append(dof)
    return _Node(
        log_determinant=correlation.log_determinant + log_determinant,
        phi=phi,
        covariances=covariances,
        dofs=dofs,
    )


def _inverse(information: FloatArray) -> FloatArray:
    """Return the covariance of estimates from their information.

    A parameter of which the scans tell nothing (the autocorrelation across gaps that leave none)
    changes no covariance either; it counts as known.
    """
    size = np.sqrt(np.diag(information))
    size = np.where(size > 0, size, 1.0)
    scaled = information / size / size[:, np.newaxis]
    return (
        np.asarray(np.linalg.pinv(scaled, rcond=_RCOND, hermitian=True))
        / size
        / size[:, np.newaxis]
    )


def _coefficient_covariance(normal: FloatArray) -> tuple[FloatArray, float]:
    """Return the inverse of a normal matrix, and the logarithm of its determinant."""
    values, vectors = np.linalg.eigh((normal + normal.T) / 2)
    return (vectors / values) @ vectors.T, float(np.log(values).sum())


def _information(
    correlation: Correlation,
    dof: int,
    phi: FloatArray,
    *,
    slopes: Sequence[FloatArray],
    bends: Sequence[Sequence[FloatArray]],
) -> FloatArray:
    """Return the expected information of variance and correlation, at a variance of 1.

    P is never formed: its traces are those of the precision less what the design takes.
    """
    whitened = [correlation.precision @ derivative for derivative in correlation.derivatives]
    information = np.empty((len(whitened) + 1, len(whitened) + 1))
    information[0, 0] = dof
    for i, first in enumerate(whitened):
        trace = np.trace(first) - (phi * slopes[i]).sum()
        information[0, i + 1] = information[i + 1, 0] = trace
        for j, second in enumerate(whitened):
            taken = 2 * (phi * bends[i][j]).sum()
            taken -= ((phi @ slopes[i]) * (phi @ slopes[j]).T).sum()
            information[i + 1, j + 1] = (first * second.T).sum() - taken
    return information / 2


def _reference(
    plain: FloatArray, dots: Sequence[FloatArray], W: FloatArray
) -> tuple[float, float]:
    """Return scale and degrees of freedom of a contrast's F."""
    relative = [np.linalg.solve(plain, dot) for dot in dots]
    traces = np.array([np.trace(matrix) for matrix in relative])
    second = np.array([[(a * b.T).sum() for b in relative] for a in relative])
    scale, dof = f_reference(traces @ W @ traces, (W * second).sum(), len(plain))
    return float(scale), float(dof)

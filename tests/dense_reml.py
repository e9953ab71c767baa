"""Restricted maximum likelihood and Kenward and Roger's adjustment, all with dense matrices.

Written from the papers (Patterson and Thompson 1971; Kenward and Roger 1997) and independent of
the package: explicit n x n matrices and inverses, derivatives by complex steps, the likelihood as
the density of contrasts of the data that are free of the design.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize

FloatArray = npt.NDArray[np.float64]

#: What the package says of its own bounds, by noise model.
BOUNDS = {"ar1": ((-0.9, 0.98),), "arma11": ((0.1, 0.98), (0.0, 1.0))}
_COMPLEX_STEP = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseTest:
    """What is said of the rows of a contrast: the scaled F is e'C^-1 e / q."""

    effects: FloatArray
    covariance: FloatArray
    dof: float
    sigmasq: float

    @property
    def f(self) -> float:
        """F, or t squared."""
        solved = np.linalg.solve(self.covariance, self.effects)
        return float(self.effects @ solved / len(self.effects))


class DenseModel:
    """A design of full rank, the scans that its rows are, and a family of correlations."""

    def __init__(self, X: FloatArray, scans: npt.ArrayLike, family: str) -> None:
        self.X, self.scans, self.family = X, np.asarray(scans), family
        self.K = linalg.null_space(X.T)

    def correlation(self, theta: tuple[complex, ...]) -> npt.NDArray[np.complex128]:
        """Return R, shape (n, n), at parameters that may be complex."""
        lags = np.abs(self.scans[:, np.newaxis] - self.scans)
        powers = np.cumprod(np.append(1.0, np.full(lags.max(), theta[0])))
        if self.family == "ar1":
            return powers[lags]
        return (1 - theta[1]) * powers[lags] + theta[1] * np.eye(len(self.scans))

    def _derivative(self, theta: tuple[float, ...], i: int) -> FloatArray:
        moved = [value + (_COMPLEX_STEP * 1j if i == j else 0) for j, value in enumerate(theta)]
        return self.correlation(tuple(moved)).imag / _COMPLEX_STEP

    def log_likelihood(self, Y: FloatArray, theta: tuple[float, ...]) -> FloatArray:
        """Return the logarithm of the density of K'y at the best variance, for each column."""
        factor = np.linalg.cholesky(self.K.T @ self.correlation(theta).real @ self.K)
        white = linalg.solve_triangular(factor, self.K.T @ Y, lower=True)
        squares = (white**2).sum(axis=0)
        sigmasq = squares / len(white)
        log_determinant = len(white) * np.log(2 * np.pi * sigmasq)
        log_determinant += 2 * np.log(np.diag(factor)).sum()
        return -0.5 * (log_determinant + squares / sigmasq)

    def test(self, y: FloatArray, theta: tuple[float, ...], rows: FloatArray) -> DenseTest:
        """Return generalised least squares at these parameters, adjusted as the paper does."""
        X, R = self.X, self.correlation(theta).real
        R_inverse = np.linalg.inv(R)
        beta = np.linalg.solve(X.T @ R_inverse @ X, X.T @ R_inverse @ y)
        sigmasq = float((y - X @ beta) @ R_inverse @ (y - X @ beta) / self.K.shape[1])
        V = [R, *(sigmasq * self._derivative(theta, i) for i in range(len(theta)))]
        V_inverse = R_inverse / sigmasq
        Phi = np.linalg.inv(X.T @ V_inverse @ X)
        P = V_inverse - V_inverse @ X @ Phi @ X.T @ V_inverse
        PV = [P @ V_i for V_i in V]
        W = np.linalg.inv([[np.trace(a @ b) / 2 for b in PV] for a in PV])
        P_ = [-X.T @ V_inverse @ V_i @ V_inverse @ X for V_i in V]
        bracket = np.zeros_like(Phi)
        for i, V_i in enumerate(V):
            for j, V_j in enumerate(V):
                Q_ij = X.T @ V_inverse @ V_i @ V_inverse @ V_j @ V_inverse @ X
                bracket += W[i, j] * (Q_ij - P_[i] @ Phi @ P_[j])
        Phi_A = Phi + 2 * Phi @ bracket @ Phi
        Theta = rows.T @ np.linalg.inv(rows @ Phi @ rows.T) @ rows
        parts = [Theta @ Phi @ P_i @ Phi for P_i in P_]
        traces = np.array([np.trace(part) for part in parts])
        A1 = float(traces @ W @ traces)
        A2 = float((W * [[np.trace(a @ b) for b in parts] for a in parts]).sum())
        scale, dof = f_of_the_paper(A1, A2, len(rows))
        return DenseTest(
            effects=rows @ beta,
            covariance=rows @ Phi_A @ rows.T / scale,
            dof=dof,
            sigmasq=sigmasq,
        )

    def best(self, Y: FloatArray, n_grid: int = 160) -> FloatArray:
        """Return the one parameter with the highest likelihood, for each column."""
        ((low, high),) = BOUNDS[self.family]
        grid = np.tanh(np.linspace(np.arctanh(low), np.arctanh(high), n_grid))
        grid[[0, -1]] = low, high
        found = np.array([self.log_likelihood(Y, (rho,)) for rho in grid]).argmax(axis=0)
        return np.array([self._refine(y, grid, k) for y, k in zip(Y.T, found, strict=True)])

    def _refine(self, y: FloatArray, grid: FloatArray, k: int) -> float:
        def cost(rho: float) -> float:
            return -float(self.log_likelihood(y, (rho,)))

        low, high = float(grid[max(k - 1, 0)]), float(grid[min(k + 1, grid.size - 1)])
        refined = optimize.minimize_scalar(
            cost, bounds=(low, high), method="bounded", options={"xatol": 1e-7}
        )
        # the search stays a little inside
        return min((float(refined.x), low, high), key=cost)


def f_of_the_paper(A1: float, A2: float, q: int) -> tuple[float, float]:
    """Return lambda and m as Kenward and Roger (1997) write them.

    Where F has no second moment the paper has none; 1 and 2q / A2 are the package's.
    """
    B = (A1 + 6 * A2) / (2 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    below = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
    if q <= A2 or c3 * B >= 1:
        return 1.0, 2 * q / A2
    mean = 1 / (1 - A2 / q)
    variance = (2 / q) * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
    rho = variance / (2 * mean**2)
    m = 4 + (q + 2) / (q * rho - 1)
    return m / (mean * (m - 2)), m


def null_design(rng: np.random.Generator, n_scans: int, n_walks: int = 18) -> FloatArray:
    """Return 2 conditions, random walks, 3 cosines and the constant as columns."""
    boxes = np.kron(rng.integers(0, 2, size=(n_scans // 4 + 8, 2)), np.ones((4, 1)))
    kernel = np.arange(16) ** 3 * np.exp(-np.arange(16.0))
    conditions = [np.convolve(box, kernel)[16 : 16 + n_scans] for box in boxes.T]
    walks = rng.normal(size=(n_scans, n_walks)).cumsum(axis=0)
    phase = np.outer(np.arange(n_scans) + 0.5, [1, 2, 3]) * np.pi / n_scans
    return np.column_stack([*conditions, walks, np.cos(phase), np.ones(n_scans)])


def noise(
    rng: np.random.Generator, n_scans: int, n_voxels: int, rho: float, white: float = 0.0
) -> FloatArray:
    """Return stationary AR(1) noise, with a share of white noise, of variance 1."""
    series = rng.normal(size=(n_scans, n_voxels))
    for t in range(1, n_scans):
        series[t] = rho * series[t - 1] + np.sqrt(1 - rho**2) * series[t]
    return np.sqrt(1 - white) * series + np.sqrt(white) * rng.normal(size=series.shape)

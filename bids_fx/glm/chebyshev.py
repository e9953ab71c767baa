"""Smooth functions on a box, known at Chebyshev's nodes: their values anywhere, and their maxima.

What a noise model needs of a design (variances, determinants, degrees of freedom) is a smooth
function of one or two noise parameters and is computed at a few nodes; each voxel reads it off at
its own parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Points of the search before its refinement, per node of an axis: between two of them nothing
#: that the nodes resolve can hide.
_POINTS_PER_NODE = 4
#: Newton's method doubles its digits with each step; more steps are needed only where the function
#: is not concave and at the bounds.
_STEPS = 16
#: A step shorter than this is the last: the next would be about its square, and rounding hides
#: whether the value has grown.
_CLOSE = 1e-5


@dataclass(frozen=True)
class Stretch:
    """A change of variable.

    Parameters
    ----------
    inner, parameter : callable
        From the parameter to the variable, and back.
    """

    inner: Callable[[FloatArray], FloatArray]
    parameter: Callable[[FloatArray], FloatArray]


#: Fisher's z: even where a correlation nears 1.
FISHER = Stretch(inner=np.arctanh, parameter=np.tanh)


def log_ratio(offset: float) -> Stretch:
    """Return the logarithm of the ratio of two shares, each with an offset > 0 added.

    Examples
    --------
    >>> share = log_ratio(0.1)
    >>> float(share.inner(np.array(0.5))), share.parameter(share.inner(np.array(0.2))).round(12)
    (0.0, np.float64(0.2))
    """

    def parameter(inner: FloatArray) -> FloatArray:
        ratio = np.exp(inner)
        return np.asarray((ratio * (1 + offset) - offset) / (1 + ratio))

    return Stretch(inner=lambda x: np.log((x + offset) / (1 - x + offset)), parameter=parameter)


@dataclass(frozen=True)
class Axis:
    """One parameter's interval, and the coordinate in which functions of it are smooth.

    Parameters
    ----------
    lower, upper : float
        Bounds of the parameter.
    n_nodes : int
        Chebyshev nodes; >= 2.
    stretch : Stretch
        What the parameter is a function of in which functions of it are smooth.
    """

    lower: float
    upper: float
    n_nodes: int
    stretch: Stretch

    def parameter(self, x: FloatArray) -> FloatArray:
        """Return the parameter at coordinates from -1 to 1."""
        low, high = self._ends
        inner = low + (high - low) * (x + 1) / 2
        return np.clip(self.stretch.parameter(inner), self.lower, self.upper)

    def coordinate(self, parameter: FloatArray) -> FloatArray:
        """Return the coordinates, from -1 to 1, of parameters within the bounds."""
        low, high = self._ends
        inner = self.stretch.inner(parameter)
        return np.clip(2 * (inner - low) / (high - low) - 1, -1.0, 1.0)

    @property
    def _ends(self) -> tuple[float, float]:
        low, high = self.stretch.inner(np.array([self.lower, self.upper])).tolist()
        return low, high

    @property
    def nodes(self) -> FloatArray:
        """Coordinates of the nodes: Chebyshev's, of the first kind."""
        return np.cos(np.pi * (np.arange(self.n_nodes) + 0.5) / self.n_nodes)

    @cached_property
    def coefficients(self) -> FloatArray:
        """Matrix from values at the nodes to the coefficients of Chebyshev's polynomials."""
        matrix = _polynomials(self.nodes, self.n_nodes)[:, 0] * (2 / self.n_nodes)
        matrix[0] /= 2
        return matrix

    @cached_property
    def search(self) -> FloatArray:
        """Coordinates of the points of the search, bounds included."""
        return self.searched(np.arange(_POINTS_PER_NODE * self.n_nodes))

    def searched(self, number: npt.NDArray[np.number]) -> FloatArray:
        """Return coordinates by the number of the search's point; fractions lie between two."""
        angle = np.pi / (_POINTS_PER_NODE * self.n_nodes - 1) * number
        return np.asarray(-np.cos(angle))

    @cached_property
    def search_weights(self) -> FloatArray:
        """Weights of the nodes at the points of the search, shape (n_nodes, n_points)."""
        return self.weights(self.search)

    def weights(self, x: FloatArray) -> FloatArray:
        """Return the weights of the nodes at coordinates, shape (n_nodes, n_points)."""
        return np.asarray(self.coefficients.T @ _polynomials(x, self.n_nodes)[:, 0])


@dataclass(frozen=True)
class Box:
    """The product of some axes' intervals.

    Parameters
    ----------
    axes : tuple of Axis
        One per parameter.
    """

    axes: tuple[Axis, ...]

    @property
    def nodes(self) -> list[tuple[float, ...]]:
        """Parameters at each node; the last axis runs fastest."""
        along = [axis.parameter(axis.nodes) for axis in self.axes]
        grid = np.meshgrid(*along, indexing="ij")
        return [tuple(point) for point in np.stack(grid, axis=-1).reshape(-1, len(along)).tolist()]

    def weights(self, x: FloatArray) -> FloatArray:
        """Return the weights of the nodes' values in the interpolated value.

        Parameters
        ----------
        x : ndarray of shape (n_axes, n_points)
            Coordinates, from -1 to 1.

        Returns
        -------
        ndarray of shape (n_nodes, n_points)
            A function's values at the nodes times these are its values at the points.
        """
        pairs = zip(self.axes, x, strict=True)
        return reduce(_products, [axis.weights(coordinates) for axis, coordinates in pairs])

    def coordinates(self, parameters: Sequence[FloatArray]) -> FloatArray:
        """Return the coordinates of parameters, one array of shape (n_points,) per axis."""
        pairs = zip(self.axes, parameters, strict=True)
        return np.stack([axis.coordinate(values) for axis, values in pairs])

    def parameters(self, x: FloatArray) -> tuple[FloatArray, ...]:
        """Return the parameters at coordinates of shape (n_axes, n_points)."""
        return tuple(axis.parameter(values) for axis, values in zip(self.axes, x, strict=True))

    def highest(self, values: FloatArray) -> FloatArray:
        """Find where each of some functions is highest.

        Parameters
        ----------
        values : ndarray of shape (n_nodes, n_functions)
            Finite.

        Returns
        -------
        ndarray of shape (n_axes, n_functions)
            Coordinates of the maximum, which may lie on a bound.

        Notes
        -----
        The interpolating polynomial is searched on a grid four times as fine as the nodes and
        then climbed by Newton's method, to its own rounding; along a line from the top of the
        parabola through the grid's best point and the two beside it. The climb may go as far as
        the bounds: along a slanting ridge the highest point need not be beside the grid's.
        """
        start = self._best_on_grid(values)
        sizes = [axis.n_nodes for axis in self.axes]
        polynomial = values.reshape(*sizes, -1)
        for place, axis in enumerate(self.axes):
            polynomial = np.moveaxis(
                np.tensordot(axis.coefficients, polynomial, axes=(1, place)), 0, place
            )
        return _climb(polynomial, start)

    def _best_on_grid(self, values: FloatArray) -> FloatArray:
        """Return the coordinates, shape (n_axes, n_functions), of the best of the search."""
        *others, last = self.axes
        n_functions = values.shape[-1]
        # Each function's points lie side by side: that is what a maximum is found in quickly.
        nodes = values.reshape(-1, last.n_nodes, n_functions).transpose(2, 0, 1)
        at = nodes.reshape(-1, last.n_nodes) @ last.search_weights
        for axis in others:
            at = axis.search_weights.T @ at.reshape(n_functions, axis.n_nodes, -1)
        at = at.reshape(n_functions, -1)
        best = at.argmax(axis=1)
        if not others:
            return last.searched(best + _towards_top(at, best))[np.newaxis]
        places = np.unravel_index(best, [axis.search.size for axis in self.axes])
        return np.stack(
            [axis.search[place] for axis, place in zip(self.axes, places, strict=True)]
        )


def _towards_top(at: FloatArray, best: npt.NDArray[np.intp]) -> FloatArray:
    """Return how far from the best point, in points, the parabola through three has its top.

    At a bound it has none to look for: there polynomials are even in the angle.
    """
    n_functions, n_points = at.shape
    every = np.arange(n_functions)
    here = at[every, best]
    below = at[every, np.abs(best - 1)]
    above = at[every, n_points - 1 - np.abs(n_points - 2 - best)]
    bend = (here - below) + (here - above)
    return np.asarray((above - below) / np.where(bend > 0, 2 * bend, np.inf))


def _products(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the products of every row of one with every row of the other, point by point."""
    return (first[:, np.newaxis] * second).reshape(-1, first.shape[1])


def _polynomials(x: FloatArray, n: int, order: int = 0) -> FloatArray:
    r"""Return Chebyshev's first `n` polynomials and their derivatives by 2x, (n, order + 1, ...).

    Those of order m are divided by m!: :math:`T_k = 2x T_{k-1} - T_{k-2}` then gives
    :math:`T_k^{(m)} = 2x T_{k-1}^{(m)} - T_{k-2}^{(m)} + T_{k-1}^{(m-1)}`.
    """
    found = np.empty((n, order + 1, *x.shape))
    found[0], found[0, 0] = 0.0, 1.0
    if n > 1:
        found[1], found[1, 0], found[1, 1:2] = 0.0, x, 0.5
    twice = 2 * x
    for k in range(2, n):
        np.multiply(twice, found[k - 1], out=found[k])
        found[k] -= found[k - 2]
        found[k, 1:] += found[k - 1, :-1]
    return found


def _climb(polynomial: FloatArray, x: FloatArray) -> FloatArray:
    """Climb polynomials, shape (n, ..., n_functions), from x, shape (d, n_functions)."""
    highest, left = x.copy(), np.arange(x.shape[1])
    reach, moving = np.ones(left.size), np.ones(left.size, dtype=bool)
    best, gradient, hessian = _derivatives(polynomial, x)
    for _ in range(_STEPS):
        step = reach * _newton_step(gradient, hessian, x)
        trial = np.clip(x + step, -1.0, 1.0)
        last = moving & (np.abs(step).max(axis=0) < _CLOSE)
        x = np.where(last, trial, x)
        moving &= ~last
        if not moving.any():
            break
        if 1 < moving.sum() < left.size / 2:  # most have arrived
            highest[:, left] = x
            polynomial, x, trial, gradient, hessian, best, reach = (
                np.ascontiguousarray(part[..., moving])
                for part in (polynomial, x, trial, gradient, hessian, best, reach)
            )
            left = left[moving]
            moving = np.ones(left.size, dtype=bool)
        value, trial_gradient, trial_hessian = _derivatives(polynomial, trial)
        # One that has arrived stays: how far it goes must not depend on the others.
        better = moving & (value > best)
        x = np.where(better, trial, x)
        best = np.where(better, value, best)
        gradient = np.where(better, trial_gradient, gradient)
        hessian = np.where(better, trial_hessian, hessian)
        reach = np.where(better, 1.0, reach / 4)
    highest[:, left] = x
    return highest


def _newton_step(gradient: FloatArray, hessian: FloatArray, x: FloatArray) -> FloatArray:
    """Return Newton's step for one or two axes, uphill also where the function is not concave."""
    bound = np.where(gradient > 0, 1.0, -1.0)
    free = bound != x
    uphill = np.where(free, (bound - x) / 2, 0.0)
    curved = free & (np.diagonal(hessian).T < 0)
    diagonal = np.where(curved, np.diagonal(hessian).T, -1.0)
    alone = np.where(curved, -gradient / diagonal, uphill)
    if len(x) == 1:
        return alone
    # A ridge that rises along its length is concave across it only: what curves upwards is taken
    # for as much downwards, which leaves an uphill direction.
    (fxx, cross), (_, fyy) = hessian
    largest = (fxx + fyy) / 2 + np.hypot((fxx - fyy) / 2, cross)
    fxx, fyy = (part - 2 * np.maximum(largest, 0.0) for part in (fxx, fyy))
    determinant = fxx * fyy - cross**2
    concave = free.all(axis=0) & (fxx < 0) & (determinant > 0)
    both = np.stack(
        [cross * gradient[1] - fyy * gradient[0], cross * gradient[0] - fxx * gradient[1]]
    ) / np.where(concave, determinant, 1.0)
    both, inside = _shortened(both, x)
    return np.where(concave & inside, both, alone)


def _shortened(step: FloatArray, x: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Shorten steps to end on the bounds, and tell which go anywhere.

    Clipping each coordinate alone would lead off a slanting ridge.
    """
    room = np.where(step > 0, 1.0, -1.0) - x
    share = np.where(np.abs(step) > np.abs(room), room / np.where(step == 0, 1.0, step), 1.0)
    smallest = share.min(axis=0)
    return smallest * step, smallest > 0


def _derivatives(
    polynomial: FloatArray, x: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return value (n,), gradient (d, n) and Hessian (d, d, n) of polynomials at x (d, n)."""
    # By x instead of 2x, and without the factorials.
    scale = np.array([1.0, 2.0, 8.0])
    if len(x) == 1:
        parts = _polynomials(x[0], len(polynomial), 2)
        value, slope, bend = scale[:, np.newaxis] * np.einsum("kmv,kv->mv", parts, polynomial)
        return value, slope[np.newaxis], bend[np.newaxis, np.newaxis]
    along = [
        scale[:, np.newaxis, np.newaxis]
        * _polynomials(x[i], polynomial.shape[i], 2).transpose(1, 0, 2)
        for i in range(len(x))
    ]
    # Contracting the last axis first leaves three small sets for the other.
    inner = [np.einsum("jv,ijv->iv", part, polynomial) for part in along[1]]
    (f, fy, fyy), (fx, fxy) = (
        [(along[0][order] * part).sum(axis=0) for part in inner[: 3 - order]] for order in (0, 1)
    )
    fxx = (along[0][2] * inner[0]).sum(axis=0)
    return f, np.stack([fx, fy]), np.stack([np.stack([fxx, fxy]), np.stack([fxy, fyy])])

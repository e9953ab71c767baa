"""Interpolation at Chebyshev's nodes, and the maxima of what is interpolated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.glm.chebyshev import FISHER, Axis, Box, log_ratio

FloatArray = npt.NDArray[np.float64]

#: Sums of some ten terms in float64.
EXACT = 1e-12
#: The climb stops at steps of 1e-7, the next of which would be about their square.
CLIMBED = 1e-8

STRETCHES = [FISHER, log_ratio(0.01)]
LINE = Box((Axis(-0.9, 0.9, 12, FISHER),))
PLANE = Box((Axis(-0.9, 0.98, 9, FISHER), Axis(0.0, 1.0, 11, log_ratio(0.01))))


def sampled(box: Box, function: Callable[..., FloatArray]) -> FloatArray:
    """Return a function of coordinates at the nodes, shape (n_nodes, n_functions)."""
    along = [np.array(values) for values in zip(*box.nodes, strict=True)]
    return function(*box.coordinates(along))


def found(box: Box, function: Callable[..., FloatArray]) -> FloatArray:
    """Return where the functions are highest."""
    return box.highest(sampled(box, function))


@pytest.mark.parametrize("stretch", STRETCHES)
def test_parameter_and_coordinate_undo_each_other_within_the_bounds(stretch: object) -> None:
    axis = Axis(0.1, 0.98, 8, stretch)
    x = np.linspace(-1, 1, 21)
    np.testing.assert_allclose(axis.coordinate(axis.parameter(x)), x, rtol=0, atol=EXACT)
    assert axis.parameter(np.array([-1.0, 1.0])).tolist() == [0.1, 0.98]
    assert (np.diff(axis.parameter(x)) > 0).all()


def test_parameters_beyond_the_bounds_get_the_bounds_coordinates() -> None:
    axis = Axis(-0.5, 0.5, 8, FISHER)
    assert axis.coordinate(np.array([-0.9, 0.7])).tolist() == [-1.0, 1.0]


def test_nodes_of_a_box_run_fastest_along_the_last_axis() -> None:
    nodes = PLANE.nodes
    assert len(nodes) == 99
    assert {rho for rho, _ in nodes[:11]} == {nodes[0][0]}
    assert [share for _, share in nodes[:11]] == [share for _, share in nodes[11:22]]


@pytest.mark.parametrize("degree", range(12))
def test_polynomials_of_one_coordinate_are_exact(degree: int) -> None:
    x = np.linspace(-1, 1, 57)[np.newaxis]
    values = sampled(LINE, lambda a: a**degree)
    np.testing.assert_allclose(values @ LINE.weights(x), x[0] ** degree, rtol=0, atol=EXACT)


def test_degree_of_as_many_as_the_nodes_is_not_exact() -> None:
    x = np.linspace(-1, 1, 57)[np.newaxis]
    values = sampled(LINE, lambda a: a**12)
    # what is left is Chebyshev's polynomial over 2^11
    assert np.abs(values @ LINE.weights(x) - x[0] ** 12).max() == pytest.approx(2.0**-11)


def test_polynomials_of_two_coordinates_are_exact(rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, size=(2, 40))
    for i, j in [(0, 0), (8, 0), (0, 10), (3, 5), (8, 10)]:
        values = sampled(PLANE, lambda a, b, i=i, j=j: a**i * b**j)
        expected = x[0] ** i * x[1] ** j
        np.testing.assert_allclose(values @ PLANE.weights(x), expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("box", [LINE, PLANE])
def test_weights_sum_to_one(box: Box, rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, size=(len(box.axes), 30))
    np.testing.assert_allclose(box.weights(x).sum(axis=0), 1.0, rtol=EXACT)


@pytest.mark.parametrize("box", [LINE, PLANE])
def test_weights_at_a_node_pick_its_value(box: Box) -> None:
    along = [np.array(values) for values in zip(*box.nodes, strict=True)]
    weights = box.weights(box.coordinates(along))
    np.testing.assert_allclose(weights, np.eye(len(box.nodes)), rtol=0, atol=EXACT)


def test_maxima_inside_a_line_are_found() -> None:
    tops = np.linspace(-0.999, 0.999, 401)
    x = found(LINE, lambda a: -((a[:, np.newaxis] - tops) ** 2))
    np.testing.assert_allclose(x[0], tops, rtol=0, atol=CLIMBED)


def test_maxima_of_quartics_are_found_where_the_slope_is_zero() -> None:
    # slope -(a - b)(a² + a b + b² + 1), zero at b alone
    tops = np.linspace(-0.95, 0.95, 101)
    x = found(
        LINE,
        lambda a: (
            -(a[:, np.newaxis] ** 4) / 4
            - a[:, np.newaxis] ** 2 / 2
            + (tops**3 + tops) * a[:, np.newaxis]
        ),
    )
    np.testing.assert_allclose(x[0], tops, rtol=0, atol=CLIMBED)


def test_higher_of_two_maxima_is_found() -> None:
    tilts = np.array([-0.05, 0.05])
    # -(a² - 0.25)² has two equal maxima
    x = found(LINE, lambda a: -((a[:, np.newaxis] ** 2 - 0.25) ** 2) + tilts * a[:, np.newaxis])
    assert x[0, 0] == pytest.approx(-x[0, 1], abs=CLIMBED)
    slope = -4 * x[0] * (x[0] ** 2 - 0.25) + tilts
    np.testing.assert_allclose(slope, 0.0, rtol=0, atol=CLIMBED)
    assert (np.sign(x[0]) == np.sign(tilts)).all()


def test_maxima_on_the_bounds_of_a_line_are_the_bounds() -> None:
    x = found(LINE, lambda a: np.stack([a, -a, np.exp(a), (a - 0.1) ** 2, -((a - 1.2) ** 2)], 1))
    assert x[0].tolist() == [1.0, -1.0, 1.0, -1.0, 1.0]


def test_function_that_is_the_same_everywhere_has_a_maximum_within() -> None:
    x = found(LINE, lambda a: np.ones((a.size, 1)))
    assert (np.abs(x) <= 1).all()


def test_maxima_inside_a_plane_are_found(rng: np.random.Generator) -> None:
    tops = rng.uniform(-0.99, 0.99, size=(2, 300))
    u, v = (lambda a, i=i: a[:, np.newaxis] - tops[i] for i in (0, 1))
    x = found(PLANE, lambda a, b: -(u(a) ** 2) - 1.5 * u(a) * v(b) - v(b) ** 2)
    np.testing.assert_allclose(x, tops, rtol=0, atol=CLIMBED)


@pytest.mark.parametrize("slant", [0.9, -0.9, 0.35])
def test_top_of_a_slanting_ridge_is_found(slant: float, rng: np.random.Generator) -> None:
    # 1000 times as steep across as along: the search's best point may lie far from the top
    tops = rng.uniform(-0.8, 0.8, size=(2, 300))

    def ridge(a: FloatArray, b: FloatArray) -> FloatArray:
        u, v = a[:, np.newaxis] - tops[0], b[:, np.newaxis] - tops[1]
        return -1000 * (v - slant * u) ** 2 - (u + slant * v) ** 2

    np.testing.assert_allclose(found(PLANE, ridge), tops, rtol=0, atol=1e-6)


def test_ridge_that_rises_to_a_bound_is_followed_there() -> None:
    # along b = 0.8 a + c the function rises with a: highest at a = 1, b = 0.8 + c, and beyond
    # b = 1 near the corner
    offsets = np.linspace(-1.2, 0.15, 60)

    def ridge(a: FloatArray, b: FloatArray) -> FloatArray:
        a, b = a[:, np.newaxis], b[:, np.newaxis]
        return -500 * (b - 0.8 * a - offsets) ** 2 + a

    x = found(PLANE, ridge)
    np.testing.assert_array_equal(x[0], 1.0)
    np.testing.assert_allclose(x[1], 0.8 + offsets, rtol=0, atol=1e-6)


def test_ridge_that_curves_upwards_is_climbed_to_its_end() -> None:
    # not concave anywhere: (a + b)² along the ridge a = b
    def ridge(a: FloatArray, b: FloatArray) -> FloatArray:
        return (-200 * (a - b) ** 2 + (a + b + 0.1) ** 2)[:, np.newaxis]

    np.testing.assert_allclose(found(PLANE, ridge), [[1.0], [1.0]], rtol=0, atol=1e-12)


def test_ridge_that_rises_ever_steeper_is_followed_from_within() -> None:
    # concave across, along it the reverse: the search's best point is where its grid meets the
    # narrow ridge, not the end
    offsets = np.linspace(-1.2, 0.15, 60)

    def ridge(a: FloatArray, b: FloatArray) -> FloatArray:
        a, b = a[:, np.newaxis], b[:, np.newaxis]
        return -2000 * (b - 0.8 * a - offsets) ** 2 + 0.1 * (a + 1.2) ** 2

    x = found(PLANE, ridge)
    np.testing.assert_array_equal(x[0], 1.0)
    np.testing.assert_allclose(x[1], 0.8 + offsets, rtol=0, atol=CLIMBED)


def test_maxima_on_the_bounds_of_a_plane_are_found() -> None:
    # unconstrained tops outside the box: the best on the side follows from the other's slope
    tops = np.array([[1.5, -1.4, 0.3, 1.6], [0.2, -0.3, 1.8, 1.7]])

    def hill(a: FloatArray, b: FloatArray) -> FloatArray:
        u, v = a[:, np.newaxis] - tops[0], b[:, np.newaxis] - tops[1]
        return -(u**2) - u * v - v**2

    x = found(PLANE, hill)
    expected = [[1, -1, 0.3 + 0.4, 1], [0.2 + 0.25, -0.3 - 0.2, 1, 1]]
    np.testing.assert_allclose(x, expected, rtol=0, atol=CLIMBED)


def test_maximum_does_not_depend_on_what_else_is_searched(rng: np.random.Generator) -> None:
    values = rng.normal(size=(99, 50))
    once = PLANE.highest(values)
    values[:, ::3] = 0.0
    other = PLANE.highest(values)
    rest = np.arange(50) % 3 != 0
    np.testing.assert_array_equal(once[:, rest], other[:, rest])


def test_no_point_of_a_fine_grid_is_higher(rng: np.random.Generator) -> None:
    smooth = np.exp(-0.5 * (np.add.outer(np.arange(9.0), np.arange(11.0)).reshape(-1, 1)))
    coefficients = rng.normal(size=(99, 40)) * smooth
    grid = np.polynomial.chebyshev.chebvander2d
    ends = [np.array(values) for values in zip(*PLANE.nodes, strict=True)]
    values = grid(*PLANE.coordinates(ends), [8, 10]) @ coefficients
    x = PLANE.highest(values)
    found_values = (grid(*x, [8, 10]) * coefficients.T).sum(axis=1)
    line = np.linspace(-1, 1, 101)
    a, b = (part.ravel() for part in np.meshgrid(line, line))
    assert ((grid(a, b, [8, 10]) @ coefficients).max(axis=0) <= found_values + 1e-9).all()

"""Small matrices of many voxels beside numpy's, one voxel at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.glm.matrices import (
    are_positive_definite,
    cross,
    inverse,
    pair_products,
    product,
    quadratic_form,
    straight,
    to_square,
    to_triangle,
    trace_product,
)

FloatArray = npt.NDArray[np.float64]

#: Both sides in float64, of matrices with a condition of up to 1e4.
CLOSE = 1e-9
SIZES = pytest.mark.parametrize("q", [1, 2, 3, 5])


def matrices(rng: np.random.Generator, q: int, n: int = 6) -> FloatArray:
    """Return positive definite matrices, shape (q, q, n)."""
    roots = rng.normal(size=(n, q, q + 2))
    return np.ascontiguousarray((roots @ roots.transpose(0, 2, 1)).transpose(1, 2, 0))


@SIZES
def test_inverses_are_numpys(q: int, rng: np.random.Generator) -> None:
    square = matrices(rng, q)
    expected = np.linalg.inv(square.transpose(2, 0, 1)).transpose(1, 2, 0)
    scale = np.abs(expected).max(axis=(0, 1))
    np.testing.assert_allclose(inverse(square) / scale, expected / scale, rtol=0, atol=CLOSE)


@SIZES
def test_products_are_numpys(q: int, rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, q, 4)), rng.normal(size=(q, 3, 4))
    np.testing.assert_allclose(product(a, b), np.einsum("iqv,qjv->ijv", a, b), rtol=CLOSE)


@SIZES
def test_quadratic_forms_are_those_of_the_inverse(q: int, rng: np.random.Generator) -> None:
    square, x = matrices(rng, q), rng.normal(size=(q, 6))
    expected = [x[:, v] @ np.linalg.solve(square[:, :, v], x[:, v]) for v in range(6)]
    np.testing.assert_allclose(quadratic_form(square, x), expected, rtol=CLOSE)


@SIZES
def test_triangle_and_square_undo_each_other(q: int, rng: np.random.Generator) -> None:
    square = matrices(rng, q)
    triangle = to_triangle(square)
    assert triangle.shape == (q * (q + 1) // 2, 6)
    np.testing.assert_array_equal(to_square(triangle, q), square)


@SIZES
def test_definiteness_is_that_of_the_eigenvalues(q: int, rng: np.random.Generator) -> None:
    square = matrices(rng, q, 200) - 1.2 * np.eye(q)[..., np.newaxis]
    expected = np.linalg.eigvalsh(square.transpose(2, 0, 1))[:, 0] > 0
    assert 0 < expected.sum() < 200
    np.testing.assert_array_equal(are_positive_definite(square), expected)


def test_matrix_that_is_singular_or_zero_is_not_positive_definite() -> None:
    singular = np.array([[[1.0, 0.0, 1.0]] * 2, [[1.0, 0.0, 1.0]] * 2])
    singular[1, 1, 2] = 2.0
    assert are_positive_definite(singular).tolist() == [False, False, True]


@SIZES
def test_second_moments_by_pairs_are_those_of_matrices(q: int, rng: np.random.Generator) -> None:
    parts = np.stack([matrices(rng, q) for _ in range(4)], axis=2)  # (q, q, n_runs, n_voxels)
    phi, weights = matrices(rng, q), rng.uniform(size=(4, 6))
    pairs = (weights * pair_products(to_triangle(parts))).sum(axis=1)
    crossed = np.einsum("kv,abkv,bcv,cdkv->adv", weights, parts, phi, parts)
    traces = np.einsum("abkv,bav->kv", parts, phi)
    short = to_triangle(phi)
    np.testing.assert_allclose(cross(pairs, short, q), to_triangle(crossed), rtol=CLOSE)
    found = trace_product(straight(pairs, short, q), short, q)
    np.testing.assert_allclose(found, (weights * traces**2).sum(axis=0), rtol=CLOSE)

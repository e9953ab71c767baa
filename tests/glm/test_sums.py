"""Sums over runs."""

from __future__ import annotations

import numpy as np
import pytest

from bids_fx.glm.sums import sum_first, sum_of_all, sums_of_others

#: Some additions of numbers of one sign in float64.
ROUNDING = 1e-14


@pytest.mark.parametrize("n_voxels", [1, 2, 3, 100])
@pytest.mark.parametrize("shape", [(64,), (300, 3)])
def test_sum_goes_row_after_row_whatever_the_number_of_voxels(
    n_voxels: int, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    values = rng.normal(size=(*shape, n_voxels))
    expected = values[0].copy()
    for row in values[1:]:
        expected += row
    np.testing.assert_array_equal(sum_first(values), expected)


def test_single_term_is_left_as_it_is() -> None:
    assert np.signbit(sum_first(np.array([[-0.0, -0.0]]))).all()
    assert np.signbit(sum_first(np.array([[-0.0]]))).all()


@pytest.mark.parametrize("n_runs", [2, 3, 64])
def test_sums_of_others_are_sums_without_each_run(n_runs: int, rng: np.random.Generator) -> None:
    terms = rng.uniform(size=(3, n_runs, 5))
    terms[:, 1] *= 1e15  # a total less this run would keep one digit of the others
    found = sums_of_others(terms)
    for i in range(n_runs):
        expected = np.delete(terms, i, axis=1).sum(axis=1)
        np.testing.assert_allclose(found[:, i], expected, rtol=ROUNDING)


def test_one_run_has_no_others() -> None:
    assert sums_of_others(np.ones((2, 1, 3))).tolist() == [[[0.0] * 3]] * 2


def test_sum_of_all_is_one_sum_per_term(rng: np.random.Generator) -> None:
    terms = rng.uniform(size=(3, 7, 5))
    assert sum_of_all(terms).shape == (3, 1, 5)
    np.testing.assert_allclose(sum_of_all(terms)[:, 0], terms.sum(axis=1), rtol=ROUNDING)

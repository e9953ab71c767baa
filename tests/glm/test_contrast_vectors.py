"""Contrasts against a design: rank, estimability, variance inflation, efficiency."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.glm.contrasts import (
    contrast_inflation,
    contrast_vector,
    design_space,
    efficiency,
    estimability_gap,
    is_estimable,
    variance_inflation,
)

FloatArray = npt.NDArray[np.float64]


@pytest.fixture
def deficient(rng: np.random.Generator) -> FloatArray:
    """Return a design (a, b, copy of b, zeros, constant)."""
    a, b = rng.normal(size=(2, 60))
    return np.column_stack([a, b, b, np.zeros(60), np.ones(60)])


def test_basis_is_orthonormal_and_reproduces_the_design(deficient: FloatArray) -> None:
    space = design_space(deficient)
    assert (space.rank, space.n_scans, space.n_columns) == (3, 60, 5)
    np.testing.assert_allclose(space.basis.T @ space.basis, np.eye(3), atol=1e-13)
    again = space.basis * space.singular_values @ space.row_basis.T * space.scale
    np.testing.assert_allclose(again, deficient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1.0, 1e9, 1e200])
def test_rank_does_not_depend_on_units(unit: float, deficient: FloatArray) -> None:
    deficient[:, [0, 2]] *= unit
    assert design_space(deficient).rank == 3


def test_columns_that_differ_in_the_sixth_digit_are_two(rng: np.random.Generator) -> None:
    a = rng.normal(size=60)
    assert design_space(np.column_stack([a, a + 1e-6 * rng.normal(size=60)])).rank == 2


def test_columns_that_agree_to_nine_digits_are_one(rng: np.random.Generator) -> None:
    a = rng.normal(size=60)
    assert design_space(np.column_stack([a, a + 1e-9 * rng.normal(size=60)])).rank == 1


@pytest.mark.parametrize("unit", [2.0**-700, 2.0**-30, 2.0**500])
def test_efficiency_goes_with_the_square_of_the_unit_to_the_last_bit(
    unit: float, rng: np.random.Generator
) -> None:
    matrix = rng.normal(size=(60, 3))
    weights = np.array([1.0, -0.5, 0.0])
    expected = efficiency(weights, design_space(matrix))
    found = efficiency(weights / unit, design_space(matrix))
    assert found == np.ldexp(expected, 2 * int(np.log2(unit)))


@pytest.mark.parametrize("shape", [(5, 0), (5, 2)])
def test_design_of_nothing_has_rank_zero(shape: tuple[int, int]) -> None:
    space = design_space(np.zeros(shape))
    assert space.rank == 0
    assert space.basis.shape == (5, 0)


@pytest.mark.parametrize("matrix", [np.ones(3), np.array([[1.0, np.nan]])])
def test_what_is_no_finite_matrix_is_refused(matrix: FloatArray) -> None:
    with pytest.raises(ValueError, match="expected a finite matrix"):
        design_space(matrix)


def test_coordinates_give_the_effect_of_least_squares(
    deficient: FloatArray, rng: np.random.Generator
) -> None:
    y = rng.normal(size=60)
    space = design_space(deficient)
    vectors = np.array([[1.0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [2, -0.5, -0.5, 0, 1]])
    expected = vectors @ np.linalg.pinv(deficient) @ y
    np.testing.assert_allclose(
        space.coordinates(vectors) @ (space.basis.T @ y), expected, rtol=1e-11
    )


@pytest.mark.parametrize(
    ("vector", "estimable"),
    [
        ([1, 0, 0, 0, 0], True),
        ([0, 1, 1, 0, 0], True),
        ([3, -1, -1, 0, 2], True),
        ([0, 1, 0, 0, 0], False),
        ([0, 1, -1, 0, 0], False),
        ([1, 1, 0, 0, 0], False),
        ([0, 0, 0, 1, 0], False),
        ([1, 0, 0, -1, 0], False),
        ([0, 0, 0, 0, 0], False),
    ],
)
def test_estimable_is_what_lies_in_the_row_space(
    vector: list[float], estimable: bool, deficient: FloatArray
) -> None:
    assert is_estimable(np.array(vector, dtype=float), design_space(deficient)) is estimable


@pytest.mark.parametrize(("off", "estimable"), [(1e-7, True), (1e-5, False)])
def test_rounding_of_weights_is_forgiven(
    off: float, estimable: bool, deficient: FloatArray
) -> None:
    vector = np.array([0.0, 1.0 + off, 1.0 - off, 0.0, 0.0])
    assert is_estimable(vector, design_space(deficient)) is estimable


def test_gap_of_half_a_duplicate_is_one_over_root_two(deficient: FloatArray) -> None:
    gap = estimability_gap(np.array([0.0, 1, 0, 0, 0]), design_space(deficient))
    np.testing.assert_allclose(gap, np.sqrt(0.5), rtol=1e-12)


def test_gap_of_a_difference_of_duplicates_is_one(deficient: FloatArray) -> None:
    gap = estimability_gap(np.array([0.0, 1, -1, 0, 0]), design_space(deficient))
    np.testing.assert_allclose(gap, 1.0, rtol=1e-12)


def test_gap_of_zeros_is_nan(deficient: FloatArray) -> None:
    assert np.isnan(estimability_gap(np.zeros(5), design_space(deficient)))


@pytest.mark.parametrize("unit", [1e-8, 1e8])
@pytest.mark.parametrize(
    ("vector", "estimable"), [([1, 0, 0, 0, 0], True), ([0, 0, 1, 0, 0], False)]
)
def test_units_of_the_columns_do_not_change_the_verdict(
    unit: float, vector: list[float], estimable: bool, deficient: FloatArray
) -> None:
    deficient[:, 2] *= unit
    deficient[:, 4] /= unit
    assert is_estimable(unit * np.array(vector), design_space(deficient)) is estimable


@pytest.mark.parametrize(("weight", "estimable"), [(3.0, True), (1.0, False), (1 / 3, False)])
def test_copy_in_other_units_counts_by_its_units(
    weight: float, estimable: bool, deficient: FloatArray
) -> None:
    # b and 3 b: only the sum of their effects on the data, beta_b + 3 beta_3b, is known
    deficient[:, 2] *= 3.0
    vector = np.array([0.0, 1.0, weight, 0.0, 0.0])
    assert is_estimable(vector, design_space(deficient)) is estimable


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1.0, 1e6, 1e9])
@pytest.mark.parametrize("lost", [1, 3])
def test_lost_condition_is_seen_beside_a_partner_in_any_units(
    lost: int, unit: float, deficient: FloatArray
) -> None:
    deficient[:, 0] *= unit
    vector = np.zeros(5)
    vector[[0, lost]] = 1.0, -1.0
    assert not is_estimable(vector, design_space(deficient))


def test_gap_wants_one_weight_per_column(deficient: FloatArray) -> None:
    with pytest.raises(ValueError, match=r"expected 5 weights, found shape \(4,\)"):
        estimability_gap(np.ones(4), design_space(deficient))


def test_weights_of_one_column_add_up() -> None:
    vector = contrast_vector([("b", 1.0), ("a", 2.0), ("b", -0.25)], ("a", "b", "c"))
    assert vector.tolist() == [2.0, 0.75, 0.0]


def test_unknown_column_is_refused_with_the_closest() -> None:
    with pytest.raises(ValueError, match=r"column 'hause' \(did you mean 'house'"):
        contrast_vector([("hause", 1.0)], ("face", "house"))


def test_inflation_of_two_columns_is_one_over_one_minus_squared_correlation(
    rng: np.random.Generator,
) -> None:
    a, b = rng.normal(3.0, 1.0, size=(2, 80))
    r = np.corrcoef(a, a + b)[0, 1]
    factors = variance_inflation(np.column_stack([a, 10 * (a + b), np.full(80, 5.0)]))
    np.testing.assert_allclose(factors, [1 / (1 - r**2), 1 / (1 - r**2), np.nan], rtol=1e-10)


def test_inflation_is_about_zero_in_a_design_without_constant() -> None:
    matrix = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    # cosine of the two columns is 1 / sqrt(2)
    np.testing.assert_allclose(variance_inflation(matrix), [2.0, 2.0], rtol=1e-12)


def test_inflation_is_infinite_for_those_that_are_collinear_alone(
    deficient: FloatArray, rng: np.random.Generator
) -> None:
    factors = variance_inflation(deficient)
    assert np.isinf(factors[1:3]).all()
    assert np.isnan(factors[3:]).all()
    one_of_both = deficient[:, [0, 1, 4]]
    np.testing.assert_allclose(factors[0], variance_inflation(one_of_both)[0], rtol=1e-10)


def test_inflation_is_that_of_regressing_each_column_on_the_others(
    rng: np.random.Generator,
) -> None:
    matrix = np.column_stack([rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)), np.ones(50)])
    expected = []
    for j in range(4):
        others = np.delete(matrix, j, axis=1)
        rest = matrix[:, j] - others @ np.linalg.lstsq(others, matrix[:, j], rcond=None)[0]
        expected.append(np.var(matrix[:, j]) * 50 / (rest @ rest))
    np.testing.assert_allclose(variance_inflation(matrix)[:4], expected, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1e9, 1e200])
def test_inflation_does_not_depend_on_units(unit: float, rng: np.random.Generator) -> None:
    matrix = np.column_stack([rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)), np.ones(50)])
    expected = variance_inflation(matrix)
    matrix[:, [0, 3]] *= unit
    np.testing.assert_allclose(variance_inflation(matrix), expected, rtol=1e-9)


def inflation(vector: list[float], matrix: FloatArray) -> float:
    return contrast_inflation(np.array(vector, dtype=float), matrix, design_space(matrix))


def pair(r: float, sizes: tuple[float, float], mean: float = 0.0) -> FloatArray:
    """Return two columns of correlation r and given norms about their means, and a constant."""
    a, b = np.array([[1.0, -1, 1, -1], [1.0, 1, -1, -1]]) / 2
    b = r * a + np.sqrt(1 - r**2) * b
    return np.column_stack([mean + sizes[0] * a, mean + sizes[1] * b, np.ones(4)])


@pytest.mark.parametrize("vector", [[1, 0, 0], [1, -1, 0], [0.3, 7, 0]])
def test_contrast_in_an_orthogonal_design_is_not_inflated(vector: list[float]) -> None:
    assert inflation(vector, pair(0.0, (1.0, 5.0), mean=3.0)) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("r", [-0.8, 0.3, 0.95])
def test_inflation_of_difference_and_sum_has_a_closed_form(r: float) -> None:
    matrix = pair(r, (2.0, 2.0), mean=-1.0)
    assert inflation([1, -1, 0], matrix) == pytest.approx(1 / (1 - r), rel=1e-10)
    assert inflation([1, 1, 0], matrix) == pytest.approx(1 / (1 + r), rel=1e-10)


def test_inflation_weighs_columns_of_unequal_size_as_the_contrast_does() -> None:
    r, a, b = 0.6, 2.0, 5.0
    joint = (9 / a**2 + 1 / b**2 + 2 * 3 * r / (a * b)) / (1 - r**2)
    expected = joint / (9 / a**2 + 1 / b**2)
    assert inflation([3, -1, 0], pair(r, (a, b))) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("has_constant", [True, False])
def test_inflation_of_one_column_is_that_of_the_column(
    has_constant: bool, rng: np.random.Generator
) -> None:
    matrix = 2 + rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4))
    if has_constant:
        matrix = np.column_stack([matrix, np.full(50, 0.1)])
    factors = variance_inflation(matrix)
    for j in range(4):
        vector = np.zeros(matrix.shape[1])
        vector[j] = -2.5
        assert inflation(vector.tolist(), matrix) == pytest.approx(factors[j], rel=1e-9)


def test_inflation_of_what_is_estimable_does_not_mind_lost_rank(deficient: FloatArray) -> None:
    one_of_both = deficient[:, [0, 1, 4]]
    found = inflation([1, 0, 0, 0, 0], deficient)
    assert found == pytest.approx(inflation([1, 0, 0], one_of_both), rel=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1e9, 1e200])
def test_inflation_of_a_contrast_does_not_depend_on_units(
    unit: float, rng: np.random.Generator
) -> None:
    matrix = np.column_stack([rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)), np.ones(50)])
    expected = inflation([1, -1, 0, 0], matrix)
    matrix[:, :2] *= unit
    assert inflation([1, -1, 0, 0], matrix) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "vector",
    [[0, 1, 0, 0, 0], [0, 1, -1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]],
)
def test_inflation_is_nan_for_what_cannot_be_estimated_and_for_constants(
    vector: list[float], deficient: FloatArray
) -> None:
    assert np.isnan(inflation(vector, deficient))


def test_inflation_wants_one_weight_per_column(deficient: FloatArray) -> None:
    with pytest.raises(ValueError, match=r"expected 5 weights, found shape \(4,\)"):
        inflation([1, 0, 0, 0], deficient)


def test_efficiency_of_a_difference_of_two_blocks() -> None:
    matrix = np.kron(np.eye(2), np.ones((8, 1)))
    assert efficiency(np.array([1.0, -1.0]), design_space(matrix)) == pytest.approx(4.0)


def test_efficiency_is_one_over_the_variance_also_where_rank_is_lost(
    deficient: FloatArray,
) -> None:
    vector = np.array([1.0, -1.0, -1.0, 0.0, 0.0])
    expected = 1 / (vector @ np.linalg.pinv(deficient.T @ deficient) @ vector)
    assert efficiency(vector, design_space(deficient)) == pytest.approx(expected, rel=1e-9)


def test_efficiency_of_what_cannot_be_estimated_is_nan(deficient: FloatArray) -> None:
    assert np.isnan(efficiency(np.array([0.0, 1, 0, 0, 0]), design_space(deficient)))

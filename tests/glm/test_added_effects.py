"""Sums of combinations: closed forms, generalised least squares, calibration, coverage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.glm import combined
from bids_fx.glm.combined import GAVE_WAY, combined_maps, summed_maps
from bids_fx.glm.fixed_effects import CombinedEffects, add_effects, combine
from bids_fx.glm.names import COMBINATIONS

FloatArray = npt.NDArray[np.float64]

#: Closed forms in float64.
EXACT = 1e-13
#: Degrees of freedom at which variances are as good as known, to 1e-11.
KNOWN = 1e12
#: Solving the normal equations of a few runs in float64.
SOLVED = 1e-9


def one(effect: float, variance: float, dof: float) -> CombinedEffects:
    """Return the combination of a run alone, which is that run."""
    return combine([[effect]], [[variance]], [[dof]], combination="weighted")


def test_effects_variances_and_satterthwaites_degrees_of_freedom_equal_the_closed_form() -> None:
    # 2 * 1.5 - 3 * 0.5, of the variances 0.25 and 1 times the squared weights 4 and 9
    both = add_effects([one(2 * 1.5, 4 * 0.25, 10.0), one(-3 * 0.5, 9 * 1.0, 30.0)])
    np.testing.assert_allclose(both.effect, [1.5], rtol=EXACT)
    np.testing.assert_allclose(both.variance, [10.0], rtol=EXACT)
    # 10² / (1² / 10 + 9² / 30)
    np.testing.assert_allclose(both.dof, [100 / 2.8], rtol=EXACT)
    assert both.n_runs.tolist() == [2]


def test_a_single_part_is_that_part(rng: np.random.Generator) -> None:
    part = combine(
        rng.normal(size=(3, 20)),
        rng.uniform(0.2, 3, (3, 20)),
        rng.uniform(15, 90, (3, 20)),
        combination="weighted",
    )
    added = add_effects([part])
    np.testing.assert_array_equal(added.effect, part.effect)
    np.testing.assert_array_equal(added.variance, part.variance)
    np.testing.assert_allclose(added.dof, part.dof, rtol=EXACT)
    np.testing.assert_array_equal(added.n_runs, part.n_runs)


def test_a_contrast_of_weighted_means_is_that_of_generalised_least_squares(
    rng: np.random.Generator,
) -> None:
    cells, weights = ([0, 2, 5], [1, 4], [3]), (1.0, -0.5, -0.5)
    effects, variances = rng.normal(size=(6, 1)), rng.uniform(0.2, 4.0, (6, 1))
    factors = np.empty((6, 1))
    design = np.zeros((6, 3))
    for column, (rows, weight) in enumerate(zip(cells, weights, strict=True)):
        design[rows, column] = 1.0
        factors[rows] = weight
    found = summed_maps(
        effects * factors,
        variances * factors**2,
        np.full((6, 1), KNOWN),
        cells=cells,
        combination="weighted",
    )
    inverse = np.diag(1 / variances[:, 0])
    unscaled = np.linalg.inv(design.T @ inverse @ design)
    means = unscaled @ design.T @ inverse @ effects[:, 0]
    c = np.array(weights)
    np.testing.assert_allclose(found["effect"], [c @ means], rtol=SOLVED)
    np.testing.assert_allclose(found["variance"], [c @ unscaled @ c], rtol=SOLVED)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_variance_and_its_spread_are_those_of_drawn_runs(
    combination: str, rng: np.random.Generator
) -> None:
    n, dofs = 200_000, np.array([[24.0], [40.0], [30.0], [20.0]])
    true = np.array([[1.0], [0.5], [2.0], [0.25]])
    effects = rng.standard_normal((4, n)) * np.sqrt(true)
    variances = true * rng.chisquare(dofs, (4, n)) / dofs
    maps = summed_maps(effects, variances, dofs, cells=[[0, 1], [2, 3]], combination=combination)
    # Some four standard errors of a variance over so many draws, and of Meier's own remainder.
    assert maps["effect"].var() == pytest.approx(maps["variance"].mean(), rel=0.015)
    false = (maps["p"] < 0.005).mean()
    assert false == pytest.approx(0.005, abs=4 * np.sqrt(0.005 / n) + 0.0003)


def test_a_voxel_is_covered_where_every_part_is() -> None:
    nan = np.nan
    effects = np.array([[1.0, nan, 1.0, nan], [2.0, 2.0, nan, nan], [3.0, 3.0, 3.0, nan]])
    maps = summed_maps(
        effects,
        np.ones((3, 4)),
        np.full((3, 1), 50.0),
        cells=[[0, 1], [2]],
        combination="weighted",
    )
    np.testing.assert_allclose(maps["effect"], [4.5, 5.0, 4.0, nan], rtol=EXACT)
    assert maps["nruns"].tolist() == [3, 2, 2, 0]
    apart = summed_maps(
        effects,
        np.ones((3, 4)),
        np.full((3, 1), 50.0),
        cells=[[0], [1]],
        combination="weighted",
    )
    assert np.isfinite(apart["z"]).tolist() == [True, False, False, False]
    assert apart["nruns"].tolist() == [2, 0, 0, 0]


def test_where_weights_give_way_in_any_part_is_told() -> None:
    dofs = np.array([[50.0, 50.0], [50.0, 6.0], [6.0, 50.0]])
    maps = summed_maps(
        np.ones((3, 2)), np.ones((3, 2)), dofs, cells=[[0, 1], [2]], combination="weighted"
    )
    assert maps[GAVE_WAY].tolist() == [0, 1]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_one_part_of_all_runs_has_the_maps_of_their_mean(
    combination: str, rng: np.random.Generator
) -> None:
    runs = rng.normal(size=(4, 30)), rng.uniform(0.2, 3, (4, 30)), rng.uniform(15, 90, (4, 30))
    whole = combined_maps(*runs, combination=combination)
    found = summed_maps(*runs, cells=[[0, 1, 2, 3]], combination=combination)
    assert set(found) == {*("effect", "variance", "t", "z", "p", "logp", "dof", "nruns"), GAVE_WAY}
    for stat, values in found.items():
        np.testing.assert_allclose(values, whole[stat], rtol=1e-12, err_msg=stat)


def test_blocks_change_no_bit(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = rng.normal(size=(3, 50)), rng.uniform(0.2, 3, (3, 50)), rng.uniform(15, 90, (3, 50))
    whole = summed_maps(*runs, cells=[[0, 2], [1]], combination="weighted")
    monkeypatch.setattr(combined, "BLOCK", 1)
    parts = summed_maps(*runs, cells=[[0, 2], [1]], combination="weighted")
    for stat, values in whole.items():
        np.testing.assert_array_equal(parts[stat], values, err_msg=stat)


def test_variances_of_any_size_add_up() -> None:
    for size in (1e-200, 1e200):
        both = add_effects([one(1.0, size, 10.0), one(1.0, size, 10.0)])
        np.testing.assert_allclose(both.dof, [20.0], rtol=EXACT)
        np.testing.assert_allclose(both.variance, [2 * size], rtol=EXACT)


def test_nothing_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="nothing to add"):
        add_effects([])


def test_means_of_sessions_with_equal_numbers_of_runs_are_the_mean_of_the_runs(
    rng: np.random.Generator,
) -> None:
    effects, variances = rng.normal(size=(4, 25)), rng.uniform(0.2, 3, (4, 25))
    dofs = rng.uniform(15, 90, (4, 25))
    direct = combine(effects, variances, dofs, combination="unweighted")
    chained = through_sessions(effects, variances, dofs, "unweighted")
    for name in ("effect", "variance", "dof"):
        np.testing.assert_allclose(
            getattr(chained, name), getattr(direct, name), rtol=EXACT, err_msg=name
        )


def test_weighted_means_through_sessions_are_those_of_runs_of_known_variance(
    rng: np.random.Generator,
) -> None:
    effects, variances = rng.normal(size=(4, 25)), rng.uniform(0.2, 3, (4, 25))
    direct, chained = (
        way(effects, variances, np.full((4, 25), KNOWN), "weighted")
        for way in (at_once, through_sessions)
    )
    np.testing.assert_allclose(chained.effect, direct.effect, rtol=SOLVED)
    np.testing.assert_allclose(chained.variance, direct.variance, rtol=SOLVED)
    few = [
        way(effects, variances, np.full((4, 25), 20.0), "weighted")
        for way in (at_once, through_sessions)
    ]
    # The sessions' variances hold what their weights cost, so that both weights differ a little.
    assert np.abs(few[0].variance / few[1].variance - 1).max() > 1e-3


def at_once(
    effects: FloatArray, variances: FloatArray, dofs: FloatArray, combination: str
) -> CombinedEffects:
    return combine(effects, variances, dofs, combination=combination)


def through_sessions(
    effects: FloatArray, variances: FloatArray, dofs: FloatArray, combination: str
) -> CombinedEffects:
    """Combine the first two runs and the last two, then both results."""
    sessions = [at_once(effects[s], variances[s], dofs[s], combination) for s in ([0, 1], [2, 3])]
    stacked = (np.stack([getattr(s, n) for s in sessions]) for n in ("effect", "variance", "dof"))
    return at_once(*stacked, combination)

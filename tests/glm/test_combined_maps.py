"""The maps of a combination: names, and what they hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.glm import combined
from bids_fx.glm.combined import combined_f_maps, combined_maps
from bids_fx.glm.fixed_effects import combine
from bids_fx.glm.joint import combine_rows
from bids_fx.glm.names import COMBINATIONS
from bids_fx.glm.tails import f_statistics, t_statistics

FloatArray = npt.NDArray[np.float64]
Runs = tuple[FloatArray, FloatArray, FloatArray]


@pytest.fixture
def runs(rng: np.random.Generator) -> Runs:
    """Return three runs of ten voxels; no run covers voxel 4, one voxel 5, two voxel 6."""
    effects, variances = 3 + rng.normal(size=(3, 10)), rng.uniform(0.1, 2, (3, 10))
    effects[:, 4] = np.nan
    variances[1:, 5] = 0.0
    effects[0, 6] = np.nan
    return effects, variances, np.full((3, 10), 40.0)


@pytest.fixture
def rows(runs: Runs, rng: np.random.Generator) -> Runs:
    """Return three runs of two rows, covered as the runs of one row are."""
    effects, variances, dofs = runs
    covariances = np.array([1.0, -0.4, 1.5])[:, np.newaxis] * variances[:, np.newaxis]
    return np.stack([effects, rng.normal(size=(3, 10))], axis=1), covariances, dofs


def test_maps_of_t_hold_every_statistic(runs: Runs) -> None:
    found = combined_maps(*runs, combination="weighted")
    assert set(found) == {
        *("effect", "variance", "t", "z", "p", "logp", "dof", "nruns", "gaveway"),
        *("q", "qp", "isq", "tau2", "zchange", "zchangerun"),
    }
    assert found["nruns"].tolist() == [3, 3, 3, 3, 0, 1, 2, 3, 3, 3]
    for name in ("effect", "variance", "t", "z", "p", "logp", "dof"):
        assert np.flatnonzero(np.isnan(found[name])).tolist() == [4], name
    for name in ("q", "qp", "isq", "tau2", "zchange"):
        assert np.flatnonzero(np.isnan(found[name])).tolist() == [4, 5], name
    assert np.flatnonzero(found["zchangerun"] == 0).tolist() == [4, 5]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_maps_of_t_are_the_combinations(combination: str, runs: Runs) -> None:
    found = combined_maps(*runs, combination=combination)
    expected = combine(*runs, combination=combination)
    statistics = t_statistics(expected.effect, expected.variance, expected.dof)
    for name in ("t", "z", "p", "logp"):
        np.testing.assert_array_equal(found[name], getattr(statistics, name), err_msg=name)
    names = dict.fromkeys(("effect", "variance", "dof", "q", "isq", "tau2"))
    for name, field in {**{n: n for n in names}, "nruns": "n_runs", "qp": "q_p"}.items():
        np.testing.assert_array_equal(found[name], getattr(expected, field), err_msg=name)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_change_is_the_largest_that_leaving_out_one_run_makes(
    combination: str, runs: Runs
) -> None:
    found = combined_maps(*runs, combination=combination)
    less = [
        found["z"]
        - combined_maps(*(np.delete(p, i, 0) for p in runs), combination=combination)["z"]
        for i in range(3)
    ]
    assert len(set(found["zchangerun"])) > 2
    for v in (0, 1, 2, 3, 6, 7, 8, 9):
        run = int(found["zchangerun"][v]) - 1
        np.testing.assert_allclose(found["zchange"][v], less[run][v], rtol=1e-9)
        assert abs(less[run][v]) >= np.nanmax(np.abs([change[v] for change in less])) - 1e-12


def test_maps_of_f_hold_every_statistic(rows: Runs) -> None:
    found = combined_f_maps(*rows, combination="weighted")
    assert set(found) == {
        *("effect", "covariance", "F", "z", "p", "logp", "dof", "nruns", "gaveway"),
        *("zchange", "zchangerun"),
    }
    assert [found["effect"].shape, found["covariance"].shape] == [(2, 10), (3, 10)]
    assert found["nruns"].tolist() == [3, 3, 3, 3, 0, 1, 2, 3, 3, 3]
    for name in ("F", "z", "p", "logp", "dof"):
        assert np.flatnonzero(np.isnan(found[name])).tolist() == [4], name
    assert np.flatnonzero(np.isnan(found["zchange"])).tolist() == [4, 5]
    assert np.flatnonzero(found["zchangerun"] == 0).tolist() == [4, 5]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_maps_of_f_are_the_combinations(combination: str, rows: Runs) -> None:
    found = combined_f_maps(*rows, combination=combination)
    expected = combine_rows(*rows, combination=combination)
    statistics = f_statistics(expected.f, 2, expected.dof)
    for name, field in {"F": "f", "z": "z", "p": "p", "logp": "logp"}.items():
        np.testing.assert_array_equal(found[name], getattr(statistics, field), err_msg=name)
    for name in ("effect", "covariance", "dof"):
        np.testing.assert_array_equal(found[name], getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_change_of_f_is_the_largest_that_leaving_out_one_run_makes(
    combination: str, rows: Runs
) -> None:
    found = combined_f_maps(*rows, combination=combination)
    less = [
        found["z"]
        - combined_f_maps(*(np.delete(p, i, 0) for p in rows), combination=combination)["z"]
        for i in range(3)
    ]
    for v in (0, 1, 2, 3, 6, 7, 8, 9):
        run = int(found["zchangerun"][v]) - 1
        np.testing.assert_allclose(found["zchange"][v], less[run][v], rtol=1e-9)
        assert abs(less[run][v]) >= np.nanmax(np.abs([change[v] for change in less])) - 1e-12


@pytest.mark.parametrize("block", [1, 400, 2000])
def test_no_map_depends_on_the_blocks(
    block: int, runs: Runs, rows: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = combined_maps(*runs, combination="weighted")
    whole_f = combined_f_maps(*rows, combination="weighted")
    monkeypatch.setattr(combined, "BLOCK", block)
    for once, other in (
        (whole, combined_maps(*runs, combination="weighted")),
        (whole_f, combined_f_maps(*rows, combination="weighted")),
    ):
        for name, values in once.items():
            np.testing.assert_array_equal(other[name], values, err_msg=name)


def many_runs(rng: np.random.Generator, n_runs: int, q: int) -> Runs:
    """Return float32 runs of 2003 voxels and q rows, some uncovered and some with few dof."""
    n_voxels = 2003
    root = rng.normal(size=(q, 2 * q))
    spread = (root @ root.T)[np.triu_indices(q)][:, np.newaxis]
    covariances = spread * rng.uniform(0.5, 2, (n_runs, 1, n_voxels))
    effects, dofs = rng.normal(size=(n_runs, q, n_voxels)), rng.uniform(9, 300, (n_runs, n_voxels))
    effects[:, :, :40], effects[0, 0, 20:90], dofs[-1, 60:700] = np.nan, np.nan, 7.0
    effects[1:, 0, 80:100] = np.nan
    effects, covariances, dofs = (p.astype(np.float32) for p in (effects, covariances, dofs))
    return effects, covariances, dofs


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("size", [1, 7, 1000, 2002])
@pytest.mark.parametrize(("n_runs", "q"), [(1, 1), (2, 1), (19, 1), (2, 2), (3, 5), (19, 2)])
def test_voxels_may_be_split_anywhere_without_changing_a_bit(
    n_runs: int, q: int, size: int, combination: str, rng: np.random.Generator
) -> None:
    parts = many_runs(rng, n_runs, q)
    functions = [(combined_f_maps, parts)]
    if q == 1:
        functions.append((combined_maps, (parts[0][:, 0], parts[1][:, 0], parts[2])))
    # numpy sums a single voxel's rows in another order; a hundred of them show that
    stop = 140 if size == 1 else 2003
    for function, stacks in functions:
        whole = function(*stacks, combination=combination)
        pieces = [
            function(*(p[..., i : min(i + size, stop)] for p in stacks), combination=combination)
            for i in range(0, stop, size)
        ]
        for stat, values in whole.items():
            joined = np.concatenate([piece[stat] for piece in pieces], axis=-1)
            np.testing.assert_array_equal(joined, values[..., :stop], err_msg=stat)


def test_float32_files_are_combined_in_float64(runs: Runs, rows: Runs) -> None:
    short = [part.astype(np.float32) for part in runs]
    for name, values in combined_maps(*short, combination="weighted").items():
        wide = combined_maps(*(p.astype(np.float64) for p in short), combination="weighted")
        np.testing.assert_array_equal(values, wide[name], err_msg=name)
        assert values.dtype == np.float64, name
    short = [part.astype(np.float32) for part in rows]
    for name, values in combined_f_maps(*short, combination="weighted").items():
        assert values.dtype == np.float64, name


def test_one_number_of_degrees_of_freedom_per_run_does(runs: Runs, rows: Runs) -> None:
    one = np.full((3, 1), 40.0)
    for function, parts in ((combined_maps, runs), (combined_f_maps, rows)):
        full = function(*parts, combination="weighted")
        for name, values in function(*parts[:2], one, combination="weighted").items():
            np.testing.assert_array_equal(values, full[name], err_msg=name)


def test_no_voxel_makes_empty_maps(runs: Runs, rows: Runs) -> None:
    none = combined_maps(*(part[..., :0] for part in runs), combination="weighted")
    assert {values.shape for values in none.values()} == {(0,)}
    none = combined_f_maps(*(part[..., :0] for part in rows), combination="weighted")
    assert [none["effect"].shape, none["covariance"].shape, none["F"].shape] == [
        (2, 0),
        (3, 0),
        (0,),
    ]


def test_variances_of_other_voxels_are_refused(runs: Runs) -> None:
    with pytest.raises(ValueError, match="one shape"):
        combined_maps(runs[0], runs[1][:, :7], runs[2], combination="weighted")

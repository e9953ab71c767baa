"""Residuals scan by scan, of series whose residuals are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.dataset.stored import StoredMatrix
from bids_fx.glm.carpet import (
    CARPET_PIECE,
    CARPET_ROWS,
    CARPET_VOXELS,
    Residuals,
    sample_residuals,
)

FloatArray = npt.NDArray[np.float64]
N_SCANS = 50


@pytest.fixture
def basis(rng: np.random.Generator) -> FloatArray:
    columns = np.column_stack([np.ones(N_SCANS), rng.standard_normal((N_SCANS, 3))])
    return np.linalg.qr(columns)[0]


def sds(Y: npt.NDArray[np.floating], basis: FloatArray) -> FloatArray:
    left = Y - basis @ (basis.T @ Y)
    return np.sqrt((left**2).sum(axis=0) / (basis.shape[0] - basis.shape[1]))


def sampled(Y, basis: FloatArray, **options: object) -> Residuals:
    scans = options.pop("scans", np.arange(len(basis)))
    return sample_residuals(Y, basis, sds(np.asarray(Y), basis), scans, **options)


def test_means_over_voxels_are_those_of_the_scaled_residuals(rng, basis) -> None:
    Y = rng.standard_normal((N_SCANS, 90)) * rng.uniform(1, 9, 90)
    left = (Y - basis @ (basis.T @ Y)) / sds(Y, basis)
    found = sampled(Y, basis)
    np.testing.assert_allclose(found.mean, left.mean(axis=1), atol=1e-6)  # float32
    np.testing.assert_allclose(found.sd, left.std(axis=1), rtol=1e-6)
    changes = np.sqrt((np.diff(left, axis=0) ** 2).mean(axis=1))
    np.testing.assert_allclose(found.dvars, [np.nan, *changes], rtol=1e-6)
    assert found.n_voxels == 90


def test_a_spike_is_a_bright_column_at_its_scan(rng, basis) -> None:
    Y = rng.standard_normal((N_SCANS, 3000))
    Y[17] += 6.0
    found = sampled(Y, basis)
    assert found.carpet.shape == (CARPET_ROWS, N_SCANS)
    assert (found.carpet.argmax(axis=1) == 17).mean() > 0.99
    assert found.mean.argmax() == 17


def test_rows_that_go_along_with_the_mean_are_on_top(rng, basis) -> None:
    shared = rng.standard_normal(N_SCANS)
    weights = np.zeros(1000)
    weights[::2] = 5.0
    Y = rng.standard_normal((N_SCANS, 1000)) + shared[:, None] * weights
    found = sampled(Y, basis)
    left = shared - basis @ (basis.T @ shared)
    likeness = [np.corrcoef(row, left)[0, 1] for row in found.carpet]
    assert min(likeness[:100]) > 0.95
    assert max(likeness[100:]) < 0.9


def test_rows_against_the_mean_are_at_the_bottom(rng, basis) -> None:
    shared = rng.standard_normal(N_SCANS)
    Y = 0.1 * rng.standard_normal((N_SCANS, 600)) + shared[:, None]
    Y[:, 100:200] -= 2 * shared[:, None]
    found = sampled(Y, basis)
    left = shared - basis @ (basis.T @ shared)
    signs = np.sign(found.carpet @ left)
    assert signs.tolist() == sorted(signs, reverse=True)
    assert (signs < 0).sum() == round(CARPET_ROWS / 6)


def test_every_row_has_a_root_mean_square_of_one(rng, basis) -> None:
    found = sampled(rng.standard_normal((N_SCANS, 1000)), basis)
    np.testing.assert_allclose((found.carpet**2).mean(axis=1), 1.0)


def test_changes_across_missing_scans_are_none(rng, basis) -> None:
    scans = np.delete(np.arange(N_SCANS + 2), [4, 30])
    found = sampled(rng.standard_normal((N_SCANS, 50)), basis, scans=scans)
    assert np.flatnonzero(np.isnan(found.dvars)).tolist() == [0, 4, 29]


def test_a_mean_that_was_taken_out_is_put_back(rng, basis) -> None:
    Y, mean = rng.standard_normal((N_SCANS, 40)), rng.uniform(50, 60, 40)
    bent = np.linalg.qr(rng.standard_normal((N_SCANS, 2)))[0]  # without a constant
    sd = sds(Y + mean, bent)
    whole = sample_residuals(Y + mean, bent, sd, np.arange(N_SCANS))
    apart = sample_residuals(Y, bent, sd, np.arange(N_SCANS), offset=mean)
    np.testing.assert_array_equal(apart.carpet, whole.carpet)


@pytest.mark.parametrize("n_voxels", [7, CARPET_VOXELS + 1234])
def test_threads_pieces_and_the_disk_change_no_bit(n_voxels, rng, basis, tmp_path) -> None:
    Y = rng.standard_normal((N_SCANS, n_voxels)).astype(np.float32)
    stored = StoredMatrix(tmp_path, Y.shape)
    for row, values in enumerate(Y):
        stored[row] = values
    sd, scans = sds(Y, basis), np.arange(N_SCANS)
    first = sample_residuals(Y, basis, sd, scans)
    for matrix, n_threads in ((Y, 3), (stored, 1), (np.asfortranarray(Y), 2)):
        again = sample_residuals(matrix, basis, sd, scans, n_threads=n_threads)
        assert again.n_voxels == min(n_voxels, CARPET_VOXELS)
        for name in ("carpet", "mean", "sd", "dvars"):
            np.testing.assert_array_equal(getattr(again, name), getattr(first, name))


def test_voxels_that_were_not_fitted_do_not_count(rng, basis) -> None:
    Y = rng.standard_normal((N_SCANS, 30))
    sd = sds(Y, basis)
    Y[:, 4], sd[4], sd[9] = np.nan, np.nan, 0.0
    found = sample_residuals(Y, basis, sd, np.arange(N_SCANS))
    others = np.delete(Y, [4, 9], axis=1)
    np.testing.assert_array_equal(found.carpet, sampled(others, basis).carpet)
    assert found.n_voxels == 28


def test_without_any_fitted_voxel_there_is_nothing(basis) -> None:
    Y = np.zeros((N_SCANS, 5))
    found = sample_residuals(Y, basis, np.full(5, np.nan), np.arange(N_SCANS))
    assert found.carpet.shape == (0, N_SCANS)
    assert np.isnan(found.sd).all()
    assert found.measures() == {"residual_sd_max": None, "residual_dvars_mean": None}


def test_measures_of_white_noise_are_what_the_projection_leaves_of_it(rng, basis) -> None:
    measures = sampled(rng.standard_normal((N_SCANS, 6000)), basis).measures()
    left = np.eye(N_SCANS) - basis @ basis.T
    spread = np.diag(left)
    changes = np.sqrt(spread[1:] + spread[:-1] - 2 * np.diag(left, 1))
    assert measures["residual_dvars_mean"] == pytest.approx(changes.mean(), rel=0.01)  # sampling
    assert measures["residual_sd_max"] == pytest.approx(np.sqrt(spread.max()), rel=0.03)


def test_the_sample_is_a_whole_number_of_voxels_for_each_row() -> None:
    assert CARPET_VOXELS % CARPET_ROWS == 0
    assert CARPET_VOXELS % CARPET_PIECE == 0

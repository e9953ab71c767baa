"""A run that is kept elsewhere than in an array is fitted like one, and read as little."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.glm.contrasts import design_space
from bids_fx.glm.design import Column, Design
from bids_fx.glm.maps import ContrastRows, run_maps
from bids_fx.glm.names import NOISE_MODELS
from bids_fx.glm.noise import SAMPLED_VOXELS, RunFit, fit_run
from tests.dense_reml import noise

FloatArray = npt.NDArray[np.float64]

N_SCANS, N_VOXELS, BLOCK = 60, 150, 64
IN_EVERY_MODEL = pytest.mark.parametrize("noise_model", NOISE_MODELS)


class Kept:
    """A float32 matrix that has a shape, gives columns and notes which; and no more than that."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self._values = values
        self.read: list[list[int]] = []

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    def __getitem__(self, key: tuple[slice, Any]) -> npt.NDArray[np.float32]:
        scans, voxels = key
        assert scans == slice(None)
        places = np.arange(self.shape[1])[voxels]
        assert (np.diff(places) > 0).all()
        self.read.append(places.tolist())
        return self._values[:, places]


@pytest.fixture
def values(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return autocorrelated series, of which one is constant and one holds no number."""
    series = noise(rng, N_SCANS, N_VOXELS, 0.4).astype(np.float32)
    series[:, 5], series[7, 9] = 2.0, np.nan
    return series


def fit(Y: Any, noise_model: str, n_threads: int = 1) -> RunFit:
    """Fit a trend and the constant."""
    X = np.column_stack([np.linspace(-1, 1, N_SCANS), np.ones(N_SCANS)])
    return fit_run(
        *(Y, design_space(X), [np.eye(1, 2), np.eye(2)]),
        baseline=design_space(X[:, 1:]),
        noise_model=noise_model,
        n_threads=n_threads,
        block_size=BLOCK,
    )


@IN_EVERY_MODEL
def test_fit_of_a_kept_matrix_is_that_of_the_array(
    noise_model: str, values: npt.NDArray[np.float32]
) -> None:
    found, expected = fit(Kept(values), noise_model), fit(values, noise_model)
    for name in ("sigmasq", "rsquared", "residual_sd"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    for name, parameter in expected.noise.items():
        np.testing.assert_array_equal(found.noise[name], parameter, name)
    for one, other in zip(found.contrasts, expected.contrasts, strict=True):
        for name in ("effects", "covariance", "dof"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    assert found.whiteness == expected.whiteness


@IN_EVERY_MODEL
@pytest.mark.parametrize("n_threads", [1, 3])
def test_every_voxel_is_read_once_and_the_sample_in_one_go(
    noise_model: str, n_threads: int, values: npt.NDArray[np.float32]
) -> None:
    kept = Kept(values)
    fit(kept, noise_model, n_threads)
    *blocks, sample = kept.read
    assert sorted(blocks) == [list(range(i, min(i + BLOCK, N_VOXELS))) for i in (0, 64, 128)]
    assert sample == [v for v in range(N_VOXELS) if v not in {5, 9}]


def test_sample_of_a_large_kept_matrix_is_small(rng: np.random.Generator) -> None:
    kept = Kept(rng.normal(size=(N_SCANS, 3 * SAMPLED_VOXELS)).astype(np.float32))
    fit(kept, "ols")
    assert len(kept.read[-1]) == SAMPLED_VOXELS


def test_maps_of_a_kept_matrix_are_those_of_the_array(values: npt.NDArray[np.float32]) -> None:
    columns = (Column(name="face", role="condition"), Column(name="constant", role="constant"))
    matrix = np.column_stack([np.sin(np.arange(N_SCANS)), np.ones(N_SCANS)])
    contrasts = {"face": ContrastRows(test="t", rows=((("face", 1.0),),))}
    found, expected = (
        run_maps(
            *(Y, np.full(N_VOXELS, 100.0), Design(matrix=matrix, columns=columns), contrasts),
            noise_model="ar1",
            signal_scaling="psc",
        )
        for Y in (Kept(values), values)
    )
    for one, other in (
        (found.model, expected.model),
        (found.contrasts["face"], expected.contrasts["face"]),
    ):
        for stat, map_ in other.items():
            np.testing.assert_array_equal(one[stat], map_, stat)


@IN_EVERY_MODEL
def test_pieces_of_a_block_are_fitted_as_the_whole(
    noise_model: str, values: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = np.linspace(50, 90, N_VOXELS)
    X = np.linspace(-1, 1, N_SCANS)[:, np.newaxis]  # without a constant, so that offsets count

    def found() -> RunFit:
        return fit_run(
            *(values, design_space(X), [np.eye(1)]),
            baseline=design_space(X[:, :0]),
            noise_model=noise_model,
            offset=offset,
        )

    whole = found()
    monkeypatch.setattr("bids_fx.glm.noise.WORKED_NUMBERS", 1)  # one voxel at a time
    pieces = found()
    np.testing.assert_allclose(pieces.sigmasq, whole.sigmasq, rtol=1e-9)
    np.testing.assert_allclose(
        pieces.contrasts[0].effects, whole.contrasts[0].effects, rtol=1e-7, atol=1e-9
    )

"""The maps of a run and of a combination: scaling, names, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.errors import BIDSFXError
from bids_fx.glm.contrasts import design_space
from bids_fx.glm.design import Column, Design
from bids_fx.glm.maps import RunStatistics, combined_maps, run_maps
from bids_fx.glm.noise import fit_run
from bids_fx.glm.tails import t_statistics

FloatArray = npt.NDArray[np.float64]

N_SCANS, N_VOXELS = 80, 30
CONTRASTS = {"face": (("face", 1.0),), "faceGtHouse": (("face", 1.0), ("house", -1.0))}
#: The data pass through float32.
FLOAT32 = 1e-4


@pytest.fixture
def design(rng: np.random.Generator) -> Design:
    """Return a design of two conditions, a drift and the constant."""
    roles: Any = {"face": "condition", "house": "condition", "drift_1": "drift"}
    columns = tuple(Column(name=name, role=role) for name, role in roles.items())
    matrix = np.column_stack([rng.normal(size=(N_SCANS, 3)), np.ones(N_SCANS)])
    return Design(matrix=matrix, columns=(*columns, Column(name="constant", role="constant")))


@pytest.fixture
def raw(rng: np.random.Generator, design: Design) -> FloatArray:
    """Return data in scanner units, of means from 500 to 1500."""
    signal = 10 * design.matrix[:, :3] @ rng.normal(size=(3, N_VOXELS))
    noise = 8 * rng.normal(size=(N_SCANS, N_VOXELS))
    return np.linspace(500, 1500, N_VOXELS) + signal + noise


def maps(raw: FloatArray, design: Design, *, scaling: str = "psc") -> RunStatistics:
    """Compute the maps as a node does: means taken out, float32."""
    mean = raw.mean(axis=0)
    return run_maps(
        (raw - mean).astype(np.float32),
        mean,
        design,
        CONTRASTS,
        noise_model="ar1-yw",
        signal_scaling=scaling,
    )


def test_scaling_the_results_equals_scaling_the_data(raw: FloatArray, design: Design) -> None:
    found = maps(raw, design)
    fit = fit_run(
        100 * raw / raw.mean(axis=0),
        design_space(design.matrix),
        np.array([[1.0, 0, 0, 0], [1, -1, 0, 0]]),
        baseline=design_space(design.matrix[:, 2:]),
        noise_model="ar1-yw",
    )
    for i, label in enumerate(CONTRASTS):
        error = np.sqrt(fit.variances[i])
        effect = found.contrasts[label]["effect"]
        np.testing.assert_array_less(np.abs(effect - fit.effects[i]) / error, FLOAT32)
        variance = found.contrasts[label]["variance"]
        np.testing.assert_allclose(variance, fit.variances[i], rtol=FLOAT32)
        t = t_statistics(fit.effects[i], fit.variances[i], fit.dof).t
        np.testing.assert_allclose(found.contrasts[label]["t"], t, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.model["sigmasq"], fit.sigmasq, rtol=FLOAT32)
    np.testing.assert_allclose(found.model["rsquared"], fit.rsquared, rtol=0, atol=FLOAT32)
    np.testing.assert_allclose(found.model["ar1"], fit.rho, rtol=0, atol=FLOAT32)
    tsnr = 100 / fit.residual_sd
    np.testing.assert_allclose(found.model["tsnr"], tsnr, rtol=FLOAT32)


def test_scaling_leaves_the_tests(raw: FloatArray, design: Design) -> None:
    percent, plain = (maps(raw, design, scaling=name) for name in ("psc", "none"))
    for label in CONTRASTS:
        for stat in ("t", "z", "p", "logp", "dof"):
            np.testing.assert_allclose(
                percent.contrasts[label][stat], plain.contrasts[label][stat], rtol=1e-9
            )
    assert not np.allclose(percent.contrasts["face"]["effect"], plain.contrasts["face"]["effect"])


def test_degrees_of_freedom_are_scans_minus_rank(raw: FloatArray, design: Design) -> None:
    found = maps(raw, design)
    assert found.dof == N_SCANS - 4
    assert (found.contrasts["face"]["dof"] == N_SCANS - 4).all()


def test_voxel_without_signal_is_nan_in_all_maps_alone(raw: FloatArray, design: Design) -> None:
    raw[:, 11] = 0.0
    found = maps(raw, design)
    for name, values in {**found.model, **found.contrasts["face"]}.items():
        assert np.flatnonzero(~np.isfinite(values)).tolist() == [11], name


def test_series_around_zero_is_refused_in_percent(raw: FloatArray, design: Design) -> None:
    raw[:, :3] -= raw[:, :3].mean(axis=0) + 1.0
    with pytest.raises(BIDSFXError, match=r"10% of the mask's voxels have a mean of zero or less"):
        maps(raw, design)
    assert np.isfinite(maps(raw, design, scaling="none").contrasts["face"]["z"]).all()


def test_combined_maps_hold_every_statistic(rng: np.random.Generator) -> None:
    effects, dofs = rng.normal(size=(3, 10)), np.full((3, 10), 40.0)
    effects[:, 4] = np.nan
    effects[1:, 5] = np.nan
    found = combined_maps(effects, np.full((3, 10), 0.25), dofs, combination="weighted")
    assert set(found) == {
        *("effect", "variance", "t", "z", "p", "logp", "dof"),
        *("nruns", "q", "isq", "tau2"),
    }
    assert found["nruns"][3:6].tolist() == [3.0, 0.0, 1.0]
    assert np.flatnonzero(np.isnan(found["z"])).tolist() == [4]
    expected = t_statistics(found["effect"], found["variance"], 120.0)
    np.testing.assert_array_equal(found["z"][:4], expected.z[:4])

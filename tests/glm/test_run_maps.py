"""The maps of a run: scaling, names, censored scans, and what is refused."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bids_fx.errors import BIDSFXError
from bids_fx.glm.contrasts import design_space
from bids_fx.glm.design import Column, Design
from bids_fx.glm.maps import ContrastRows, RunStatistics, run_maps
from bids_fx.glm.noise import NOISE_MODELS, RunFit, fit_run

FloatArray = npt.NDArray[np.float64]

N_SCANS, N_VOXELS = 80, 40
FACE, HOUSE = ("face", 1.0), ("house", 1.0)
CONTRASTS = {
    "face": ContrastRows(test="t", rows=((FACE,),)),
    "faceGtHouse": ContrastRows(test="t", rows=((FACE, ("house", -1.0)),)),
    "any": ContrastRows(test="F", rows=((FACE,), (HOUSE,))),
    "faceF": ContrastRows(test="F", rows=((FACE,),)),
}
#: The contrasts' rows as weights of the columns of `design`.
WEIGHTS: dict[str, Any] = {
    "face": [[1.0, 0, 0, 0]],
    "faceGtHouse": [[1.0, -1, 0, 0]],
    "any": [[1.0, 0, 0, 0], [0, 1, 0, 0]],
    "faceF": [[1.0, 0, 0, 0]],
}
T_MAPS = {"effect", "variance", "t", "z", "p", "logp", "dof"}
F_MAPS = {"effect", "covariance", "F", "z", "p", "logp", "dof"}
#: The data pass through float32, which moves an effect by this share of its error.
FLOAT32 = 1e-4
#: Scans that are censored: the first two, one alone, two in a row.
CENSORED = (0, 1, 20, 50, 51)


@pytest.fixture
def design(rng: np.random.Generator) -> Design:
    """Return a design of two conditions, a drift and the constant."""
    roles: Any = {"face": "condition", "house": "condition", "drift_1": "drift"}
    columns = tuple(Column(name=name, role=role) for name, role in roles.items())
    matrix = np.column_stack([rng.normal(size=(N_SCANS, 3)), np.ones(N_SCANS)])
    return Design(matrix=matrix, columns=(*columns, Column(name="constant", role="constant")))


@pytest.fixture
def censored(design: Design) -> Design:
    """Return the design with a column for each censored scan, in front of the drift."""
    spikes = tuple(Column(name=f"censored_{i}", role="censored") for i in CENSORED)
    matrix = np.hstack([design.matrix[:, :2], np.eye(N_SCANS)[:, CENSORED], design.matrix[:, 2:]])
    return Design(matrix=matrix, columns=(*design.columns[:2], *spikes, *design.columns[2:]))


@pytest.fixture
def raw(rng: np.random.Generator, design: Design) -> FloatArray:
    """Return data in scanner units, of means from 500 to 1500."""
    signal = 10 * design.matrix[:, :3] @ rng.normal(size=(3, N_VOXELS))
    noise = 8 * rng.normal(size=(N_SCANS, N_VOXELS))
    for t in range(1, N_SCANS):
        noise[t] += 0.4 * noise[t - 1]
    return np.linspace(500, 1500, N_VOXELS) + signal + noise


def maps(
    raw: FloatArray, design: Design, *, scaling: str = "psc", noise_model: str = "ar1"
) -> RunStatistics:
    """Compute the maps as a node does: kept scans, means taken out, float32."""
    kept = raw[design.kept]
    mean = kept.mean(axis=0)
    return run_maps(
        *((kept - mean).astype(np.float32), mean, design, CONTRASTS),
        noise_model=noise_model,
        signal_scaling=scaling,
    )


def scaled_fit(raw: FloatArray, design: Design, noise_model: str) -> RunFit:
    """Fit percentages of the mean over the kept scans, in float64."""
    kept, X = raw[design.kept], design.fitted.matrix
    return fit_run(
        *(100 * kept / kept.mean(axis=0), design_space(X)),
        [np.array(rows) for rows in WEIGHTS.values()],
        baseline=design_space(X[:, 2:]),
        noise_model=noise_model,
        scans=np.flatnonzero(design.kept),
    )


def all_maps(found: RunStatistics) -> dict[str, FloatArray]:
    """Return all maps of a run by name."""
    named = {f"{label} {k}": v for label, m in found.contrasts.items() for k, v in m.items()}
    return named | found.model


def assert_lost_alone(found: RunStatistics, expected: RunStatistics, lost: list[int]) -> None:
    """Expect NaN in some voxels and not one bit changed in the others."""
    rest = np.delete(np.arange(N_VOXELS), lost)
    for name, values in all_maps(expected).items():
        assert np.isnan(all_maps(found)[name][..., lost]).all(), name
        assert np.isfinite(values[..., rest]).all(), name
        np.testing.assert_array_equal(all_maps(found)[name][..., rest], values[..., rest], name)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
@pytest.mark.parametrize("which", ["design", "censored"])
def test_scaling_the_results_equals_scaling_the_data(
    noise_model: str, which: str, raw: FloatArray, request: pytest.FixtureRequest
) -> None:
    design = request.getfixturevalue(which)
    found = maps(raw, design, noise_model=noise_model)
    fit = scaled_fit(raw, design, noise_model)
    # on the ridge of two noise parameters, rounding of the data decides where a search ends
    close = 0.02 if noise_model == "arma11" else FLOAT32
    for contrast, (label, rows) in zip(fit.contrasts, WEIGHTS.items(), strict=True):
        written = found.contrasts[label]
        diagonal = [0] if len(rows) == 1 else [0, 2]
        error = np.sqrt(contrast.covariance[diagonal])
        off = (written["effect"] - contrast.effects) / error
        np.testing.assert_allclose(off, 0.0, rtol=0, atol=close)
        spread = written["variance" if "variance" in written else "covariance"]
        size = error**2 if len(rows) == 1 else error[[0, 0, 1]] * error[[0, 1, 1]]
        np.testing.assert_allclose((spread - contrast.covariance) / size, 0.0, atol=close)
        np.testing.assert_allclose(written["dof"], contrast.dof, rtol=close)
    np.testing.assert_allclose(found.model["sigmasq"], fit.sigmasq, rtol=close)
    np.testing.assert_allclose(found.model["rsquared"], fit.rsquared, rtol=0, atol=FLOAT32)
    np.testing.assert_allclose(found.model["tsnr"], 100 / fit.residual_sd, rtol=FLOAT32)
    assert set(found.model) == {"rsquared", "sigmasq", "tsnr", *fit.noise}
    if noise_model != "arma11":
        for name, values in fit.noise.items():
            np.testing.assert_allclose(found.model[name], values, rtol=0, atol=FLOAT32)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_maps_of_t_and_f_are_named_and_shaped_as_they_are_written(
    noise_model: str, raw: FloatArray, design: Design
) -> None:
    found = maps(raw, design, noise_model=noise_model).contrasts
    assert list(found) == list(CONTRASTS)
    shapes = {"effect": (2, N_VOXELS), "covariance": (3, N_VOXELS)}
    for label, contrast in CONTRASTS.items():
        assert set(found[label]) == (T_MAPS if contrast.test == "t" else F_MAPS)
    for name, values in found["any"].items():
        assert values.shape == shapes.get(name, (N_VOXELS,)), name
    for name, values in found["face"].items():
        assert values.shape == (N_VOXELS,), name


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_written_t_and_f_follow_from_the_written_effects_and_variances(
    noise_model: str, raw: FloatArray, design: Design
) -> None:
    found = maps(raw, design, noise_model=noise_model).contrasts
    for label in ("face", "faceGtHouse"):
        one = found[label]
        np.testing.assert_allclose(one["t"], one["effect"] / np.sqrt(one["variance"]), rtol=1e-12)
        np.testing.assert_allclose(one["p"], stats.t.sf(one["t"], one["dof"]), rtol=1e-8)
        tail = stats.t.sf(np.abs(one["t"]), one["dof"])
        np.testing.assert_allclose(one["z"], np.sign(one["t"]) * stats.norm.isf(tail), rtol=1e-8)
    both = found["any"]
    for v in range(N_VOXELS):
        a, b, c = both["covariance"][:, v]
        solved = np.linalg.solve([[a, b], [b, c]], both["effect"][:, v])
        assert both["F"][v] == pytest.approx(both["effect"][:, v] @ solved / 2, rel=1e-9)
    p = stats.f.sf(both["F"], 2, both["dof"])
    np.testing.assert_allclose(both["p"], p, rtol=1e-8)
    np.testing.assert_allclose(both["z"], np.maximum(stats.norm.isf(p / 2), 0), rtol=1e-8)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_f_of_one_row_is_t_squared_with_its_two_sided_p(
    noise_model: str, raw: FloatArray, design: Design
) -> None:
    found = maps(raw, design, noise_model=noise_model).contrasts
    t, f = found["face"], found["faceF"]
    np.testing.assert_allclose(f["F"], t["t"] ** 2, rtol=1e-12)
    np.testing.assert_array_equal(f["dof"], t["dof"])
    np.testing.assert_allclose(f["p"], 2 * stats.t.sf(np.abs(t["t"]), t["dof"]), rtol=1e-8)
    np.testing.assert_allclose(f["z"], np.abs(t["z"]), rtol=1e-9)
    np.testing.assert_array_equal(f["covariance"][0], t["variance"])


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_scaling_leaves_the_tests(noise_model: str, raw: FloatArray, design: Design) -> None:
    percent, plain, grand = (
        maps(raw, design, scaling=name, noise_model=noise_model)
        for name in ("psc", "none", "grand-mean")
    )
    for label, contrast in CONTRASTS.items():
        for stat in (contrast.test, "z", "p", "logp", "dof"):
            for other in (percent, grand):
                np.testing.assert_allclose(
                    other.contrasts[label][stat], plain.contrasts[label][stat], rtol=1e-9
                )
    face = {k: run.contrasts["face"] for k, run in (("psc", percent), ("none", plain))}
    factor = 100 / raw.mean(axis=0)
    np.testing.assert_allclose(face["psc"]["effect"], factor * face["none"]["effect"], rtol=1e-12)
    np.testing.assert_allclose(
        face["psc"]["variance"], factor**2 * face["none"]["variance"], rtol=1e-12
    )


@pytest.mark.parametrize("noise_model", ["ols", "ar1-yw"])
def test_degrees_of_freedom_are_scans_minus_rank(
    noise_model: str, raw: FloatArray, design: Design, censored: Design
) -> None:
    for one, n in ((design, N_SCANS), (censored, N_SCANS - len(CENSORED))):
        found = maps(raw, one, noise_model=noise_model)
        assert found.dof == found.quality["dof"] == n - 4
        assert found.quality["rank"] == 4
        for label in CONTRASTS:
            assert (found.contrasts[label]["dof"] == n - 4).all()


@pytest.mark.parametrize("noise_model", ["ar1", "arma11"])
def test_degrees_of_freedom_of_a_test_are_its_own(
    noise_model: str, raw: FloatArray, design: Design
) -> None:
    found = maps(raw, design, noise_model=noise_model)
    assert found.dof == N_SCANS - 4
    one, other = (found.contrasts[label]["dof"] for label in ("face", "faceGtHouse"))
    assert (one < N_SCANS - 4).all()
    assert (one != other).all()


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_values_of_censored_scans_do_not_matter(
    noise_model: str, raw: FloatArray, censored: Design
) -> None:
    once = all_maps(maps(raw, censored, noise_model=noise_model))
    raw[list(CENSORED)] = 1e9
    other = all_maps(maps(raw, censored, noise_model=noise_model))
    for name, values in once.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)


@pytest.mark.parametrize("noise_model", ["ols", "ar1"])
def test_censored_scans_are_columns_of_a_fit_of_all(
    noise_model: str, raw: FloatArray, censored: Design
) -> None:
    found = maps(raw, censored, noise_model=noise_model)
    mean = raw[censored.kept].mean(axis=0)
    rows = [np.insert(np.array(WEIGHTS[k]), [2] * len(CENSORED), 0.0, axis=1) for k in WEIGHTS]
    constants = [column.role != "condition" for column in censored.columns]
    whole = fit_run(
        *(100 * raw / mean, design_space(censored.matrix), rows),
        baseline=design_space(censored.matrix[:, constants]),
        noise_model=noise_model,
    )
    assert whole.dof == found.dof
    for contrast, label in zip(whole.contrasts, WEIGHTS, strict=True):
        written = found.contrasts[label]
        size = np.sqrt(contrast.covariance[0])
        np.testing.assert_allclose((written["effect"] - contrast.effects) / size, 0, atol=FLOAT32)
        np.testing.assert_allclose(written["dof"], contrast.dof, rtol=FLOAT32)
    np.testing.assert_allclose(found.model["sigmasq"], whole.sigmasq, rtol=FLOAT32)
    np.testing.assert_allclose(found.model["rsquared"], whole.rsquared, rtol=0, atol=FLOAT32)


def test_percent_is_of_the_mean_over_kept_scans(raw: FloatArray, censored: Design) -> None:
    found = maps(raw, censored).contrasts["face"]["effect"]
    plain = maps(raw, censored, scaling="none").contrasts["face"]["effect"]
    np.testing.assert_allclose(found / plain, 100 / raw[censored.kept].mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_voxel_without_signal_is_nan_in_all_maps_alone(
    noise_model: str, raw: FloatArray, design: Design
) -> None:
    once = maps(raw, design, noise_model=noise_model)
    raw[:, 11] = 0.0
    assert_lost_alone(maps(raw, design, noise_model=noise_model), once, [11])


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_voxel_that_is_constant_over_the_kept_scans_is_nan_in_all_maps_alone(
    noise_model: str, raw: FloatArray, censored: Design
) -> None:
    once = maps(raw, censored, noise_model=noise_model)
    raw[censored.kept, 11] = 640.0  # which float32 and the mean hold exactly
    assert np.ptp(raw[:, 11]) > 0
    assert_lost_alone(maps(raw, censored, noise_model=noise_model), once, [11])


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_voxel_that_is_not_finite_in_a_kept_scan_is_nan_in_all_maps_alone(
    noise_model: str, raw: FloatArray, censored: Design
) -> None:
    once = maps(raw, censored, noise_model=noise_model)
    raw[30, 11] = np.nan
    assert_lost_alone(maps(raw, censored, noise_model=noise_model), once, [11])


def test_voxel_that_is_not_finite_in_a_censored_scan_is_fitted(
    raw: FloatArray, censored: Design
) -> None:
    raw[CENSORED[2], 11] = np.nan
    assert all(np.isfinite(values).all() for values in all_maps(maps(raw, censored)).values())


def test_few_voxels_of_negative_mean_are_nan_in_all_maps_alone(
    raw: FloatArray, design: Design
) -> None:
    once = maps(raw, design)
    raw[:, [4, 30]] -= raw[:, [4, 30]].mean(axis=0) + 700.0  # they vary as before
    assert_lost_alone(maps(raw, design), once, [4, 30])
    plain = maps(raw, design, scaling="none")
    assert np.isfinite(plain.contrasts["face"]["z"]).all()


def test_series_around_zero_is_refused_in_percent(raw: FloatArray, design: Design) -> None:
    raw[:, :4] -= raw[:, :4].mean(axis=0) + 1.0
    with pytest.raises(BIDSFXError, match=r"10% of the mask's voxels have a mean of zero or less"):
        maps(raw, design)
    assert np.isfinite(maps(raw, design, scaling="none").contrasts["face"]["z"]).all()


def test_as_many_voxels_without_percent_as_allowed_are_no_error(
    raw: FloatArray, design: Design
) -> None:
    raw[:, :2] *= -1  # 2 of 40
    assert np.isnan(maps(raw, design).contrasts["face"]["z"]).sum() == 2
    raw[:, 2] *= -1
    with pytest.raises(BIDSFXError, match="8% of the mask's voxels"):
        maps(raw, design)


def test_voxels_without_numbers_do_not_count_among_those_that_cannot_be_scaled(
    raw: FloatArray, design: Design
) -> None:
    raw[3, :20] = np.nan
    assert np.isfinite(maps(raw, design).contrasts["face"]["z"]).sum() == 20
    raw[:, 20] *= -1  # one of the 20 that are left
    assert np.isfinite(maps(raw, design).contrasts["face"]["z"]).sum() == 19
    raw[:, 21] *= -1
    with pytest.raises(BIDSFXError, match="10% of the mask's voxels"):
        maps(raw, design)


def test_voxel_of_negative_mean_stays_in_grand_mean_scaling(
    raw: FloatArray, design: Design
) -> None:
    raw[:, 4] *= -1
    found = maps(raw, design, scaling="grand-mean")
    factor = 100 / raw.mean()
    plain = maps(raw, design, scaling="none").contrasts["face"]["effect"]
    np.testing.assert_allclose(found.contrasts["face"]["effect"], factor * plain, rtol=1e-12)
    assert np.isnan(found.model["tsnr"]).sum() == 1  # of a negative mean there is none


def test_grand_mean_that_is_not_above_zero_is_refused(raw: FloatArray, design: Design) -> None:
    below = raw - 2000.0
    below[:, 0] += 5000.0  # one voxel has a mean above zero
    with pytest.raises(BIDSFXError, match="the mean over the mask's voxels is zero or less"):
        maps(below, design, scaling="grand-mean")


@pytest.mark.parametrize("scaling", ["psc", "grand-mean", "none"])
def test_series_without_any_number_is_refused(
    scaling: str, raw: FloatArray, design: Design
) -> None:
    raw[7] = np.nan
    with pytest.raises(BIDSFXError, match="no voxel of the mask holds a number in every scan"):
        maps(raw, design, scaling=scaling)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_mean_is_put_back_for_a_design_without_a_constant(
    noise_model: str, raw: FloatArray, design: Design
) -> None:
    bare = Design(matrix=design.matrix[:, :3], columns=design.columns[:3])
    found = maps(raw, bare, scaling="none", noise_model=noise_model)
    fit = fit_run(
        *(raw, design_space(bare.matrix), [np.eye(1, 3)]),
        baseline=design_space(bare.matrix[:, 2:]),
        noise_model=noise_model,
    )
    contrast = fit.contrasts[0]
    t = contrast.effects[0] / np.sqrt(contrast.covariance[0])
    np.testing.assert_allclose(found.contrasts["face"]["t"], t, rtol=0, atol=1e-2)
    assert np.median(found.model["sigmasq"]) > 100**2


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_quality_summarises_every_map_of_the_model(
    noise_model: str, raw: FloatArray, design: Design
) -> None:
    raw[:, 11] = 0.0
    found = maps(raw, design, noise_model=noise_model)
    for name, values in found.model.items():
        assert found.quality[f"{name}_median"] == np.nanmedian(values)
        assert found.quality[f"{name}_missing"] == 1
    lags = {f"whitened_autocorrelation_lag{lag}" for lag in (1, 2, 3)}
    lags |= {"residual_autocorrelation_lag1", "whitened_outside_share"}
    rest = {f"{name}_{what}" for name in found.model for what in ("median", "missing")}
    some = {"dof", "rank", "n_voxels", "residual_sd_max", "residual_dvars_mean"}
    assert set(found.quality) == lags | rest | some


def test_maps_of_a_contrast_live_as_long_as_who_asked_for_them(
    raw: FloatArray, design: Design
) -> None:
    found = maps(raw, design).contrasts
    for label in CONTRASTS:
        held = found[label]
        watched = [weakref.ref(values) for values in held.values()]
        assert all(watch() is not None for watch in watched)
        del held
        gc.collect()
        assert [watch() for watch in watched] == [None] * len(watched)


def test_maps_of_a_contrast_are_the_same_whenever_they_are_asked_for(
    raw: FloatArray, design: Design
) -> None:
    found = maps(raw, design).contrasts
    once = {label: found[label] for label in reversed(CONTRASTS)}
    assert len(found) == len(CONTRASTS)
    for label, contrast in found.items():
        for stat, values in contrast.items():
            np.testing.assert_array_equal(values, once[label][stat], f"{label} {stat}")


def test_contrast_that_was_not_fitted_has_no_maps(raw: FloatArray, design: Design) -> None:
    found = maps(raw, design).contrasts
    assert "song" not in found
    with pytest.raises(KeyError, match="song"):
        found["song"]


def test_maps_are_computed_in_blocks_of_any_size(
    raw: FloatArray, design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = all_maps(maps(raw, design))
    monkeypatch.setattr("bids_fx.glm.maps._BLOCK_VOXELS", 3)
    in_blocks = all_maps(maps(raw, design))
    assert raw.shape[1] > 2 * 3
    assert in_blocks.keys() == whole.keys()
    for name, values in in_blocks.items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-13, err_msg=name)

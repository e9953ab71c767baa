"""What we do otherwise than nilearn 0.14.1: the right answer beside its own.

Each test states nilearn's number too, so that it fails when nilearn mends it.
"""

from __future__ import annotations

import warnings

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from nilearn.glm.contrasts import Contrast as NilearnContrast
from nilearn.glm.contrasts import (
    _compute_fixed_effects_params,
    compute_contrast,
    compute_fixed_effects,
)
from nilearn.glm.first_level import make_first_level_design_matrix, run_glm
from nilearn.glm.first_level.first_level import mean_scaling
from scipy import special, stats

from bids_fx.glm.contrasts import design_space, is_estimable
from bids_fx.glm.fixed_effects import combine
from bids_fx.glm.hrf import convolve_events
from bids_fx.glm.noise import fit_run
from bids_fx.glm.scaling import scale_factor
from bids_fx.glm.tails import t_statistics
from tests.dense_reml import noise, null_design

pytestmark = pytest.mark.oracle

FloatArray = npt.NDArray[np.float64]

N_SCANS = 60
FIRST = np.array([[1.0, 0.0, 0.0]])


@pytest.fixture
def design(rng: np.random.Generator) -> FloatArray:
    """Return a design of a condition, a confound and the constant."""
    return np.column_stack([rng.normal(size=(N_SCANS, 2)), np.ones(N_SCANS)])


def our_variance(
    Y: FloatArray, X: FloatArray, vectors: FloatArray, noise_model: str
) -> FloatArray:
    """Return the variance of the first contrast."""
    fit = fit_run(
        Y,
        design_space(X),
        [vectors],
        baseline=design_space(X[:, -1:]),
        noise_model=noise_model,
    )
    return fit.contrasts[0].covariance[0]


def test_redundant_column_leaves_the_variance(
    design: FloatArray, rng: np.random.Generator
) -> None:
    Y = rng.normal(size=(N_SCANS, 20))
    doubled = np.insert(design, 1, design[:, 1], axis=1)
    vectors = np.insert(FIRST, 1, 0.0, axis=1)
    plain = our_variance(Y, design, FIRST, "ols")
    np.testing.assert_allclose(our_variance(Y, doubled, vectors, "ols"), plain, rtol=1e-10)

    labels, results = run_glm(Y, doubled, noise_model="ols")
    theirs = compute_contrast(labels, results, vectors[0]).effect_variance()
    # n - columns in the dispersion, n - rank in the test
    np.testing.assert_allclose(theirs / plain, (N_SCANS - 3) / (N_SCANS - 4), rtol=1e-10)


def test_voxel_with_nan_leaves_the_others(design: FloatArray, rng: np.random.Generator) -> None:
    Y = rng.normal(size=(N_SCANS, 5))
    plain = our_variance(Y, design, FIRST, "ar1-yw")
    Y[10, 0] = np.nan
    ours = our_variance(Y, design, FIRST, "ar1-yw")
    np.testing.assert_array_equal(ours[1:], plain[1:])
    assert np.isnan(ours[0])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels, _ = run_glm(Y, design, noise_model="ar1")
    assert (np.abs(labels.astype(float)) > 1e10).all()  # a coefficient of -9.2e16 for every voxel


def test_p_of_autocorrelated_null_data_are_as_stated(rng: np.random.Generator) -> None:
    X, Y = null_design(rng, 100), noise(rng, 100, 6000, 0.5)
    row = np.eye(1, 24) - np.eye(1, 24, 1)
    options = {"baseline": design_space(X[:, -1:]), "noise_model": "ar1"}
    contrast = fit_run(Y, design_space(X), [row], **options).contrasts[0]
    t = contrast.effects[0] / np.sqrt(contrast.covariance[0])
    ours = 2 * stats.t.sf(np.abs(t), contrast.dof)
    assert 0.044 < (ours < 0.05).mean() < 0.056
    assert (ours < 0.001).mean() < 0.002

    # its estimate is biased by the fit of 24 columns, and cut to hundredths
    labels, results = run_glm(Y, X, noise_model="ar1")
    theirs = compute_contrast(labels, results, row[0])
    p = 2 * np.minimum(theirs.p_value(), theirs.one_minus_pvalue())
    assert (p < 0.05).mean() > 0.1
    assert (p < 0.001).mean() > 0.008
    assert np.median(labels.astype(float)) < 0.3  # of 0.5


def test_constant_voxel_has_no_statistic(design: FloatArray, rng: np.random.Generator) -> None:
    Y = rng.normal(size=(N_SCANS, 2))
    Y[:, 0] = 700.3
    ours = our_variance(Y, design, FIRST, "ols")
    assert np.isnan(ours).tolist() == [True, False]

    labels, results = run_glm(Y, design, noise_model="ols")
    assert np.isfinite(compute_contrast(labels, results, FIRST[0]).z_score()).all()


def test_contrast_that_cannot_be_estimated_is_refused(
    design: FloatArray, rng: np.random.Generator
) -> None:
    design[:, 0] = 0.0
    assert not is_estimable(FIRST[0], design_space(design))

    Y = rng.normal(size=(N_SCANS, 2))
    labels, results = run_glm(Y, design, noise_model="ols")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a division that it then replaces by 0
        theirs = compute_contrast(labels, results, FIRST[0]).z_score()
    assert theirs.tolist() == [0.0, 0.0]


def test_extreme_t_keeps_its_z_and_p() -> None:
    ours = t_statistics(60.0, 1.0, 5000.0)
    # the tail to first order in 1 / t², good to 1e-3 of its logarithm
    rough = stats.t.logpdf(60.0, 5000) + np.log((5000 + 3600) / 4999 / 60)
    np.testing.assert_allclose(ours.logp, -rough / np.log(10), rtol=1e-3)
    np.testing.assert_allclose(special.log_ndtr(-ours.z), -ours.logp * np.log(10), rtol=1e-10)
    assert ours.z > 50

    theirs = NilearnContrast(np.array([60.0]), np.array([1.0]), dof=5000)
    assert theirs.p_value()[0] == 0.0
    assert theirs.z_score()[0] == pytest.approx(37.05, abs=0.01)


def test_run_that_does_not_cover_a_voxel_is_left_out() -> None:
    effects, variances = np.full((3, 1), 2.0), np.full((3, 1), 0.5)
    effects[1], variances[1] = np.nan, np.nan
    for combination in ("weighted", "unweighted"):
        ours = combine(effects, variances, np.full((3, 1), 50.0), combination=combination)
        assert [ours.effect[0], ours.n_runs[0]] == [2.0, 2]

    filled = np.nan_to_num(effects), np.nan_to_num(variances)  # as its masker does
    unweighted, *_ = _compute_fixed_effects_params(
        *filled, precision_weighted=False, dofs=[50] * 3
    )
    weighted, *_ = _compute_fixed_effects_params(*filled, precision_weighted=True, dofs=[50] * 3)
    assert unweighted[0] == pytest.approx(4 / 3)
    assert weighted[0] == pytest.approx(0.0, abs=1e-12)


def test_degrees_of_freedom_are_never_invented() -> None:
    images = [
        nb.Nifti1Image(np.full((2, 2, 2), value, dtype=np.float32), np.eye(4))
        for value in (3.0, 1.0)
    ]
    mask = nb.Nifti1Image(np.ones((2, 2, 2), dtype=np.uint8), np.eye(4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        *_, theirs = compute_fixed_effects(images[:1] * 2, images[1:] * 2, mask)
    combined = combine(
        np.full((2, 1), 3.0), np.ones((2, 1)), np.full((2, 1), 10.0), combination="unweighted"
    )
    ours = t_statistics(combined.effect, combined.variance, combined.dof).z[0]
    assert ours == pytest.approx(stats.norm.isf(stats.t.sf(3 * np.sqrt(2), 20)), rel=1e-9)
    as_if_100_each = stats.norm.isf(stats.t.sf(3 * np.sqrt(2), 200))
    assert theirs.get_fdata()[0, 0, 0] == pytest.approx(as_if_100_each, rel=1e-6)
    assert as_if_100_each > ours + 0.4


def test_noisy_run_of_few_scans_rules_the_degrees_of_freedom() -> None:
    ours = combine([[0.0], [0.0]], [[25.0], [1.0]], [[20.0], [200.0]], combination="unweighted")
    assert ours.dof[0] == pytest.approx(21.6, abs=0.05)  # nilearn: 220


def test_impulse_has_the_same_area_whatever_the_repetition_time() -> None:
    def peaks(tr: float) -> tuple[float, float]:
        frame_times = np.arange(round(60 / tr)) * tr
        ours = convolve_events(
            np.array([10.0]),
            np.zeros(1),
            np.ones(1),
            frame_times=frame_times,
            hrf_model="spm",
            repetition_time=tr,
        )
        events = pd.DataFrame({"onset": [10.0], "duration": [0.0], "trial_type": ["a"]})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of events without duration
            theirs = make_first_level_design_matrix(
                frame_times, events, hrf_model="spm", drift_model=None
            )["a"]
        return float(ours.max()), float(theirs.max())

    (ours_fast, theirs_fast), (ours_slow, theirs_slow) = peaks(0.5), peaks(1.0)
    assert ours_slow / ours_fast == pytest.approx(1.0, abs=0.01)
    assert theirs_slow / theirs_fast == pytest.approx(2.0, abs=0.05)


def test_fir_response_does_not_begin_before_the_event() -> None:
    frame_times = np.arange(20) * 2.0
    ours = convolve_events(
        np.array([11.0]),
        np.zeros(1),
        np.ones(1),
        frame_times=frame_times,
        hrf_model="fir:1",
        repetition_time=2.0,
    )
    assert frame_times[ours[:, 0] > 0].tolist() == [12.0]

    events = pd.DataFrame({"onset": [11.0], "duration": [0.0], "trial_type": ["a"]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of events without duration
        theirs = make_first_level_design_matrix(
            frame_times, events, hrf_model="fir", fir_delays=[0], drift_model=None
        )["a_delay_0"]
    assert frame_times[theirs > 0].tolist() == [10.0]


def test_percent_is_of_the_mean_also_where_that_is_below_one() -> None:
    Y = np.array([[0.4], [0.6]])
    factor = scale_factor(Y.mean(axis=0), "psc")
    np.testing.assert_allclose((Y - 0.5) * factor, [[-20.0], [20.0]], rtol=1e-12)

    np.testing.assert_allclose(mean_scaling(Y)[0], [[-60.0], [-40.0]], rtol=1e-12)

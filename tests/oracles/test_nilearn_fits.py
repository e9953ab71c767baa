"""Fits and combinations beside nilearn's, where both compute the same thing."""

from __future__ import annotations

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pytest
from nilearn.glm.contrasts import _compute_fixed_effects_params, compute_contrast
from nilearn.glm.first_level import run_glm
from nilearn.image import smooth_img

from bids_fx.glm.contrasts import design_space
from bids_fx.glm.fixed_effects import combine
from bids_fx.glm.noise import RunFit, fit_run
from bids_fx.glm.smoothing import Smoother, sigma_voxels
from bids_fx.glm.tails import t_statistics

pytestmark = pytest.mark.oracle

FloatArray = npt.NDArray[np.float64]

#: nilearn cuts rho to multiples of 1e-6, which moves an effect by that share of its error.
OF_A_STANDARD_ERROR = 1e-5
#: The same formula in float64.
SAME = 1e-8
#: nilearn takes variances as known; so does ours at such degrees of freedom, to 1e-11.
KNOWN = 1e12

N_SCANS, N_VOXELS = 180, 150


@pytest.fixture
def design(rng: np.random.Generator) -> FloatArray:
    """Return a design of full rank: three conditions, five confounds, drift and constant."""
    conditions = np.kron(rng.integers(0, 2, size=(N_SCANS // 6, 3)), np.ones((6, 1)))
    walks = rng.normal(size=(N_SCANS, 5)).cumsum(axis=0)
    phase = np.outer(np.arange(N_SCANS) + 0.5, [1, 2, 3]) * np.pi / N_SCANS
    return np.column_stack([conditions, walks, np.cos(phase), np.ones(N_SCANS)])


@pytest.fixture
def data(rng: np.random.Generator, design: FloatArray) -> FloatArray:
    """Return autocorrelated data of rho from -0.4 to 0.9 with effects."""
    noise = rng.normal(size=(N_SCANS, N_VOXELS))
    for t in range(1, N_SCANS):
        noise[t] += np.linspace(-0.4, 0.9, N_VOXELS) * noise[t - 1]
    return 100 + noise + 0.5 * design @ rng.normal(size=(12, N_VOXELS))


CONTRASTS = np.zeros((3, 12))
CONTRASTS[0, 0] = 1.0
CONTRASTS[1, [0, 1]] = 1.0, -1.0
CONTRASTS[2, :3] = 1.0, -0.5, -0.5
MODELS = pytest.mark.parametrize(
    ("noise_model", "nilearns", "tolerance"),
    [("ols", "ols", SAME), ("ar1-yw", "ar1", OF_A_STANDARD_ERROR)],
)


def fit(data: FloatArray, design: FloatArray, noise_model: str) -> RunFit:
    """Fit each row as a contrast, and an F contrast of the first two."""
    return fit_run(
        data,
        design_space(design),
        [*(row[np.newaxis] for row in CONTRASTS), CONTRASTS[:2]],
        baseline=design_space(design[:, -4:]),
        noise_model=noise_model,
    )


@MODELS
def test_run_equals_nilearns(
    noise_model: str, nilearns: str, tolerance: float, data: FloatArray, design: FloatArray
) -> None:
    result = fit(data, design, noise_model)
    labels, results = run_glm(data, design, noise_model=nilearns, bins=10**6)
    for vector, ours in zip(CONTRASTS, result.contrasts, strict=False):
        theirs = compute_contrast(labels, results, vector)
        error = np.sqrt(theirs.effect_variance())
        off = (ours.effects[0] - theirs.effect_size()) / error
        np.testing.assert_array_less(np.abs(off), tolerance)
        np.testing.assert_array_less(np.abs(np.sqrt(ours.covariance[0]) / error - 1), tolerance)
        tested = t_statistics(ours.effects[0], ours.covariance[0], ours.dof)
        assert (theirs.dof == ours.dof).all()
        np.testing.assert_allclose(tested.t, theirs.stat(), rtol=0, atol=10 * tolerance)
        np.testing.assert_allclose(tested.z, theirs.z_score(), rtol=0, atol=10 * tolerance)
        np.testing.assert_allclose(tested.p, theirs.p_value(), rtol=1e-3, atol=1e-290)


@MODELS
def test_f_of_a_run_equals_nilearns(
    noise_model: str, nilearns: str, tolerance: float, data: FloatArray, design: FloatArray
) -> None:
    ours = fit(data, design, noise_model).contrasts[-1]
    (a, b), (aa, ab, bb) = ours.effects, ours.covariance
    f = (a * a * bb - 2 * a * b * ab + b * b * aa) / (aa * bb - ab * ab) / 2
    labels, results = run_glm(data, design, noise_model=nilearns, bins=10**6)
    theirs = compute_contrast(labels, results, CONTRASTS[:2], stat_type="F")
    np.testing.assert_allclose(f, theirs.stat(), rtol=10 * tolerance, atol=10 * tolerance)
    assert (ours.dof == theirs.dof).all()


def test_rho_equals_nilearns(data: FloatArray, design: FloatArray) -> None:
    rho = fit(data, design, "ar1-yw").noise["ar1"]
    labels, _ = run_glm(data, design, noise_model="ar1", bins=10**6)
    np.testing.assert_allclose(rho, labels.astype(float), rtol=0, atol=1.01e-6)
    assert rho.max() > 0.7  # the data reach that far


@pytest.mark.parametrize(("combination", "weighted"), [("weighted", True), ("unweighted", False)])
def test_combination_equals_nilearns(
    combination: str, weighted: bool, rng: np.random.Generator
) -> None:
    effects = rng.normal(1.0, 2.0, size=(4, 500))
    variances = rng.uniform(0.1, 5.0, size=(4, 500))
    combined = combine(effects, variances, np.full((4, 1), KNOWN), combination=combination)
    effect, variance, t, _ = _compute_fixed_effects_params(
        effects, variances, precision_weighted=weighted, dofs=[KNOWN] * 4
    )
    np.testing.assert_allclose(combined.effect, effect, rtol=SAME, atol=SAME)
    np.testing.assert_allclose(combined.variance, variance, rtol=SAME)
    found = t_statistics(combined.effect, combined.variance, combined.dof)
    np.testing.assert_allclose(found.t, t, rtol=SAME, atol=SAME)


@pytest.mark.parametrize("fwhm_mm", [4.0, 6.5])
def test_smoothing_equals_nilearns_bit_for_bit(fwhm_mm: float, rng: np.random.Generator) -> None:
    volume = rng.normal(size=(20, 22, 18)).astype(np.float32)
    sizes = (2.0, 3.0, 2.5)
    image = nb.Nifti1Image(volume, np.diag([*sizes, 1.0]))
    theirs = smooth_img(image, fwhm_mm).get_fdata(dtype=np.float32)
    ours = volume.copy()
    everywhere = np.ones(volume.shape, dtype=bool)
    Smoother.of(everywhere, sigma_voxels(fwhm_mm, sizes)).smooth(ours)
    np.testing.assert_array_equal(ours, theirs)

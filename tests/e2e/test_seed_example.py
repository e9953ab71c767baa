"""Explicit fixed effects on real data, voxel by voxel against nilearn.

As in nilearn's example of that name: two runs are fitted separately, then their effects and
variances are combined. Both programs get the same design matrices and matched settings.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from nilearn.glm import compute_fixed_effects
from nilearn.glm.first_level import FirstLevelModel, run_glm

from bids_fx.cli.run import main

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.oracle,
    # nilearn warns of its own call of its masker.
    pytest.mark.filterwarnings("ignore:.*MultiNiftiMasker.fit:RuntimeWarning"),
]

#: In standard errors: files are float32, and so is the series that either program fits.
TOLERANCE_SE = 1e-4
CONTRAST = {"face": 1.0, "house": -1.0}
SETTINGS = {"ols": ["--noise-model", "ols"], "ar1-yw": ["--noise-model", "ar1-yw"]}
RUNS = (1, 2)


@pytest.fixture(scope="module")
def designs(oneback, tmp_path_factory) -> Path:
    """Return a folder with the design matrices that both programs use."""
    out = tmp_path_factory.mktemp("designs")
    derivatives = str(oneback / "derivatives" / "preproc")
    command = [str(oneback), str(out), "participant", "-d", derivatives, "--nprocs", "1"]
    assert main([*command, "--contrast", "face - house"]) == 0
    return out / "sub-02" / "func"


@pytest.fixture(scope="module", params=SETTINGS)
def fitted(request, oneback, designs, tmp_path_factory) -> tuple[str, dict[str, Path]]:
    """Return the noise model, and our output folder of either way of combining."""
    outs = {}
    for combination in ("weighted", "unweighted"):
        outs[combination] = tmp_path_factory.mktemp("seed") / "out"
        derivatives = str(oneback / "derivatives" / "preproc")
        command = [
            *(str(oneback), str(outs[combination]), "participant", "-d", derivatives),
            *("--design-dir", str(designs), "--contrast", "face - house", "--nprocs", "1"),
            *("--combination", combination, *SETTINGS[request.param]),
        ]
        assert main(command) == 0
    return request.param, outs


def ours(out: Path, stat: str, run: str = "") -> np.ndarray:
    name = f"sub-02_task-oneback_{run}contrast-faceGtHouse_stat-{stat}_statmap.nii.gz"
    return nb.load(out / "sub-02" / "func" / name).get_fdata()


def inputs(
    oneback: Path, designs: Path, run: int
) -> tuple[nb.Nifti1Image, nb.Nifti1Image, pd.DataFrame]:
    func = oneback / "derivatives" / "preproc" / "sub-02" / "func"
    stem = f"sub-02_task-oneback_run-{run}"
    design = pd.read_csv(designs / f"{stem}_design.tsv", sep="\t")
    bold = nb.load(func / f"{stem}_desc-preproc_bold.nii.gz")
    return bold, nb.load(func / f"{stem}_desc-brain_mask.nii.gz"), design


def nilearns(noise: str, oneback: Path, designs: Path, run: int) -> dict[str, nb.Nifti1Image]:
    """Fit one run with nilearn: effect, variance, t and z as images."""
    bold, mask, design = inputs(oneback, designs, run)
    if noise == "ols":
        model = FirstLevelModel(mask_img=mask, noise_model="ols", signal_scaling=0)
        model.fit(bold, design_matrices=design)
        maps = model.compute_contrast("face - house", output_type="all")
        return {
            "effect": maps["effect_size"],
            "variance": maps["effect_variance"],
            "t": maps["stat"],
            "z": maps["z_score"],
        }
    # FirstLevelModel rounds rho to bins of 0.01; the function below it lets them be narrow.
    inside = mask.get_fdata() > 0
    series = bold.get_fdata()[inside].T
    Y = 100 * (series / series.mean(axis=0) - 1)
    labels, results = run_glm(Y, design.to_numpy(), noise_model="ar1", bins=10**6)
    vector = np.array([CONTRAST.get(name, 0.0) for name in design.columns])
    values = {stat: np.empty(Y.shape[1]) for stat in ("effect", "variance", "t", "z")}
    for label, result in results.items():
        which = labels == label
        contrast = result.Tcontrast(vector)
        values["effect"][which] = contrast.effect
        values["variance"][which] = contrast.sd**2
        values["t"][which] = contrast.t
    images = {}
    for stat, vector_of in values.items():
        volume = np.full(inside.shape, np.nan)
        volume[inside] = vector_of
        images[stat] = nb.Nifti1Image(volume, mask.affine)
    return images


def compare(actual: np.ndarray, expected: np.ndarray, se: np.ndarray) -> None:
    inside = np.isfinite(actual)
    assert inside.sum() > 6000
    assert np.abs((actual - expected)[inside] / se[inside]).max() < TOLERANCE_SE


@pytest.fixture(scope="module")
def theirs(fitted, oneback, designs) -> dict[int, dict[str, nb.Nifti1Image]]:
    return {run: nilearns(fitted[0], oneback, designs, run) for run in RUNS}


@pytest.mark.parametrize("run", RUNS)
def test_each_run_equals_nilearns(fitted, theirs, run):
    out = fitted[1]["weighted"]
    expected = {stat: image.get_fdata() for stat, image in theirs[run].items()}
    se = np.sqrt(expected["variance"])
    compare(ours(out, "effect", f"run-{run}_"), expected["effect"], se)
    # The standard error's own relative error counts times |t|.
    inside = np.isfinite(ours(out, "t", f"run-{run}_"))
    ratio = ours(out, "variance", f"run-{run}_")[inside] / expected["variance"][inside]
    assert np.abs(ratio - 1).max() < TOLERANCE_SE
    compare(ours(out, "t", f"run-{run}_"), expected["t"], np.maximum(1, np.abs(expected["t"])))


@pytest.mark.parametrize("combination", ["weighted", "unweighted"])
def test_the_combination_equals_nilearns(fitted, theirs, oneback, designs, combination):
    mask = inputs(oneback, designs, 1)[1]
    dof = [ours(fitted[1][combination], "dof", f"run-{run}_") for run in RUNS]
    effect, variance, t, _ = (
        image.get_fdata()
        for image in compute_fixed_effects(
            [theirs[run]["effect"] for run in RUNS],
            [theirs[run]["variance"] for run in RUNS],
            mask,
            precision_weighted=combination == "weighted",
            dofs=[float(np.nanmax(run_dof)) for run_dof in dof],
        )
    )
    out = fitted[1][combination]
    compare(ours(out, "effect"), effect, np.sqrt(variance))
    inside = np.isfinite(ours(out, "t"))
    # nilearn takes the weights as known; Meier's (1953) factor is what their uncertainty costs.
    variances = np.stack([theirs[run]["variance"].get_fdata() for run in RUNS])
    shares = variances[::-1] / np.where(inside, variances.sum(axis=0), 1.0)
    meier = 1 + 4 * sum(share * (1 - share) / nu for share, nu in zip(shares, dof, strict=True))
    factor = meier if combination == "weighted" else np.ones_like(meier)
    assert np.abs(ours(out, "variance") / (factor * variance) - 1)[inside].max() < TOLERANCE_SE
    compare(ours(out, "t"), t / np.sqrt(factor), np.maximum(1, np.abs(t)))


def test_the_combined_map_peaks_higher_than_the_runs(fitted):
    for out in fitted[1].values():
        peaks = [np.nanmax(ours(out, "z", f"run-{run}_")) for run in RUNS]
        assert np.nanmax(ours(out, "z")) > max(peaks)

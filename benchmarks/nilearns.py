"""nilearn at the same work, from files to saved maps: a program that is measured.

usage: python benchmarks/nilearns.py RUNS.json OUTPUT_DIR [--combine]

``RUNS.json`` lists the files of each run. Each is fitted by `FirstLevelModel` with AR(1) noise
and 5 mm smoothing, from its events and motion, or from its design matrix where one is given.
With ``--combine`` the contrast is combined by `compute_fixed_effects`. The last line that is
printed says how many seconds imports and work took. `n_jobs` stays 1, nilearn's default.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FWHM_MM = 5.0
MOTION = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]


def fit(runs: Sequence[Mapping[str, Any]], out_dir: Path, *, combine: bool) -> dict[str, float]:
    """Fit the runs, and combine them if that is asked for; return the seconds.

    Parameters
    ----------
    runs : sequence of mapping
        Of each run ``bold``, ``mask``, ``repetition_time``, ``contrasts`` and either ``design``
        or ``events`` and ``confounds``.
    out_dir : Path
        Where maps are written.
    combine : bool
        Whether to combine the first contrast over runs.
    """
    start = time.perf_counter()
    import pandas as pd
    from nilearn.glm import compute_fixed_effects
    from nilearn.glm.first_level import FirstLevelModel

    imported = time.perf_counter()
    out_dir.mkdir(parents=True, exist_ok=True)
    estimates = []
    for number, run in enumerate(runs, start=1):
        model = FirstLevelModel(
            t_r=run["repetition_time"],
            hrf_model="spm",
            drift_model="cosine",
            high_pass=1 / 128,
            noise_model="ar1",
            mask_img=run["mask"],
            smoothing_fwhm=FWHM_MM,
            signal_scaling=0,
            minimize_memory=True,
        )
        if "design" in run:
            model.fit(run["bold"], design_matrices=pd.read_csv(run["design"], sep="\t"))
        else:
            events = pd.read_csv(run["events"], sep="\t")
            confounds = pd.read_csv(run["confounds"], sep="\t")[MOTION]
            model.fit(run["bold"], events=events, confounds=confounds)
        for place, contrast in enumerate(run["contrasts"]):
            maps = model.compute_contrast(contrast, output_type="all")
            for kind, image in maps.items():
                image.to_filename(out_dir / f"run-{number}_contrast-{place}_{kind}.nii.gz")
            if place == 0:
                estimates.append(maps)
    if combine:
        combined = compute_fixed_effects(
            [maps["effect_size"] for maps in estimates],
            [maps["effect_variance"] for maps in estimates],
            runs[0]["mask"],
            precision_weighted=True,
        )
        for kind, image in zip(("effect", "variance", "t", "z"), combined, strict=True):
            image.to_filename(out_dir / f"fixed_{kind}.nii.gz")
    return {"imports": imported - start, "work": time.perf_counter() - imported}


def main() -> None:
    """Fit what the file lists."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--combine", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    runs = json.loads(given.runs.read_text())
    print(json.dumps(fit(runs, given.out_dir, combine=given.combine)))


if __name__ == "__main__":
    main()

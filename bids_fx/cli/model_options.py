"""The options that change numbers."""

from __future__ import annotations

from bids_fx.cli.options import Option
from bids_fx.cli.values import model_file, to_path
from bids_fx.glm.names import (
    NOISE_MODELS,
    normalise_drift_name,
    normalise_hrf_name,
    normalise_noise_name,
)
from bids_fx.settings import COMBINATIONS, MISSING_POLICIES, SIGNAL_SCALINGS
from bids_fx.values import (
    all_combinable,
    all_confounds,
    choice,
    combinable,
    degrees_of_freedom,
    displacement_mm,
    dummy_scans,
    model_name,
    period_s,
    slice_time,
    smoothing_mm,
)

MODEL = "the model of a run"
COMBINING = "combining the runs"
BEFOREHAND = "what was made beforehand"


def model_options() -> tuple[Option, ...]:
    """Return the options of the model of a run."""
    return (
        Option(
            names=("-m", "--model"),
            group=MODEL,
            field="data.model",
            metavar="FILE|auto",
            convert=model_file,
            value_type="File",
            help="BIDS Stats Model that says what is fitted and combined; auto makes one of the "
            "events and the other options, and writes it into OUTPUT_DIR/models",
        ),
        Option(
            names=("--write-model",),
            group=MODEL,
            kind="flag",
            field="execution.write_model",
            help="also write the analysis as a BIDS Stats Model into OUTPUT_DIR/models; without "
            "any --contrast, all participants then get the contrasts of the conditions of all",
        ),
        Option(
            names=("--contrast",),
            group=MODEL,
            kind="each",
            field="analysis.contrasts",
            metavar="'[NAME =] WEIGHTS'",
            help="contrast of conditions, such as 'load = 2-back - 0-back' or 'face - (body + "
            "house)/2', or F test of several, 'any = F(face - house; body - house)'; may be "
            "repeated",
            default="each condition, and each minus the mean of the others",
        ),
        Option(
            names=("--hrf-model",),
            group=MODEL,
            field="analysis.hrf_model",
            metavar="NAME",
            convert=model_name(normalise_hrf_name),
            help="spm or glover, alone or with '+ derivative' or '+ derivative + dispersion'; "
            "fir, fir:N with N delays or fir:0,2,4 with these, in scans; doublegamma:6,16,1,1,6 "
            "(delays and dispersions of peak and undershoot, and their ratio), as spm",
        ),
        Option(
            names=("--confounds",),
            group=MODEL,
            kind="list",
            field="analysis.confounds",
            metavar="NAME",
            finish=all_confounds,
            help="strategies (motion6 motion12 motion24 36p wm-csf acompcor acompcor-separate "
            "acompcor50 tcompcor aroma scrub nss gsr), patterns of column names such as "
            "'a_comp_cor_0[0-4]', or none",
        ),
        Option(
            names=("--high-pass",),
            group=MODEL,
            field="analysis.high_pass_s",
            metavar="SECONDS",
            convert=period_s,
            value_type="Number",
            help="longest period that the cosine drift leaves in the data, in seconds",
        ),
        Option(
            names=("--drift-model",),
            group=MODEL,
            field="analysis.drift_model",
            metavar="NAME",
            convert=model_name(normalise_drift_name),
            help="cosine, polynomial, polynomial:ORDER or none",
        ),
        Option(
            names=("--noise-model",),
            group=MODEL,
            field="analysis.noise_model",
            metavar="NAME",
            convert=model_name(normalise_noise_name),
            choices=NOISE_MODELS,
            help="ar1 (REML per voxel), arma11 (the same plus white noise, as 3dREMLfit), ar1-yw "
            "(Yule-Walker per voxel, as nilearn) or ols (alias none)",
        ),
        Option(
            names=("--smoothing-fwhm", "--smoothing"),
            group=MODEL,
            field="analysis.smoothing_fwhm_mm",
            metavar="MM[:run[:iso]]",
            convert=smoothing_mm,
            help="full width at half maximum of the kernel, in mm; 0 for none",
        ),
        Option(
            names=("--signal-scaling",),
            group=MODEL,
            field="analysis.signal_scaling",
            metavar="NAME",
            convert=choice(SIGNAL_SCALINGS),
            choices=SIGNAL_SCALINGS,
            help="psc (percent of the voxel's mean), grand-mean (the mask's mean to 100) or none",
        ),
        Option(
            names=("--fd-threshold",),
            group=MODEL,
            field="analysis.fd_threshold_mm",
            metavar="MM",
            convert=displacement_mm,
            value_type="Number",
            help="leave scans with a framewise displacement above this, in mm, out of the fit; "
            "scrub then takes no other outliers",
            default="what the confound strategies say",
        ),
        Option(
            names=("--dummy-scans",),
            group=MODEL,
            field="analysis.dummy_scans",
            metavar="N",
            convert=dummy_scans,
            value_type="Number",
            help="scans at the start of each run to leave out of the fit; onsets still count from "
            "the first volume of the file",
        ),
        Option(
            names=("--slice-time-ref",),
            group=MODEL,
            field="analysis.slice_time_ref",
            metavar="FRACTION",
            convert=slice_time,
            help="time within the TR to which slices were corrected, from 0 to 1, or start, "
            "middle, end",
            default="from the sidecars",
        ),
    )


def combination_options() -> tuple[Option, ...]:
    """Return the options of the combination, and of what was made beforehand."""
    return (
        Option(
            names=("--combination",),
            group=COMBINING,
            field="analysis.combination",
            metavar="NAME",
            convert=choice(COMBINATIONS),
            choices=COMBINATIONS,
            help="weighted (inverse variance) or unweighted (mean of effects)",
        ),
        Option(
            names=("--combine-over",),
            group=COMBINING,
            kind="list",
            field="analysis.combine_over",
            metavar="ENTITY[,ENTITY]",
            convert=combinable,
            finish=all_combinable,
            help="entities over which runs are combined, of run (always), session, acq, ce, rec, "
            "dir; name all of them",
        ),
        Option(
            names=("--combine-subset",),
            group=COMBINING,
            kind="flag",
            field="analysis.combine_subset",
            help="combine also where the filters left out runs of the dataset",
        ),
        Option(
            names=("--missing",),
            group=COMBINING,
            field="analysis.missing",
            metavar="NAME",
            convert=choice(MISSING_POLICIES),
            choices=MISSING_POLICIES,
            help="of conditions, confounds, runs and sessions that are missing: drop: do without "
            "them, with a warning; error: refuse",
        ),
        Option(
            names=("--drop-missing",),
            group=COMBINING,
            kind="flag",
            help="the same as --missing drop",
        ),
        Option(
            names=("--design-dir",),
            group=BEFOREHAND,
            field="data.design_dir",
            metavar="DIR",
            convert=to_path,
            value_type="File",
            help="folder of design matrices, <run>_design.tsv, that are used as they are instead "
            "of events and confounds",
        ),
        Option(
            names=("--run-maps",),
            group=BEFOREHAND,
            field="data.run_maps_dir",
            metavar="DIR",
            convert=to_path,
            value_type="File",
            help="folder of effect and variance maps of runs (of F tests, covariance maps), by "
            "this program, FitLins or nilearn: they are combined, and no model is fitted",
        ),
        Option(
            names=("--run-dof",),
            group=BEFOREHAND,
            field="analysis.run_dof",
            metavar="DOF",
            convert=degrees_of_freedom,
            value_type="Number",
            help="degrees of freedom of run maps that come without any",
        ),
    )

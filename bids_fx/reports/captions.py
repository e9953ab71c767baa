"""What the report says of a run's figures: titles, captions and alternative texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bids_fx.derivatives.timeseries import QualityTraces
from bids_fx.quality import BY_NAME, FD_COUNTED_MM
from bids_fx.records import RunPlan
from bids_fx.reports.measures import measure_text
from bids_fx.reports.wording import brief, count


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run and what its fit has written.

    Parameters
    ----------
    run : RunPlan
        The run.
    name : str
        What it is called.
    measures : mapping of str to float, int or None
        Its quality; empty where it is missing.
    traces : QualityTraces or None
        Its scans; None where they are missing.
    """

    run: RunPlan
    name: str
    measures: Mapping[str, object]
    traces: QualityTraces | None

    def text(self, name: str) -> str:
        """Return the value of a measure with its units."""
        return measure_text(BY_NAME[name], self.measures.get(name))

    @property
    def censored(self) -> str:
        """Say how many scans are censored."""
        if self.traces is None:
            return "The table of its scans is missing."
        number = len(self.traces.censored)
        n_scans = len(self.traces.columns["censored"])
        return f"{number} of {count(n_scans, 'scan')} {'is' if number == 1 else 'are'} censored."


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureText:
    """Title of a figure, its caption, and what somebody who cannot see it needs to know."""

    title: str
    caption: str
    alt: str


def picture_text(kind: str, facts: RunFacts) -> PictureText:
    """Return the texts of a run's figure by its kind (`bids_fx.derivatives.paths.run_figures`)."""
    return _TEXTS[kind](facts)


def _design(facts: RunFacts) -> PictureText:
    design = facts.run.design
    size = ""
    if design is not None:
        size = f": {count(design.matrix.shape[1], 'regressor')} over {len(design.matrix)} scans"
    return PictureText(
        title="Design matrix",
        caption=(
            "One row per scan, one column per regressor, each divided by its largest absolute "
            "value (red positive, blue negative). The strip above shows what each column is for. "
            "Below is each column's variance inflation factor (VIF) in the fit: 1 where it is "
            "uncorrelated with all others, infinite where it is a sum of them; above the dashed "
            "line, 10, it is customary to look twice. Constant columns and censored scans have "
            "none."
        ),
        alt=f"Design matrix of {facts.name}{size}. Largest variance inflation of a contrast: "
        f"{facts.text('vif_max')}.",
    )


def _correlation(facts: RunFacts) -> PictureText:
    return PictureText(
        title="Correlation of regressors",
        caption=(
            "Pearson's r between all regressors but intercept and censored scans; conditions in "
            "bold."
        ),
        alt=f"Correlations between the regressors of {facts.name}.",
    )


def _contrasts(facts: RunFacts) -> PictureText:
    return PictureText(
        title="Contrast weights",
        caption=(
            "Weights of every contrast that this run can estimate; columns without a number "
            "weigh 0."
        ),
        alt=f"Weights of {count(len(facts.run.estimable), 'contrast')} of {facts.name} over its "
        "regressors.",
    )


def _motion(facts: RunFacts) -> PictureText:
    origin = facts.traces.fd_text if facts.traces is not None else ""
    origin = origin.removeprefix("Framewise displacement, ")
    limit = facts.traces.fd_limit_mm if facts.traces is not None else None
    dashed = (
        "" if limit is None else f" Dashed: {brief(limit)} mm, above which scans are censored."
    )
    return PictureText(
        title="Motion",
        caption=(
            "Motion parameters in mm and degrees, and framewise displacement in mm"
            f"{f' ({origin})' if origin else ''}. Shaded scans are "
            f"censored, for whatever reason.{dashed}"
        ),
        alt=(
            f"Motion of {facts.name} over its scans. Framewise displacement: mean "
            f"{facts.text('fd_mean')}, largest {facts.text('fd_max')}, above "
            f"{FD_COUNTED_MM:g} mm in {facts.text('fd_perc')} of the scans. {facts.censored}"
        ),
    )


def _carpet(facts: RunFacts) -> PictureText:
    return PictureText(
        title="Residuals",
        caption=(
            "Residuals of ordinary least squares, before whitening, in up to 6000 voxels evenly "
            "spread over the mask, each voxel's divided by its standard deviation (SD) over "
            "scans. Above: framewise displacement (FD), and the SD over these voxels in each "
            "scan, which is about 1 throughout in homogeneous noise. Below: each row is the mean "
            "of some 30 voxels, divided by its own SD; rows that go along with the mean residual "
            "are on top (Aquino et al. 2020). A bright or dark column is a scan in which many "
            "voxels left the model at once. Shaded scans are censored and have no residuals."
        ),
        alt=f"Residuals of {facts.name} by voxel and scan. {_spread(facts)}{facts.censored}",
    )


def _spread(facts: RunFacts) -> str:
    """Say in which scan the residuals spread the most."""
    values = facts.traces.columns["residual_sd"] if facts.traces is not None else np.empty(0)
    if not np.isfinite(values).any():
        return ""
    worst = int(np.nanargmax(values))
    return (
        f"Their SD over voxels is {brief(float(np.nanmedian(values)))} in the median scan and the "
        f"largest, {brief(float(values[worst]))}, in scan {worst}. "
    )


def _model(facts: RunFacts) -> PictureText:
    noise = {"ar1_median": "autocorrelation", "white_median": "white share"}
    medians = {"tsnr_median": "temporal SNR", "rsquared_median": "R squared", **noise}
    told = [
        f"{title} {facts.text(name)}" for name, title in medians.items() if name in facts.measures
    ]
    return PictureText(
        title="Maps of the model",
        caption=(
            "Axial cuts, left is left. Temporal SNR: mean over the SD of the residuals. R "
            "squared: share of the variance beyond drift and constant that the design takes. "
            "Autocorrelation: from scan to scan, as the noise model has it before whitening. "
            "Each map has colours of its own, which end at the 98th percentile of its absolute "
            "values. Black: no result."
        ),
        alt=(
            f"Maps of the model of {facts.name} at axial cuts. "
            f"Medians: {', '.join(told) or 'n/a'}."
        ),
    )


def _whiteness(facts: RunFacts) -> PictureText:
    lags = ", ".join(facts.text(f"whitened_autocorrelation_lag{lag}") for lag in (1, 2, 3))
    share = facts.measures.get("whitened_outside_share")
    outside = f"{100 * share:.1f} %" if isinstance(share, int | float) else "n/a"
    return PictureText(
        title="Autocorrelation of the residuals",
        caption=(
            "Medians over up to 2000 voxels, before and after whitening, less what the design's "
            "projection causes. Within the band are 95 % of the voxels whose noise is white; the "
            "medians themselves should be near 0 after whitening. Where they are clearly "
            "positive, p values tend to be too small."
        ),
        alt=(
            f"Autocorrelation of the residuals of {facts.name}: before whitening "
            f"{facts.text('residual_autocorrelation_lag1')} at lag 1, after it {lags} at lags 1 "
            f"to 3; {outside} of voxels and lags are outside white noise's 95 % limits."
        ),
    )


_TEXTS: dict[str, Callable[[RunFacts], PictureText]] = {
    "design": _design,
    "corr": _correlation,
    "contrasts": _contrasts,
    "motion": _motion,
    "carpet": _carpet,
    "model": _model,
    "whiteness": _whiteness,
}

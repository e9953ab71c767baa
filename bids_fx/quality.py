"""The measures of a run's quality: what each is, and which limits a run breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bids_fx.report_settings import QualityLimit

#: By the sign of a limit: on which side of it a run fails.
SIDES = {">": "above", "<": "below"}
#: Framewise displacements above this are counted, whether their scans are censored or not.
FD_COUNTED_MM = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number that tells of a run's quality.

    Parameters
    ----------
    name : str
        Key of ``_desc-qc.json`` and column of ``qc.tsv``.
    part : str
        What it tells of: measures of one part follow each other.
    title : str
        What it is called, in a few words.
    description : str
        What it is and how it is computed.
    units : str
        Its units.
    bad : str or None
        Whether large (``>``) or small (``<``) values are bad; None where neither is.
    """

    name: str
    part: str
    title: str
    description: str
    units: str
    bad: Literal[">", "<"] | None = None


_SCANS, _MOTION, _SIGNAL = "Scans and model", "Motion", "Signal and fit"
_NOISE, _RESIDUALS, _DESIGN = "Noise model", "Residuals", "Design"
_RATIO = "ratio"


def _of_map(
    name: str, title: str, what: str, units: str, bad: Literal[">", "<"] | None, part: str
) -> tuple[Measure, Measure]:
    """Return the two measures of a map: its median, and where it has no value."""
    return (
        Measure(
            name=f"{name}_median",
            part=part,
            title=f"{title}, median",
            description=f"Median over the voxels of {what}",
            units=units,
            bad=bad,
        ),
        Measure(
            name=f"{name}_missing",
            part=part,
            title=f"voxels without {title}",
            description=f"Voxels of the mask without a value of {what}",
            units="voxels",
            bad=">",
        ),
    )


def _whitened(lag: int) -> Measure:
    return Measure(
        name=f"whitened_autocorrelation_lag{lag}",
        part=_NOISE,
        title=f"autocorrelation of the whitened residuals, lag {lag}",
        description=f"Median over up to 2000 voxels of the autocorrelation at lag {lag} that is "
        "left after whitening, less what the design's projection causes; near 0 if the noise "
        "model holds",
        units="correlation",
        bad=">",
    )


#: All measures, in the order in which they are shown.
MEASURES: tuple[Measure, ...] = (
    Measure(
        name="n_scans",
        part=_SCANS,
        title="scans",
        description="Stored volumes of the run",
        units="scans",
        bad="<",
    ),
    Measure(
        name="n_censored",
        part=_SCANS,
        title="censored scans",
        description="Scans that are left out of the fit, for whatever reason",
        units="scans",
        bad=">",
    ),
    Measure(
        name="censored_perc",
        part=_SCANS,
        title="censored scans, share",
        description="Share of the stored volumes that is left out of the fit",
        units="percent",
        bad=">",
    ),
    Measure(
        name="rank",
        part=_SCANS,
        title="rank of the design",
        description="Rank of the design of the kept scans",
        units="regressors",
    ),
    Measure(
        name="dof",
        part=_SCANS,
        title="residual degrees of freedom",
        description="Kept scans minus the rank of their design",
        units="degrees of freedom",
        bad="<",
    ),
    Measure(
        name="n_voxels",
        part=_SCANS,
        title="voxels",
        description="Voxels of the run's mask",
        units="voxels",
        bad="<",
    ),
    Measure(
        name="fd_mean",
        part=_MOTION,
        title="framewise displacement, mean",
        description="Mean framewise displacement over all scans that have one",
        units="mm",
        bad=">",
    ),
    Measure(
        name="fd_max",
        part=_MOTION,
        title="framewise displacement, largest",
        description="Largest framewise displacement",
        units="mm",
        bad=">",
    ),
    Measure(
        name="fd_num",
        part=_MOTION,
        title=f"scans with a framewise displacement above {FD_COUNTED_MM:g} mm",
        description=f"Scans with a framewise displacement above {FD_COUNTED_MM:g} mm, censored or "
        "not",
        units="scans",
        bad=">",
    ),
    Measure(
        name="fd_perc",
        part=_MOTION,
        title=f"scans with a framewise displacement above {FD_COUNTED_MM:g} mm, share",
        description="Share of the stored volumes with a framewise displacement above "
        f"{FD_COUNTED_MM:g} mm",
        units="percent",
        bad=">",
    ),
    *_of_map(
        "tsnr",
        "temporal SNR",
        "the temporal signal-to-noise ratio: the mean over the standard deviation of the "
        "residuals of ordinary least squares",
        _RATIO,
        "<",
        _SIGNAL,
    ),
    *_of_map(
        "rsquared",
        "R squared",
        "the share of the variance beyond drift and constant that the design takes",
        _RATIO,
        None,
        _SIGNAL,
    ),
    *_of_map(
        "sigmasq",
        "residual variance",
        "the variance of the noise",
        "squared units of the effects",
        ">",
        _SIGNAL,
    ),
    *_of_map(
        "ar1",
        "autocorrelation",
        "the noise model's autocorrelation from scan to scan",
        "correlation",
        None,
        _NOISE,
    ),
    *_of_map(
        "white",
        "white share of the noise",
        "the share of white noise in the noise's variance",
        _RATIO,
        None,
        _NOISE,
    ),
    Measure(
        name="residual_autocorrelation_lag1",
        part=_NOISE,
        title="autocorrelation of the residuals, lag 1",
        description="Median over up to 2000 voxels of the autocorrelation of the residuals of "
        "ordinary least squares, less what the design's projection causes",
        units="correlation",
    ),
    *(_whitened(lag) for lag in (1, 2, 3)),
    Measure(
        name="whitened_outside_share",
        part=_NOISE,
        title="autocorrelations outside white noise's limits",
        description="Share of up to 2000 voxels and lags 1 to 3 whose autocorrelation after "
        "whitening is beyond the 95 % limits of white noise; near 0.05 if the noise model holds",
        units=_RATIO,
        bad=">",
    ),
    Measure(
        name="residual_sd_max",
        part=_RESIDUALS,
        title="spatial SD of the residuals, largest scan",
        description="Largest over the kept scans of the standard deviation over voxels of the "
        "residuals of ordinary least squares, each voxel's divided by its own SD over scans; "
        "about 1 in every scan of homogeneous noise",
        units="SD over scans",
        bad=">",
    ),
    Measure(
        name="residual_dvars_mean",
        part=_RESIDUALS,
        title="DVARS of the residuals, mean",
        description="Mean over the kept scans of the root mean square over voxels of the change "
        "of these residuals from the scan before; about 1.41 for white noise",
        units="SD over scans",
        bad=">",
    ),
    Measure(
        name="vif_max",
        part=_DESIGN,
        title="variance inflation of a contrast, largest",
        description="Largest variance inflation factor of the contrasts that the run can estimate",
        units=_RATIO,
        bad=">",
    ),
    Measure(
        name="efficiency_min",
        part=_DESIGN,
        title="efficiency of a contrast, smallest",
        description="Smallest efficiency of the contrasts that the run can estimate: 1 over the "
        "variance of the effect at a noise variance of 1; it compares runs of the same contrasts",
        units="1 over squared units of the effects",
        bad="<",
    ),
)

#: By name, in the same order.
BY_NAME = {measure.name: measure for measure in MEASURES}


def broken_limits(
    measures: Mapping[str, object], limits: Sequence[QualityLimit]
) -> tuple[str, ...]:
    """Return which limits a run breaks, in the order of the limits.

    Parameters
    ----------
    measures : mapping of str to float, int or None
        The run's measures. What it does not have breaks no limit (see `unmeasured`).
    limits : sequence of QualityLimit
        What it must keep.

    Examples
    --------
    >>> limit = QualityLimit(measure="fd_mean", sign=">", value=0.5)
    >>> broken_limits({"fd_mean": 0.62}, [limit]), broken_limits({"fd_mean": 0.5}, [limit])
    (('fd_mean is 0.62, above 0.5',), ())
    """
    return tuple(
        f"{limit.measure} is {_told_apart(value, limit.value)}, "
        f"{SIDES[limit.sign]} {limit.value:g}"
        for limit, value in _measured(measures, limits)
        if breaks(limit, value)
    )


def _told_apart(value: float, other: float) -> str:
    """Return a value with as many digits as tell it from another, from which it differs.

    Examples
    --------
    >>> _told_apart(0.62345678, 0.5), _told_apart(0.5000001, 0.5)
    ('0.623457', '0.5000001')
    """
    return f"{value:g}" if f"{value:g}" != f"{other:g}" else f"{value!r}"


def breaks(limit: QualityLimit, value: float) -> bool:
    """Tell whether a value is on the side of a limit where a run fails.

    Examples
    --------
    >>> limit = QualityLimit(measure="tsnr_median", sign="<", value=20.0)
    >>> breaks(limit, 19.5), breaks(limit, 20.0)
    (True, False)
    """
    return value > limit.value if limit.sign == ">" else value < limit.value


def unmeasured(measures: Mapping[str, object], limits: Sequence[QualityLimit]) -> tuple[str, ...]:
    """Return the names of the measures that limits are set to and that a run does not have.

    Examples
    --------
    >>> unmeasured({"fd_mean": None}, [QualityLimit(measure="fd_mean", sign=">", value=0.5)])
    ('fd_mean',)
    """
    measured = {limit.measure for limit, _ in _measured(measures, limits)}
    names = dict.fromkeys(limit.measure for limit in limits)
    return tuple(name for name in names if name not in measured)


def _measured(
    measures: Mapping[str, object], limits: Sequence[QualityLimit]
) -> Iterator[tuple[QualityLimit, float]]:
    """Iterate over the limits whose measure a run has, with its value."""
    for limit in limits:
        value = measures.get(limit.measure)
        if isinstance(value, int | float):
            yield limit, value

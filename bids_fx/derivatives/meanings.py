"""What the maps mean, in words."""

from __future__ import annotations

from bids_fx.model import Contrast

#: What each ``stat-`` label means, for `Description`.
STAT_MEANING = {
    "effect": "Effect",
    "variance": "Sampling variance of the effect",
    "t": "t statistic",
    "z": "z value with the tail probability of t, computed in log space",
    "p": "p value, one-sided (upper tail)",
    "logp": "-log10 of the one-sided p value",
    "dof": "Degrees of freedom of t",
    "nruns": "Number of runs that enter the voxel",
    "q": "Cochran's Q of the runs' effects",
    "qp": "p value of Cochran's Q, by Welch's F test",
    "isq": "I squared: share of the runs' variation beyond sampling error, in percent",
    "tau2": "Variance of the effect between runs (DerSimonian-Laird)",
    "zchange": "Largest change of z when one run is left out: z of all runs minus z without it",
    "zchangerun": "Run whose leaving out changes z most",
    "rsquared": "Share of the variance beyond drift and intercept that the model explains",
    "sigmasq": "Marginal residual variance",
    "ar1": "First-order autocorrelation of the residuals",
    "white": "Share of the noise variance that is white",
    "tsnr": "Temporal signal-to-noise ratio: mean over the standard deviation of the residuals",
}
#: Where an F contrast's maps mean something else.
_F_MEANING = {
    "effect": "Effects of the rows",
    "covariance": "Sampling covariance of the rows' effects",
    "F": "F statistic",
    "z": "z value with the two-sided tail probability of F, never negative",
    "p": "p value of the F test",
    "logp": "-log10 of the p value of the F test",
    "dof": "Denominator degrees of freedom of F",
}
#: How the values of a map are to be read, said after the contrast's name.
_READING = {
    "zchangerun": "; its number in `Runs`, counted from 1; 0 where fewer than two runs enter",
}
_F_READING = {
    "effect": "; one volume a row",
    "covariance": (
        "; upper triangle row by row along the 4th dimension: (1,1), (1,2), …; F = e' C^-1 e / q"
    ),
}


def map_meaning(contrast: Contrast, stat: str, noun: str = "run") -> str:
    """Return what a contrast's map means; `noun` is what is combined, if anything is."""
    is_f = contrast.test == "F"
    meaning = (STAT_MEANING | (_F_MEANING if is_f else {}))[stat]
    reading = (_READING | (_F_READING if is_f else {})).get(stat, "")
    return f"{said_of(noun, meaning)} of contrast '{contrast.name}'{said_of(noun, reading)}"


def said_of(noun: str, text: str) -> str:
    """Return what is said of combined runs as it is said of what a noun names.

    Examples
    --------
    >>> said_of("session", "Run whose leaving out changes z most; its number in `Runs`")
    'Session whose leaving out changes z most; its number in `Inputs`'
    """
    if noun == "run":
        return text
    return text.replace("`Runs`", "`Inputs`").replace("run", noun).replace("Run", noun.title())

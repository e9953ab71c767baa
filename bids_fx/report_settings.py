"""What users can choose of the reports: what they show and find fault with, but no map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Correction = Literal["uncorrected", "fdr", "bonferroni"]
CORRECTIONS: tuple[Correction, ...] = ("uncorrected", "fdr", "bonferroni")
#: By correction for the number of voxels: the error rate that is kept unless another is asked for.
ERROR_RATES: dict[str, float] = {"uncorrected": 0.001, "fdr": 0.05, "bonferroni": 0.05}


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What of a z map is shown and listed.

    Parameters
    ----------
    correction : str
        ``uncorrected``, ``fdr`` (Benjamini and Hochberg's false discovery rate) or
        ``bonferroni``, over the voxels of one map.
    error_rate : float
        The p value, or the corrected rate, that is kept: two-sided for a t contrast, that of F
        for an F contrast; above 0, up to 1.
    """

    correction: Correction = "uncorrected"
    error_rate: float = ERROR_RATES["uncorrected"]

    def __str__(self) -> str:
        """Return it as the command line takes it.

        Examples
        --------
        >>> print(Threshold(correction="fdr", error_rate=0.05))
        fdr:0.05
        """
        return f"{self.correction}:{self.error_rate:g}"

    @property
    def rate_told(self) -> str:
        """The error rate as papers write it.

        Examples
        --------
        >>> Threshold().rate_told, Threshold(correction="fdr", error_rate=1.0).rate_told
        ('.001', '1')
        """
        text = f"{self.error_rate:g}"
        return text.removeprefix("0") if text.startswith("0.") else text


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityLimit:
    """A limit that the quality of every run must keep.

    Parameters
    ----------
    measure : str
        A column of ``qc.tsv``.
    sign : str
        ``>`` or ``<``: on which side of `value` a run fails.
    value : float
        In the measure's units.
    """

    measure: str
    sign: Literal[">", "<"]
    value: float

    def __str__(self) -> str:
        """Return it as the command line takes it.

        Examples
        --------
        >>> print(QualityLimit(measure="fd_mean", sign=">", value=0.5))
        fd_mean>0.5
        """
        return f"{self.measure}{self.sign}{self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """The choices that change what reports show and what they find fault with, but no map.

    Parameters
    ----------
    threshold : Threshold
        What of the z maps is coloured and listed.
    static : bool
        Whether the report does without the viewer of the maps.
    quality_limits : tuple of QualityLimit
        A run that breaks one of them fails its participant, whose results stay.
    """

    threshold: Threshold = field(default_factory=Threshold)
    static: bool = False
    quality_limits: tuple[QualityLimit, ...] = ()

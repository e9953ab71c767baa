"""The options that change what reports show, but no map."""

from __future__ import annotations

from bids_fx.cli.options import Option
from bids_fx.values import quality_limit, threshold

REPORTS = "the reports"


def report_options() -> tuple[Option, ...]:
    """Return the options of the reports."""
    return (
        Option(
            names=("--threshold",),
            group=REPORTS,
            field="report.threshold",
            metavar="KIND[:RATE]",
            convert=threshold,
            help="what of the z maps is coloured and listed: 'uncorrected:P', 'fdr:Q' or "
            "'bonferroni:P' over the voxels of each map, two-sided for t contrasts; without RATE "
            "0.001, 0.05 and 0.05",
        ),
        Option(
            names=("--no-interactive",),
            group=REPORTS,
            kind="flag",
            field="report.static",
            help="leave the viewer out of the reports, which makes them smaller",
        ),
        Option(
            names=("--qc-fail",),
            group=REPORTS,
            kind="each",
            field="report.quality_limits",
            metavar="'MEASURE>VALUE'",
            convert=quality_limit,
            help="fail participants of whom any run breaks this limit, such as 'fd_mean>0.5' or "
            "'tsnr_median<20', whose results stay; the measures are the columns of qc.tsv; may be "
            "repeated",
            at_group=True,
        ),
    )

"""What a design can estimate, and how well, for the sidecar of its matrix."""

from __future__ import annotations

import math

from bids_fx.derivatives.write import six_digits
from bids_fx.glm.contrasts import design_space, variance_inflation
from bids_fx.glm.design import Column, Design
from bids_fx.records import RunContrast

Json = dict[str, object]


def describe_fit(design: Design) -> Json:
    """Return the numbers of the fit: that of the kept scans, without columns that censor.

    Parameters
    ----------
    design : Design
        As it is written.
    """
    n_scans, n_columns = design.fitted.matrix.shape
    rank = design_space(design.fitted.matrix).rank
    return {
        "Scans": n_scans,
        "Columns": n_columns,
        "Rank": rank,
        "ResidualDegreesOfFreedom": n_scans - rank,
    }


def describe_columns(design: Design) -> list[Json]:
    """Return what each column of a design matrix is, and its variance inflation in the fit.

    Parameters
    ----------
    design : Design
        As it is written.

    Returns
    -------
    list of dict
        `VarianceInflation` is null where it is no finite number, and a note says why.
    """
    fitted = design.fitted
    factors = variance_inflation(fitted.matrix).tolist()
    inflation = dict(zip(fitted.names, factors, strict=True))
    return [
        {
            "Name": column.name,
            "Role": column.role,
            "Condition": column.condition,
            "Basis": column.basis,
            **_inflation(column, inflation.get(column.name)),
        }
        for column in design.columns
    ]


def describe_contrast(item: RunContrast) -> Json:
    """Return a contrast of a run: what it asks, whether the run can tell it, and how well.

    Parameters
    ----------
    item : RunContrast
        As it is planned.

    Returns
    -------
    dict
        `Rows`, `Efficiency` and `VarianceInflation` have one entry for each row of the test.
    """
    return {
        "Name": item.contrast.name,
        "Label": item.contrast.label,
        "Formula": item.contrast.formula,
        "Test": item.contrast.test,
        "Rows": [dict(row) for row in item.rows],
        "Estimable": item.reason is None,
        "Reason": item.reason,
        "Efficiency": [six_digits(value) for value in item.efficiency],
        "VarianceInflation": [six_digits(value) for value in item.inflation],
    }


def _inflation(column: Column, factor: float | None) -> Json:
    """Return the variance inflation of a column; None is that of a censored scan's."""
    if factor is None:
        note = "not in the fit: its scan is left out"
    elif math.isnan(factor):
        note = "none: the column does not vary over the scans of the fit"
    elif math.isinf(factor):
        note = "infinite: the column is a combination of others"
    else:
        return {"VarianceInflation": six_digits(factor)}
    return {"VarianceInflation": None, "VarianceInflationNote": note}

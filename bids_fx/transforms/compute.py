"""Instructions that change numbers: of one variable, or of several with the same events."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_fx.transforms.records import FloatArray, TransformError

Arguments = Mapping[str, object]
BoolArray = npt.NDArray[np.bool_]


def number(arguments: Arguments, key: str, default: float) -> float:
    """Return an argument that is a number."""
    value = arguments.get(key, default)
    assert isinstance(value, (int, float))
    return float(value)


def flag(arguments: Arguments, key: str, *, default: bool) -> bool:
    """Return an argument that is true or false."""
    return bool(arguments.get(key, default))


def demean(values: FloatArray, arguments: Arguments) -> FloatArray:
    """Return values without their mean; missing ones stay missing and do not count."""
    return values - _mean(values)


def scale(values: FloatArray, arguments: Arguments) -> FloatArray:
    """Return values as z scores, with the n - 1 standard deviation.

    ``Demean`` and ``Rescale`` (both true) may be switched off. ``ReplaceNA`` puts 0 for missing
    values ``before`` or ``after`` it. Values that are all the same cannot be rescaled, except
    with ``ReplaceNA`` after, which gives 0, as in pybids.
    """
    when = arguments.get("ReplaceNA")
    if when == "before":
        values = np.where(np.isnan(values), 0.0, values)
    known = values[~np.isnan(values)]
    result = values - _mean(values) if flag(arguments, "Demean", default=True) else values
    if flag(arguments, "Rescale", default=True):
        if known.size < 2 or (known == known[0]).all():
            if when != "after":
                raise TransformError(
                    "has no two different values and cannot be rescaled",
                    "'ReplaceNA' 'after' would give 0",
                )
            return np.zeros_like(values)
        result = result / known.std(ddof=1)
    return np.where(np.isnan(result), 0.0, result) if when == "after" else result


def threshold(values: FloatArray, arguments: Arguments) -> FloatArray:
    """Return values above a threshold as they are, others as 0.

    ``Threshold`` is 0; ``Above`` false keeps the values below it; ``Signed`` false compares the
    absolute values with its absolute value; ``Binarize`` makes 1 of what is kept. Values equal to
    the threshold are not kept: pybids keeps them, though its documentation says "above", and
    returns absolute values if unsigned. The published examples are as here.
    """
    cut, compared = number(arguments, "Threshold", 0.0), values
    if not flag(arguments, "Signed", default=True):
        cut, compared = abs(cut), np.abs(values)
    kept = compared > cut if flag(arguments, "Above", default=True) else compared < cut
    result = np.where(kept, 1.0 if flag(arguments, "Binarize", default=False) else values, 0.0)
    return np.where(np.isnan(values), np.nan, result)


def logical_not(values: FloatArray, arguments: Arguments) -> FloatArray:
    """Return 1 where a value is 0, else 0; a missing one stays missing (pybids makes it 0)."""
    return np.where(np.isnan(values), np.nan, (values == 0).astype(np.float64))


def lag(values: FloatArray, arguments: Arguments) -> FloatArray:
    """Return values that come ``Shift`` (1) samples later, or the difference to them.

    `scipy.ndimage.shift`: between samples a spline of ``Order`` (3); beyond the ends the value of
    the end (``Mode`` nearest), the mirrored values (reflect) or ``Constant`` (constant).
    ``Difference`` gives ``x - lagged`` for shifts >= 0 and ``lagged - x`` for negative ones.

    Raises
    ------
    TransformError
        If no value would be left of the samples, or they cannot be interpolated.
    """
    shift, order = number(arguments, "Shift", 1.0), int(number(arguments, "Order", 3))
    if abs(shift) >= values.size:
        raise TransformError(
            f"a 'Shift' of {shift:g} is beyond its samples, which are {values.size}"
        )
    if shift.is_integer():
        order = 0  # exact, and a missing value stays alone
    elif np.isnan(values).any():
        raise TransformError("has missing values, between which nothing can be interpolated")
    shifted = ndimage.shift(
        values,
        shift,
        order=order,
        mode=str(arguments.get("Mode", "nearest")),
        cval=number(arguments, "Constant", 0.0),
    )
    if not flag(arguments, "Difference", default=False):
        return np.asarray(shifted, dtype=np.float64)
    return np.asarray(values - shifted if shift >= 0 else shifted - values, dtype=np.float64)


def mean(values: FloatArray, arguments: Arguments) -> FloatArray:
    """Return the mean everywhere; missing without ``OmitNan`` if a value is missing."""
    return np.full(values.size, _mean(_to_reduce(values, arguments)))


def std_dev(values: FloatArray, arguments: Arguments) -> FloatArray:
    """Return the n - 1 standard deviation everywhere; missing values as in `mean`."""
    kept = _to_reduce(values, arguments)
    return np.full(values.size, kept.std(ddof=1) if kept.size > 1 else np.nan)


#: Instructions that make numbers from the numbers of one variable.
NUMERIC: Mapping[str, Callable[[FloatArray, Arguments], FloatArray]] = {
    "Demean": demean,
    "Lag": lag,
    "Mean": mean,
    "Not": logical_not,
    "Scale": scale,
    "StdDev": std_dev,
    "Threshold": threshold,
}
#: Instructions that join numbers and a ``Value``, where ``Query`` holds if there is one.
OPERATORS: Mapping[str, Callable[[FloatArray, float], npt.NDArray[np.float64]]] = {
    "Add": np.add,
    "Divide": np.divide,
    "Multiply": np.multiply,
    "Power": np.power,
    "Subtract": np.subtract,
}


def operate(
    name: str, values: FloatArray, arguments: Arguments, where: BoolArray | None
) -> FloatArray:
    """Return the outcome of one of `OPERATORS`, on all values or some.

    Raises
    ------
    TransformError
        If a number becomes none, such as a root of a negative one.
    """
    operand = number(arguments, "Value", 0.0)
    with np.errstate(all="ignore"):  # what goes wrong is refused below
        result = np.asarray(OPERATORS[name](values, operand), dtype=np.float64)
    if where is not None:
        result = np.where(where, result, values)
    lost = np.isfinite(values) & ~np.isfinite(result)
    if lost.any():
        raise TransformError(f"{values[lost][0]:g} cannot be taken, the 'Value' being {operand:g}")
    return result


def conjunction(columns: Sequence[FloatArray], arguments: Arguments) -> FloatArray:
    """Return 1 where no value is 0 or missing, else 0."""
    return np.asarray(np.logical_and.reduce(list(map(_truth, columns))), dtype=np.float64)


def disjunction(columns: Sequence[FloatArray], arguments: Arguments) -> FloatArray:
    """Return 1 where a value is neither 0 nor missing, else 0."""
    return np.asarray(np.logical_or.reduce(list(map(_truth, columns))), dtype=np.float64)


def product(columns: Sequence[FloatArray], arguments: Arguments) -> FloatArray:
    """Return the product; missing where a value is (pybids takes it for 1)."""
    with np.errstate(over="ignore", invalid="ignore"):  # what goes wrong is refused afterwards
        return np.asarray(np.multiply.reduce(columns), dtype=np.float64)


def weighted_sum(columns: Sequence[FloatArray], arguments: Arguments) -> FloatArray:
    """Return the sum with ``Weights`` (1); missing where a value is (pybids takes it for 0)."""
    weights = arguments.get("Weights") or (1.0,) * len(columns)
    assert isinstance(weights, tuple)
    if len(weights) != len(columns):
        raise TransformError(f"has {len(weights)} weights for {len(columns)} variables")
    terms = [weight * column for weight, column in zip(weights, columns, strict=True)]
    return np.asarray(np.add.reduce(terms), dtype=np.float64)


#: Instructions that make one variable of several.
JOINT: Mapping[str, Callable[[Sequence[FloatArray], Arguments], FloatArray]] = {
    "And": conjunction,
    "Or": disjunction,
    "Product": product,
    "Sum": weighted_sum,
}


def orthogonalized(values: FloatArray, others: Sequence[FloatArray]) -> FloatArray:
    """Return values without what others explain of them by least squares.

    The fit has an intercept, which stays in (as in pybids): the result is uncorrelated with the
    others, and its mean is the fit's value where they are 0. Missing where any of all is.
    """
    X = np.stack(others, axis=1)
    rows = np.isfinite(values) & np.isfinite(X).all(axis=1)
    with_intercept = np.column_stack([np.ones(np.count_nonzero(rows)), X[rows]])
    weights = np.linalg.lstsq(with_intercept, values[rows], rcond=None)[0][1:]
    result = np.full(values.size, np.nan)
    result[rows] = values[rows] - X[rows] @ weights
    return result


def _truth(values: FloatArray) -> BoolArray:
    return np.asarray(np.isfinite(values) & (values != 0), dtype=np.bool_)


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _to_reduce(values: FloatArray, arguments: Arguments) -> FloatArray:
    if flag(arguments, "OmitNan", default=False):
        return values[~np.isnan(values)]
    return np.full(2, np.nan) if np.isnan(values).any() else values

"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: A minus sign that is as wide as a plus.
MINUS = "\N{MINUS SIGN}"
MISSING = "missing"


def number(value: float, decimals: int = 2) -> str:
    """Return a value with some decimals and a real minus sign; n/a for NaN.

    Examples
    --------
    >>> number(7.519), number(float("nan")), number(12345.0, 0)
    ('7.52', 'n/a', '12,345')
    """
    return "n/a" if math.isnan(value) else f"{value:,.{decimals}f}".replace("-", MINUS)


def brief(value: float) -> str:
    """Return a value with four significant digits.

    Examples
    --------
    >>> brief(61.23456), brief(128.0), brief(2.5e-7), brief(123456.0)
    ('61.23', '128', '2.5e-07', '123,456')
    """
    if math.isnan(value):
        return "n/a"
    text = f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return MINUS + text[1:] if text.startswith("-") else text


def brief_beside(value: float, limit: float) -> str:
    """Return a value as `brief` does, with all its digits where these do not tell it from a limit.

    Examples
    --------
    >>> brief_beside(0.61234567, 0.5), brief_beside(0.50001, 0.5), brief_beside(0.5, 0.5)
    ('0.6123', '0.50001', '0.5')
    """
    text = brief(value)
    return f"{value!r}".replace("-", MINUS) if value != limit and text == brief(limit) else text


def coordinates(xyz: Sequence[float]) -> str:
    """Return a place in whole millimetres.

    Examples
    --------
    >>> coordinates((34.2, 56.0, 18.0))
    '(34, 56, 18)'
    """
    return f"({', '.join(number(round(value) + 0.0, 0) for value in xyz)})"


def count(amount: int, noun: str, none: str = "0") -> str:
    """Return a number of things.

    Examples
    --------
    >>> count(1, "run"), count(0, "warning"), count(1200, "voxel"), count(0, "voxel", "no")
    ('1 run', '0 warnings', '1,200 voxels', 'no voxels')
    """
    return f"{f'{amount:,}' if amount else none} {noun}{'' if amount == 1 else 's'}"


def shorten(text: str, length: int) -> str:
    """Return a text with its middle left out where it is longer than `length`.

    Examples
    --------
    >>> shorten("a_comp_cor_00", 20), shorten("very_long_condition_name", 12)
    ('a_comp_cor_00', 'very_l…_name')
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return text[: length - 1 - tail] + "…" + text[len(text) - tail :]

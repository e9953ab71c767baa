"""F tests: several sums of conditions that are tested together, ``F(sum; sum; ...)``."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Literal, TypeVar

from bids_fx.expressions import F_TEST, SumParser, Terms, parse_terms, to_terms
from bids_fx.vocabulary import ContrastError, Vocabulary

Test = Literal["t", "F"]
_Name = TypeVar("_Name", bound=Hashable)

#: A row is a combination of others where they leave less than this of it at unit norm: weights
#: that agree to eight digits do so by construction, as with the rank of designs.
_DEPENDENCE_TOLERANCE = 1e-8


def parse_rows(text: str, conditions: Iterable[str]) -> tuple[tuple[Terms, ...], Test]:
    """Read a weighted sum of conditions, or an F test of several.

    Parameters
    ----------
    text : str
        The expression, without a name before it.
    conditions : iterable of str
        Every condition that it may name. One that is spelt like an F test, ``F (happy)``, is
        that condition wherever the expression makes sense so.

    Returns
    -------
    rows : tuple of Terms
        Each as `parse_terms` gives it; those of an F test are linearly independent.
    test : str
        ``t`` for a sum, ``F`` for an F test, of one row or more.

    Raises
    ------
    ContrastError
        If the text is neither, or the rows of an F test are linearly dependent.

    Examples
    --------
    >>> rows, test = parse_rows("F(face; body - house)", ["body", "face", "house"])
    >>> rows[1], test
    ((('body', None, 1.0), ('house', None, -1.0)), 'F')
    """
    vocabulary = Vocabulary(conditions)
    text = text.strip()
    head = F_TEST.match(text)
    if head is not None and vocabulary.longest(text, 0)[1] <= 1:
        return _read_f_test(text, head, vocabulary), "F"
    try:
        return (parse_terms(text, conditions),), "t"
    except ContrastError:
        if head is not None:
            with suppress(ContrastError):
                return _read_f_test(text, head, vocabulary), "F"
        raise


def dependence(rows: Sequence[Mapping[_Name, float]]) -> str | None:
    """Say which row is a combination of those before it; None where all are independent.

    Parameters
    ----------
    rows : sequence of mapping of a name to float
        Finite weights by condition, or by column; names that are absent weigh 0.

    Returns
    -------
    str or None
        The first such row, counted from 1.

    Notes
    -----
    Gram and Schmidt's method on the rows at unit norm, each direction taken out twice, so that
    rounding stays far below the tolerance of 1e-8.

    Examples
    --------
    >>> dependence([{"a": 1, "b": -1}, {"b": 1, "c": -1}, {"a": 2, "c": -2}])
    'row 3 is a combination of the rows before it'
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    directions: list[list[float]] = []
    for number, row in enumerate(rows, start=1):
        largest = max(map(abs, row.values()), default=0.0)
        if not largest:
            return f"the weights of row {number} cancel out"
        rest = _at_unit_norm([row.get(name, 0.0) / largest for name in names])
        for direction in 2 * directions:
            share = math.fsum(x * y for x, y in zip(rest, direction, strict=True))
            rest = [x - share * y for x, y in zip(rest, direction, strict=True)]
        if math.hypot(*rest) <= _DEPENDENCE_TOLERANCE:
            is_second = number == 2
            others = "a multiple of row 1" if is_second else "a combination of the rows before it"
            return f"row {number} is {others}"
        directions.append(_at_unit_norm(rest))
    return None


def _read_f_test(text: str, head: re.Match[str], vocabulary: Vocabulary) -> tuple[Terms, ...]:
    """Return the rows of an F test."""
    if head[1] == "f":
        raise ContrastError("an F test is written with a capital F, as in F(face; house)")
    rows: list[Terms] = []
    for form in SumParser(text, vocabulary).read_rows(head.end()):
        try:
            rows.append(to_terms(form, vocabulary))
        except ContrastError as error:
            raise type(error)(f"row {len(rows) + 1} of the F test: {error}") from None
    found = dependence([{term[:2]: term[2] for term in row} for row in rows])
    if found is not None:
        raise ContrastError(f"its rows are linearly dependent: {found}")
    return tuple(rows)


def _at_unit_norm(row: Sequence[float]) -> list[float]:
    size = math.hypot(*row)
    return [weight / size for weight in row]

"""The language of queries."""

from __future__ import annotations

import numpy as np
import pytest

from bids_fx.transforms.query import QueryError, answer, names_in, parse_query, subjects_of

NUMBERS = np.array([1.0, 2.0, 3.0, np.nan])
TEXTS = np.array(["x", "Famous face", None, "x"], dtype=object)
COLUMNS = {"a": NUMBERS, "parametric gain": NUMBERS, "t.b": TEXTS}


def rows(text: str) -> list[int]:
    """Return the rows where a query holds."""
    return np.flatnonzero(answer(parse_query(text, COLUMNS), COLUMNS, 4)).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", [1, 2]),
        ("a>=2", [1, 2]),
        ("a < 2", [0]),
        ("a <= 2", [0, 1]),
        ("a == 2.0", [1]),
        ("a != 2", [0, 2, 3]),
        ("2 < a", [2]),
        ("1 < a <= 2", [1]),
        ("a > -1e0", [0, 1, 2]),
        ("a == a", [0, 1, 2]),
        ("t.b == t.b", [0, 1, 3]),
        ("t.b == 'x'", [0, 3]),
        ('t.b == "x"', [0, 3]),
        ("t.b != 'x'", [1, 2]),
        ("t.b == Famous face", [1]),
        ("t.b == x and a > 2", []),
        ("`t.b` == x", [0, 3]),
        ("parametric gain > 2", [2]),
        ("t.b in ['x', 'y']", [0, 3]),
        ("t.b not in ('x')", [1, 2]),
        ("a in [1, 3]", [0, 2]),
        ("not a > 1", [0, 3]),
        ("~(a > 1)", [0, 3]),
        ("a == 1 or a == 3 and t.b == 'x'", [0]),
        ("(a == 1 or a == 3) & t.b == 'x'", [0]),
        ("a == 1 | a == 3", [0, 2]),
        ("a > 1 AND a < 3", [1]),
    ],
)
def test_query_holds_in_the_rows_that_it_should(text: str, expected: list[int]) -> None:
    assert rows(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a", "the query 'a': expected a comparison such as '==', but it ends"),
        ("a = 1", "the query 'a = 1' cannot be read from '= 1' on"),
        ("(a > 1", "the query '(a > 1': expected ')', but it ends"),
        ("a > 1 a < 2", "expected 'and', 'or' or the end, but found 'a'"),
        ("a in 1", "expected a list such as ['a', 'b'], but found '1'"),
        ("a in [1 2]", "expected ']', but found '2'"),
        ("a not > 1", "expected 'in', but found '>'"),
        ("", "expected a name, a number or a text in quotes, but it ends"),
        ("__import__('os')", "expected a comparison such as '==', but found '('"),
    ],
)
def test_wrong_query_is_told_with_the_place(text: str, told: str) -> None:
    with pytest.raises(QueryError) as caught:
        rows(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a == 'x'", "'x' is a text and a is a number"),
        ("t.b == 1", "t.b is a text and 1.0 is a number"),
        ("t.b > 'x'", "texts cannot be compared by '>'"),
    ],
)
def test_what_cannot_be_compared_is_refused(text: str, told: str) -> None:
    with pytest.raises(QueryError) as caught:
        rows(text)
    assert str(caught.value) == told


def test_names_of_a_query_are_told_apart_from_what_it_asks_of() -> None:
    query = parse_query("a > 1 or not (b == c or d in [e, 1])")
    assert names_in(query) == ("a", "b", "c", "d", "e")
    assert subjects_of(query) == ("a", "b", "d")


def test_empty_name_stands_nowhere_in_a_query() -> None:
    assert names_in(parse_query("a > b", ["", "a"])) == ("a", "b")

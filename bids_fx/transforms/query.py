"""The conditions that events must meet: a small language of comparisons, read without `eval`.

``a > 1``, ``0 < a <= 2``, ``a == 'x'``, ``a in ['x', 'y']``, ``a not in (1, 2)``, joined by
``and`` (``&``), ``or`` (``|``) and ``not`` (``~``), with parentheses. Names that hold more than
letters, digits, ``_`` and ``.`` stand in backticks, or bare where they are known. A word behind
a comparison that is no variable is a text, with or without quotes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


class QueryError(ValueError):
    """A query that cannot be read or answered; its text says why, without a full stop."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name of a variable, or a text without quotes."""

    text: str


#: What is compared: a variable, or a value.
Operand = Name | str | float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparisons of neighbours: ``a < b <= c`` has two operators and three operands."""

    operands: tuple[Operand, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether a variable has one of some values."""

    operand: Operand
    values: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """``and`` (all of the parts), ``or`` (any of them) or ``not`` (of the only part)."""

    kind: str
    parts: tuple[Query, ...]


Query = Comparison | Membership | Junction

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = {"and": "and", "&": "and", "&&": "and", "or": "or", "|": "or", "||": "or"}
_NOT = ("not", "~", "!")
_MAX_DEPTH = 50
_TOKEN = re.compile(
    r"\s*(?:(?P<quoted>'[^']*'|\"[^\"]*\")|`(?P<tick>[^`]+)`"
    r"|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[<>&|~!()\[\],])|(?P<name>[^\W\d][\w.]*))"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse_query(text: str, names: Iterable[str] = ()) -> Query:
    """Return a query as a tree.

    Parameters
    ----------
    text : str
        In the module's language.
    names : iterable of str
        Names of variables that may stand bare though they hold blanks or signs.

    Raises
    ------
    QueryError
        If the text cannot be read; the message says what was expected, and where.

    Examples
    --------
    >>> parse_query("RT > 0.5")
    Comparison(operands=(Name(text='RT'), 0.5), operators=('>',))
    """
    return _Parser(text, tuple(_tokens(text, names))).whole()


def names_in(query: Query) -> tuple[str, ...]:
    """Return the names in a query; those behind a comparison may be texts (`subjects_of`).

    Examples
    --------
    >>> names_in(parse_query("a > 1 and b == c"))
    ('a', 'b', 'c')
    """
    return tuple(dict.fromkeys(x.text for x in _operands(query) if isinstance(x, Name)))


def subjects_of(query: Query) -> tuple[str, ...]:
    """Return the names that a query asks something of, and that must be variables.

    Examples
    --------
    >>> subjects_of(parse_query("a > 1 and b == c and 0 < d <= 2"))
    ('a', 'b', 'd')
    """
    if isinstance(query, Junction):
        found = [name for part in query.parts for name in subjects_of(part)]
    else:
        names = (x.text for x in _operands(query) if isinstance(x, Name))
        found = list(names)[:1]
    return tuple(dict.fromkeys(found))


def _operands(query: Query) -> Iterator[Operand]:
    if isinstance(query, Junction):
        for part in query.parts:
            yield from _operands(part)
    elif isinstance(query, Membership):
        yield query.operand
        yield from query.values
    else:
        yield from query.operands


def answer(query: Query, values: Mapping[str, npt.NDArray[Any]], n_rows: int) -> BoolArray:
    """Return where a query holds.

    Parameters
    ----------
    query : Query
        From `parse_query`.
    values : mapping of str to ndarray of shape (n_rows,)
        Numbers (NaN where one is missing) or texts (None where one is missing) by name.
    n_rows : int
        Number of rows.

    Returns
    -------
    ndarray of bool, shape (n_rows,)
        A missing value is unequal to everything, and neither smaller nor larger.

    Raises
    ------
    QueryError
        If a text is compared with a number, or texts by size.
    """
    if isinstance(query, Junction):
        parts = [answer(part, values, n_rows) for part in query.parts]
        if query.kind == "not":
            return ~parts[0]
        join = np.logical_and if query.kind == "and" else np.logical_or
        return np.asarray(join.reduce(parts), dtype=np.bool_)
    if isinstance(query, Membership):
        hits = [_compare(query.operand, "==", item, values, n_rows) for item in query.values]
        return np.asarray(np.logical_or.reduce(hits), dtype=np.bool_)
    pairs = zip(query.operands, query.operators, query.operands[1:], strict=False)
    held = [_compare(left, sign, right, values, n_rows) for left, sign, right in pairs]
    return np.asarray(np.logical_and.reduce(held), dtype=np.bool_)


def _compare(
    left: Operand, sign: str, right: Operand, values: Mapping[str, npt.NDArray[Any]], n_rows: int
) -> BoolArray:
    a, b = (_column(side, values, n_rows) for side in (left, right))
    texts = [column.dtype == object for column in (a, b)]
    if texts[0] != texts[1]:
        shown = [side.text if isinstance(side, Name) else repr(side) for side in (left, right)]
        if not texts[0]:
            shown.reverse()
        raise QueryError(f"{shown[0]} is a text and {shown[1]} is a number")
    if texts[0] and sign not in ("==", "!="):
        raise QueryError(f"texts cannot be compared by {sign!r}")
    if not texts[0]:
        return np.asarray(_COMPARE[sign](a, b), dtype=np.bool_)
    equal = np.array([x is not None and x == y for x, y in zip(a, b, strict=True)], np.bool_)
    return equal if sign == "==" else ~equal


def _column(
    operand: Operand, values: Mapping[str, npt.NDArray[Any]], n_rows: int
) -> npt.NDArray[Any]:
    if isinstance(operand, Name) and operand.text in values:
        return values[operand.text]
    if isinstance(operand, float):
        return np.full(n_rows, operand)
    return np.full(n_rows, operand.text if isinstance(operand, Name) else operand, dtype=object)


def _tokens(text: str, names: Iterable[str]) -> Iterator[_Token]:
    """Yield the tokens; a known name is found before anything else, the longest first.

    A column of a table may have an empty name, which no query can mean.
    """
    known = sorted(filter(None, dict.fromkeys(names)), key=len, reverse=True)
    at, end = 0, len(text.rstrip())
    while at < end:
        while text[at].isspace():
            at += 1
        name = next((name for name in known if _stands(name, text, at)), None)
        if name is not None:
            yield _Token("name", name)
            at += len(name)
            continue
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise QueryError(f"the query {text!r} cannot be read from {text[at:]!r} on")
        kind, word = found.lastgroup, found[found.lastgroup]
        if kind == "name" and word.casefold() in ("and", "or", "in", "not"):
            kind, word = "sign", word.casefold()
        yield _Token("name" if kind == "tick" else kind, word)
        at = found.end()


def _stands(name: str, text: str, at: int) -> bool:
    after = text[at + len(name) : at + len(name) + 1]
    return text.startswith(name, at) and not (after.isalnum() or after in ("_", "."))


class _Parser:
    """A recursive descent over the tokens."""

    def __init__(self, text: str, tokens: tuple[_Token, ...]) -> None:
        self._text = text
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Query:
        query = self._either()
        if self._at < len(self._tokens):
            raise self._expected("'and', 'or' or the end")
        return query

    def _either(self) -> Query:
        return self._joined("or", self._both)

    def _both(self) -> Query:
        return self._joined("and", self._one)

    def _joined(self, kind: str, read: Callable[[], Query]) -> Query:
        parts = [read()]
        while _WORDS.get(self._sign()) == kind:
            self._at += 1
            parts.append(read())
        return parts[0] if len(parts) == 1 else Junction(kind, tuple(parts))

    def _one(self) -> Query:
        if self._sign() not in (*_NOT, "("):
            return self._comparison()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise QueryError(f"the query {self._text!r} is nested more than {_MAX_DEPTH} deep")
        if self._take("("):
            inner = self._either()
            if not self._take(")"):
                raise self._expected("')'")
        else:
            self._at += 1
            inner = Junction("not", (self._one(),))
        self._depth -= 1
        return inner

    def _comparison(self) -> Query:
        operands, operators = [self._operand()], []
        negated = self._sign() == "not"
        self._at += negated
        if self._take("in"):
            member = Membership(operands[0], self._list())
            return Junction("not", (member,)) if negated else member
        while not negated and self._sign() in _COMPARE:
            operators.append(self._sign())
            self._at += 1
            operands.append(self._operand(is_last=True))
        if not operators:
            raise self._expected("'in'" if negated else "a comparison such as '=='")
        return Comparison(tuple(operands), tuple(operators))

    def _list(self) -> tuple[Operand, ...]:
        closing = {"[": "]", "(": ")"}.get(self._sign())
        if closing is None:
            raise self._expected("a list such as ['a', 'b']")
        self._at += 1
        items = [self._operand()]
        while self._take(","):
            items.append(self._operand())
        if not self._take(closing):
            raise self._expected(repr(closing))
        return tuple(items)

    def _operand(self, *, is_last: bool = False) -> Operand:
        token = self._tokens[self._at] if self._at < len(self._tokens) else _Token("end", "")
        if token.kind not in ("quoted", "number", "name"):
            raise self._expected("a name, a number or a text in quotes")
        self._at += 1
        if token.kind == "quoted":
            return token.text[1:-1]
        if token.kind == "number":
            return float(token.text)
        words = [token.text]
        while is_last and self._kind() == "name":  # a text of several words, without quotes
            words.append(self._tokens[self._at].text)
            self._at += 1
        return Name(" ".join(words))

    def _kind(self) -> str:
        return self._tokens[self._at].kind if self._at < len(self._tokens) else "end"

    def _sign(self) -> str:
        return self._tokens[self._at].text if self._kind() == "sign" else ""

    def _take(self, text: str) -> bool:
        taken = self._sign() == text
        self._at += taken
        return taken

    def _expected(self, what: str) -> QueryError:
        found = self._tokens[self._at].text if self._at < len(self._tokens) else None
        place = "it ends" if found is None else f"found {found!r}"
        return QueryError(f"the query {self._text!r}: expected {what}, but {place}")

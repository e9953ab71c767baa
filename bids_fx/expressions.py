"""Contrast expressions: sums of weighted conditions, parsed and never evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bids_fx.vocabulary import ContrastError, UnknownConditionError, Vocabulary, place

#: A condition and the index of its basis function (None: the condition's own column).
Key = tuple[str, int | None]
#: Weights of conditions; the weight of None is a number that stands without a condition.
Form = dict[Key | None, Fraction]
Terms = tuple[tuple[str, int | None, float], ...]

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?(?![\w.])")
_BASIS = re.compile(r"\s*\[\s*([0-9]{1,4})\s*\]")
#: How an F test begins; in the midst of a sum there is none.
F_TEST = re.compile(r"([fF])\s*\(")
#: The hyphen, and what word processors make of it: the minus sign and the en dash.
_MINUS = "-\u2212\u2013"
_MAX_DEPTH = 50
#: Longer numbers are slips, and would take Python's limit on digits with them.
_MAX_DIGITS = 40
#: Sizes of a weight. Far beyond them, squares overflow or vanish in the maps' single precision.
MIN_WEIGHT, MAX_WEIGHT = 1e-10, 1e10
#: Numerators and denominators of weights beyond this cannot be told apart in double precision.
_MAX_BITS = 4000


class WeightError(ContrastError):
    """A contrast with a weight that is too large or too small."""


def is_weight(value: float | Fraction) -> bool:
    """Tell whether a number can be a condition's weight: 0, or of a size that makes sense.

    Examples
    --------
    >>> is_weight(-0.5), is_weight(0.0), is_weight(1e11), is_weight(1e-11)
    (True, True, False, False)
    """
    return -MAX_WEIGHT <= value <= MAX_WEIGHT and (value == 0 or abs(float(value)) >= MIN_WEIGHT)


def parse_terms(text: str, conditions: Iterable[str]) -> Terms:
    """Read a weighted sum of conditions.

    Parameters
    ----------
    text : str
        The expression, without a name before it.
    conditions : iterable of str
        Every condition that it may name.

    Returns
    -------
    tuple of (str, int or None, float)
        Condition, basis index and weight, in the order of their first appearance. Weights of
        one condition are added up, in exact fractions; those that are zero vanish.

    Raises
    ------
    ContrastError
        If the text is no such sum.

    Examples
    --------
    >>> parse_terms("(face + body)/2 - trial_type.house", ["body", "face", "house"])
    (('face', None, 0.5), ('body', None, 0.5), ('house', None, -1.0))
    >>> parse_terms("2-back - 0-back", ["0-back", "2-back", "2"])
    (('2-back', None, 1.0), ('0-back', None, -1.0))
    """
    vocabulary = Vocabulary(conditions)
    return to_terms(SumParser(text, vocabulary).read(), vocabulary)


def to_terms(form: Form, vocabulary: Vocabulary) -> Terms:
    """Return the terms of a sum.

    Raises
    ------
    ContrastError
        If it is no weighted sum of conditions.
    """
    if form.get(None):
        message = f"a number stands in it without a condition; {vocabulary.listed()}"
        raise UnknownConditionError(message)
    if not any(form):
        raise UnknownConditionError(f"it names no condition; {vocabulary.listed()}")
    weights = [(*key, weight) for key, weight in form.items() if key and weight]
    for name, _, weight in weights:
        if not is_weight(weight):
            raise WeightError(f"the weight of '{name}' is too large or too small")
    terms = tuple((name, basis, float(weight)) for name, basis, weight in weights)
    if not terms:
        raise ContrastError("all its weights are zero")
    return terms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Factor:
    """One factor of a product, as far as it can be told from itself.

    Parameters
    ----------
    form : dict
        Its value.
    number : Fraction or None
        Its other value, where a condition is called by a number (``2``): then the rest of the
        product tells which of the two is meant.
    at : int
        Where it begins.
    """

    form: Form
    number: Fraction | None = None
    at: int

    @property
    def has_condition(self) -> bool:
        """Whether a condition stands in it beyond doubt."""
        return self.number is None and any(self.form)


class SumParser:
    """A recursive-descent parser that finds known names before anything else.

    Parameters
    ----------
    text : str
        The expression.
    vocabulary : Vocabulary
        The conditions that it may name.

    Notes
    -----
    Its grammar::

        F test  = "F" "(" sum (";" sum)* ")"
        sum     = product (("+" | "-") product)*
        product = factor (("*" | "/") factor | factor)*
        factor  = ("+" | "-")* (number | condition ("[" index "]")? | "(" sum ")")
    """

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self._text = text.strip()
        self._at = 0
        self._vocabulary = vocabulary
        #: What a product does not go on with.
        self._ends = "+)];=" + _MINUS

    def read(self) -> Form:
        """Return the value of the whole text."""
        form = self._sum(0)
        if sign := self._peek():
            hint = "; several rows make an F test: F(row; row)" if sign == ";" else ""
            raise ContrastError(f"there is an unexpected sign {self._here()}{hint}")
        return form

    def read_rows(self, start: int) -> list[Form]:
        """Return the values of the sums between semicolons, from a place to the last bracket."""
        self._at = start
        self._ends += ","
        forms: list[Form] = []
        while not forms or self._take(";"):
            if (self._peek() or ";") in ";)":
                raise ContrastError(f"a row of the F test is empty {self._here()}")
            forms.append(self._sum(0))
        if self._peek() == ",":
            raise ContrastError(
                f"a comma stands {self._here()}; rows of an F test are separated by ';'"
            )
        self._close()
        if self._peek():
            raise ContrastError(f"an F test stands alone, without what follows {self._here()}")
        return forms

    def _peek(self) -> str:
        """Return the next character that is no space, and go there; empty at the end."""
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _take(self, characters: str) -> str:
        """Return the next character and go on if it is one of some; else return nothing."""
        character = self._peek()
        if not character or character not in characters:
            return ""
        self._at += 1
        return character

    def _close(self) -> None:
        """Go over a closing bracket."""
        if not self._take(")"):
            raise ContrastError(f"a closing bracket is missing {self._here()}")

    def _here(self, at: int | None = None) -> str:
        """Tell a place of the text to the user."""
        return place(self._text, self._at if at is None else at)

    def _signs(self) -> int:
        """Read any number of signs and return their product."""
        sign = 1
        while character := self._take("+" + _MINUS):
            sign = -sign if character in _MINUS else sign
        return sign

    def _sum(self, depth: int) -> Form:
        """Read a sum."""
        total: Form = {}
        sign = self._signs()
        while True:
            for key, weight in self._product(depth).items():
                total[key] = _checked(total.get(key, Fraction()) + sign * weight)
            if not (self._peek() and self._peek() in "+" + _MINUS):
                return total
            sign = self._signs()

    def _product(self, depth: int) -> Form:
        """Read a product, in which one factor at most may hold conditions."""
        factors = [self._factor(depth)]
        divisors: list[_Factor] = []
        while True:
            if self._take("*"):
                factors.append(self._factor(depth))
            elif self._take("/"):
                divisors.append(self._factor(depth))
            elif self._peek() and self._peek() not in self._ends:
                factors.append(self._neighbour(factors, depth))
            else:
                break
        return _divide(self._multiply(factors), divisors, self._here)

    def _neighbour(self, factors: Sequence[_Factor], depth: int) -> _Factor:
        """Read a condition or a bracket that follows a number without a sign, as in ``2 face``."""
        at = self._at
        factor = self._factor(depth)
        if any(other.has_condition for other in factors) or not any(factor.form):
            raise ContrastError(
                f"a sign is missing {self._here(at)}; conditions are joined by + and -, "
                "weights by *, and names that hold a space stand in backticks"
            )
        return _Factor(form=factor.form, at=at)

    def _multiply(self, factors: Sequence[_Factor]) -> Form:
        """Multiply factors, having decided for those that may be a condition or a number."""
        is_clear = any(factor.has_condition for factor in factors)
        doubtful = [factor for factor in factors if factor.number is not None]
        if not is_clear and len(doubtful) > 1:
            raise ContrastError(
                f"numbers and conditions cannot be told apart {self._here(doubtful[0].at)}; "
                "put the condition in backticks"
            )
        product: Form = {None: Fraction(1)}
        for factor in factors:
            if is_clear and factor.number is not None:
                form: Form = {None: factor.number}
            else:
                form = factor.form
            if any(product) and any(form):
                raise ContrastError(f"conditions cannot be multiplied {self._here(factor.at)}")
            product = {
                key or other: _checked(weight * further)
                for key, weight in product.items()
                for other, further in form.items()
            }
        return product

    def _factor(self, depth: int) -> _Factor:
        """Read a number, a condition or a bracket, with any signs before it."""
        sign = self._signs()
        character, at = self._peek(), self._at
        if not character or character in "*/)];=[":
            raise ContrastError(f"a condition or a number is missing {self._here()}")
        name, end = self._vocabulary.find(self._text, at)
        number = _NUMBER.match(self._text, at)
        if name is not None and (number is None or end >= number.end()):
            return self._condition(name, end, sign, number)
        if number is not None:
            self._at = number.end()
            return _Factor(form={None: sign * _to_fraction(number[0])}, at=at)
        if character == "(":
            return self._bracket(depth, sign)
        if F_TEST.match(self._text, at):
            raise ContrastError(f"an F test stands alone, with nothing before it {self._here()}")
        return self._condition(*self._vocabulary.find_prefixed(self._text, at), sign)

    def _bracket(self, depth: int, sign: int) -> _Factor:
        """Read a sum in brackets."""
        at = self._at
        if depth >= _MAX_DEPTH:
            raise ContrastError(f"brackets are nested more than {_MAX_DEPTH} deep")
        self._at += 1
        form = self._sum(depth + 1)
        self._close()
        return _Factor(form=_scaled(form, sign), at=at)

    def _condition(
        self, name: str, end: int, sign: int, number: re.Match[str] | None = None
    ) -> _Factor:
        """Return the factor of a condition that ends at a place, with its basis index."""
        at, self._at = self._at, end
        basis = _BASIS.match(self._text, end)
        if basis is not None:
            self._at = basis.end()
        elif self._peek() == "[":
            raise ContrastError(f"a basis index must be a whole number {self._here()}")
        form: Form = {(name, None if basis is None else int(basis[1])): Fraction(sign)}
        if number is None or basis is not None or number.end() != end:
            return _Factor(form=form, at=at)
        return _Factor(form=form, number=sign * _to_fraction(number[0]), at=at)


def _scaled(form: Form, factor: int) -> Form:
    """Return a form times a whole number."""
    return {key: factor * weight for key, weight in form.items()}


def _divide(form: Form, divisors: Iterable[_Factor], where: Callable[[int], str]) -> Form:
    """Divide a form by numbers."""
    for divisor in divisors:
        if divisor.has_condition:
            raise ContrastError(f"a condition cannot divide {where(divisor.at)}")
        number = divisor.number or divisor.form.get(None, Fraction())
        if not number:
            raise ContrastError(f"a division by zero stands {where(divisor.at)}")
        form = {key: _checked(weight / number) for key, weight in form.items()}
    return form


def _to_fraction(text: str) -> Fraction:
    """Return the exact value of a number."""
    if len(text) > _MAX_DIGITS:
        raise ContrastError(f"the number {text[:20]}… has more than {_MAX_DIGITS} characters")
    return _checked(Fraction(text))


def _checked(weight: Fraction) -> Fraction:
    """Return a weight whose terms are not absurdly long."""
    if max(weight.numerator.bit_length(), weight.denominator.bit_length()) > _MAX_BITS:
        raise WeightError("a weight is too large or too small")
    return weight

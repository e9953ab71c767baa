"""Contrast expressions: sums of weighted conditions, parsed and never evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bids_fx.suggest import closest, did_you_mean, listed

#: A condition and the index of its basis function (None: the condition's own column).
Key = tuple[str, int | None]
#: Weights of conditions; the weight of None is a number that stands without a condition.
Form = dict[Key | None, Fraction]
Terms = tuple[tuple[str, int | None, float], ...]

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?(?![\w.])")
_QUOTED = re.compile(r"`((?:[^`]|``)*)`|'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"")
_BASIS = re.compile(r"\s*\[\s*([0-9]{1,4})\s*\]")
#: What is taken for a name that is not known, for the message about it.
_CHUNK = re.compile(r"[^\s()+*/=\[\]`]+")
_WORD = re.compile(r"[\w.]+")
_F_TEST = re.compile(r"F\s*\(")
#: Names that can be found without quotes; any other would hide the signs around it.
_BARE = re.compile(r"[^\s+\-*/=`'\")\[\]][^`]*(?<![\s+\-*/=\[(])", re.DOTALL)
#: The hyphen, and what word processors make of it: the minus sign and the en dash.
_MINUS = "-\u2212\u2013"
_PREFIX = "trial_type."
_MAX_DEPTH = 50
#: Longer numbers are slips, and would take Python's limit on digits with them.
_MAX_DIGITS = 40
#: Numerators and denominators of weights beyond this cannot be told apart in double precision.
_MAX_BITS = 4000


class ContrastError(ValueError):
    """A contrast expression that cannot be read; its text says what is wrong, and where."""


class UnknownConditionError(ContrastError):
    """A contrast expression that names no known condition where one is needed."""


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
    names = sorted(set(conditions))
    form = _Parser(text, names).read()
    if form.pop(None, Fraction()):
        message = f"a number stands in it without a condition; {_there_are(names)}"
        raise UnknownConditionError(message)
    if not form:
        raise UnknownConditionError(f"it names no condition; {_there_are(names)}")
    terms = tuple((key[0], key[1], _to_float(form[key])) for key in form if key and form[key])
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


class _Parser:
    """A recursive-descent parser that finds known names before anything else.

    Notes
    -----
    Its grammar::

        sum     = product (("+" | "-") product)*
        product = factor (("*" | "/") factor | factor)*
        factor  = ("+" | "-")* (number | condition ("[" index "]")? | "(" sum ")")
    """

    def __init__(self, text: str, conditions: Sequence[str]) -> None:
        self._text = text.strip()
        self._at = 0
        self._names = sorted(conditions, key=len, reverse=True)
        self._bare = [name for name in self._names if _BARE.fullmatch(name)]

    def read(self) -> Form:
        """Return the value of the whole text."""
        if _F_TEST.match(self._text, self._at) and self._longest_condition(self._at)[1] < 2:
            raise ContrastError("F tests are not in force yet; write a contrast for each row")
        form = self._sum(0)
        if self._peek():
            raise ContrastError(f"there is an unexpected sign {self._here()}")
        return form

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

    def _here(self, at: int | None = None) -> str:
        """Tell a place of the text to the user."""
        rest = self._text[self._at if at is None else at :].strip()
        if not rest:
            return "at its end"
        return f"at '{rest if len(rest) <= 25 else rest[:24] + '…'}'"

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
            elif self._peek() and self._peek() not in "+)];=" + _MINUS:
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
        name, end = self._name(at)
        number = _NUMBER.match(self._text, at)
        if name is not None and (number is None or end >= number.end()):
            return self._condition(name, end, sign, number)
        if number is not None:
            self._at = number.end()
            return _Factor(form={None: sign * _to_fraction(number[0])}, at=at)
        if character == "(":
            return self._bracket(depth, sign)
        if self._text.startswith(_PREFIX, at):
            at += len(_PREFIX)
            name, end = self._name(at)
        if name is None:
            raise self._unknown(at)
        return self._condition(name, end, sign)

    def _bracket(self, depth: int, sign: int) -> _Factor:
        """Read a sum in brackets."""
        at = self._at
        if depth >= _MAX_DEPTH:
            raise ContrastError(f"brackets are nested more than {_MAX_DEPTH} deep")
        self._at += 1
        form = self._sum(depth + 1)
        if not self._take(")"):
            raise ContrastError(f"a closing bracket is missing {self._here()}")
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

    def _name(self, at: int) -> tuple[str | None, int]:
        """Return the condition that stands at a place, quoted or not, and its end."""
        if self._text[at : at + 1] not in ("`", "'", '"'):
            return self._longest_condition(at)
        quoted = _QUOTED.match(self._text, at)
        if quoted is None:
            raise ContrastError(f"a closing quote is missing {self._here(at)}")
        return self._quoted_name(quoted), quoted.end()

    def _quoted_name(self, quoted: re.Match[str]) -> str:
        """Return the condition that a quoted text names."""
        mark = quoted[0][0]
        text = quoted[0][1:-1].replace(2 * mark, mark)
        for name in (text, text.strip(), text.strip().removeprefix(_PREFIX)):
            if name in self._names:
                return name
            alike = [known for known in self._names if known.casefold() == name.casefold()]
            if alike:
                return _only(alike, name)
        raise _not_known(text, self._names)

    def _longest_condition(self, at: int) -> tuple[str | None, int]:
        """Return the longest condition that stands at a place, and its end."""
        for name in self._bare:
            if self._text.startswith(name, at) and self._ends(at + len(name)):
                return name, at + len(name)
        alike: list[str] = []
        for name in self._bare:
            match = re.compile(re.escape(name), re.IGNORECASE).match(self._text, at)
            is_longest = not alike or len(alike[0]) == len(name)
            if match is not None and is_longest and self._ends(match.end()):
                alike.append(name)
        if not alike:
            return None, at
        return _only(alike, self._text[at : at + len(alike[0])]), at + len(alike[0])

    def _ends(self, end: int) -> bool:
        """Tell whether no word goes on over a place."""
        before, after = self._text[end - 1], self._text[end : end + 1]
        return not (_is_word(before) and (_is_word(after) or after == "."))

    def _unknown(self, at: int) -> UnknownConditionError:
        """Return the error about a name that is not known."""
        chunk, word = _CHUNK.match(self._text, at), _WORD.match(self._text, at)
        texts = [match[0] for match in (chunk, word) if match is not None]
        # "right-hnd" may be one name or two: the one is meant that is like a condition.
        likely = next((text for text in texts if closest(text, self._names)), None)
        return _not_known(likely or (texts or [self._text[at : at + 1]])[-1], self._names)


def _is_word(character: str) -> bool:
    """Tell whether a character, if there is one, belongs to a word."""
    return character.isalnum() or character == "_"


def _only(alike: Sequence[str], text: str) -> str:
    """Return the only name of some, or refuse them."""
    if len(alike) > 1:
        raise ContrastError(f"'{text}' may mean any of {', '.join(alike)}, which differ in case")
    return alike[0]


def _not_known(text: str, names: Sequence[str]) -> UnknownConditionError:
    """Return the error about a name, with the names that there are."""
    question = did_you_mean(text, names)
    shown = text if len(text) <= 40 else text[:39] + "…"
    return UnknownConditionError(
        f"there is no condition '{shown}'{f' ({question})' if question else ''}; "
        f"{_there_are(sorted(names))}"
    )


def _there_are(names: Sequence[str]) -> str:
    """Tell which conditions there are."""
    return f"the conditions are: {listed(names)}"


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


def _to_float(weight: Fraction) -> float:
    """Return a weight in double precision."""
    try:
        value = float(weight)
    except OverflowError:
        value = 0.0
    if value == 0:
        raise ContrastError("a weight is too large or too small")
    return value


def _checked(weight: Fraction) -> Fraction:
    """Return a weight whose terms are not absurdly long."""
    if max(weight.numerator.bit_length(), weight.denominator.bit_length()) > _MAX_BITS:
        raise ContrastError("a weight is too large or too small")
    return weight

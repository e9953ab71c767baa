"""What is asked of the data: contrasts, as users write them and as the models need them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from bids_fx.entities import to_label
from bids_fx.expressions import Terms, parse_terms
from bids_fx.f_tests import Test, dependence, parse_rows
from bids_fx.vocabulary import ContrastError, UnknownConditionError

__all__ = [
    "Contrast",
    "ContrastError",
    "UnknownConditionError",
    "automatic_contrasts",
    "contrast_labels",
    "dependence",
    "parse_contrast",
    "write_rows",
    "write_sum",
    "write_terms",
]

#: File names hold 255 bytes; longer labels would leave too little for the entities.
MAX_LABEL = 80

#: Quoted names, whose ``=`` is their own; an apostrophe within a word opens no quotes.
_QUOTED = re.compile(r"(?<!\w)(?:`[^`]*`|'[^']*'|\"[^\"]*\")")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A named contrast of conditions.

    Parameters
    ----------
    name : str
        As the user wrote it, for people.
    label : str
        Letters and digits only, for file names.
    rows : tuple of Terms
        One for a t test, one or more for an F test; each of condition, index of its basis
        function (None: the condition's own column) and weight. Empty for maps made beforehand.
    formula : str
        The weights written out, for example ``0.5*face + 0.5*body - house``, and for an F test
        ``F(face - house; body - house)``.
    test : str
        ``t`` or ``F``.
    """

    name: str
    label: str
    rows: tuple[Terms, ...]
    formula: str
    test: Test = "t"


def parse_contrast(text: str, conditions: Sequence[str]) -> Contrast:
    """Read a contrast as users write it: ``NAME = expression``, or the expression alone.

    Parameters
    ----------
    text : str
        Sums of conditions with weights, fractions and brackets; ``F(sum; sum; ...)`` is an F
        test of all of them. Names stand in backticks or quotes, or else the longest known
        condition is found first.
    conditions : sequence of str
        Every condition that it may name.

    Returns
    -------
    Contrast
        Its label may be empty, see `contrast_labels`.

    Raises
    ------
    ContrastError
        If the text cannot be read, or means nothing; its message is one sentence without a full
        stop that says what is wrong, and where.
    UnknownConditionError
        If it names something that is no condition.

    Examples
    --------
    >>> contrast = parse_contrast("0.5*face + 1/2 body - house", ["body", "face", "house"])
    >>> contrast.label, contrast.formula
    ('faceBodyGtHouse', '0.5*face + 0.5*body - house')
    >>> parse_contrast("load = 2-back - 0-back", ["0-back", "2-back"]).label
    'load'
    >>> parse_contrast("F(face - house; body)", ["body", "face", "house"]).label
    'fFaceGtHouseBody'
    """
    name, expression = _split_name(text)
    if not expression:
        raise ContrastError("the expression is empty")
    rows, test = parse_rows(expression, conditions)
    label = _formula_label(rows, test) if name is None else to_label(name)
    if name is not None and len(label) > MAX_LABEL:
        raise ContrastError(f"its name has more than {MAX_LABEL} letters and digits")
    return Contrast(
        name=" ".join(expression.split()) if name is None else name,
        label=label,
        rows=rows,
        formula=write_rows(rows, test, conditions),
        test=test,
    )


def contrast_labels(contrasts: Iterable[Contrast]) -> tuple[Contrast, ...]:
    """Give the contrasts that have no label one by their number: ``cond1``, ``cond2``, ….

    Parameters
    ----------
    contrasts : iterable of Contrast
        In their order, which the numbers follow; labels of other contrasts are left out.

    Examples
    --------
    >>> contrasts = contrast_labels([parse_contrast("`脸`", ["脸", "face"])])
    >>> contrasts[0].label, contrasts[0].name
    ('cond1', '`脸`')
    """
    contrasts = tuple(contrasts)
    taken = {contrast.label.casefold() for contrast in contrasts}
    free = (f"cond{n}" for n in range(1, 2 * len(contrasts) + 2) if f"cond{n}" not in taken)
    return tuple(
        contrast if contrast.label else replace(contrast, label=next(free))
        for contrast in contrasts
    )


def automatic_contrasts(conditions: Iterable[str]) -> tuple[Contrast, ...]:
    """Return each condition, and each condition minus the mean of the others.

    Parameters
    ----------
    conditions : iterable of str
        In the order that the contrasts are to have.

    Returns
    -------
    tuple of Contrast
        With their labels; of two conditions the differences are named by both.

    Examples
    --------
    >>> [contrast.label for contrast in automatic_contrasts(["face", "house"])]
    ['face', 'house', 'faceGtHouse', 'houseGtFace']
    >>> automatic_contrasts(["body", "face", "house"])[3].formula
    'body - 0.5*face - 0.5*house'
    """
    names = tuple(dict.fromkeys(conditions))
    alone = contrast_labels(
        _weighted(name, _short(to_label(name)), ((name, None, 1.0),), names) for name in names
    )
    if len(names) < 2:
        return alone
    labels = {contrast.name: contrast.label for contrast in alone}
    differences = []
    for name in names:
        others = [other for other in names if other != name]
        rest = tuple((other, None, -1.0 / len(others)) for other in others)
        called, word = others[0], labels[others[0]]
        if len(others) > 1:
            called = word = "others"
        label = _short(_joined([labels[name], "gt", word]))
        terms = ((name, None, 1.0), *rest)
        differences.append(_weighted(f"{name} - {called}", label, terms, names))
    return contrast_labels(alone + tuple(differences))


def write_terms(terms: Terms, conditions: Sequence[str]) -> str:
    """Write weights out so that `parse_terms` gives the same weights again.

    Parameters
    ----------
    terms : tuple of (str, int or None, float)
        Condition, basis index and weight.
    conditions : sequence of str
        Every condition that the text must not be mistaken for.

    Examples
    --------
    >>> write_terms((("face", None, 0.5), ("2-back", 1, -1 / 3)), ["2-back", "face"])
    '0.5*face - 1/3*`2-back`[1]'
    """
    text = _written(terms, guarded=False)
    try:
        is_faithful = parse_terms(text, conditions) == terms
    except ContrastError:
        is_faithful = False
    return text if is_faithful else _written(terms, guarded=True)


def write_rows(rows: Sequence[Terms], test: Test, conditions: Sequence[str]) -> str:
    """Write a contrast out so that `parse_contrast` gives the same rows again.

    Parameters
    ----------
    rows : sequence of Terms
        One for a t test, one or more for an F test.
    test : str
        ``t`` or ``F``.
    conditions : sequence of str
        Every condition that the text must not be mistaken for.

    Examples
    --------
    >>> rows = ((("face", None, 1.0),), (("2-back", 1, -0.5),))
    >>> write_rows(rows, "F", ["2-back", "face"])
    'F(face; -0.5*`2-back`[1])'
    """
    if test == "t":
        return write_terms(rows[0], conditions)
    text = _written_f_test(rows, guarded=False)
    try:
        is_faithful = parse_rows(text, conditions) == (tuple(rows), test)
    except ContrastError:
        is_faithful = False
    return text if is_faithful else _written_f_test(rows, guarded=True)


def _written_f_test(rows: Sequence[Terms], *, guarded: bool) -> str:
    return f"F({'; '.join(_written(terms, guarded=guarded) for terms in rows)})"


def _written(terms: Terms, *, guarded: bool) -> str:
    """Write weights out; `guarded` puts every name in backticks and uses no fraction."""
    parts = []
    for name, basis, weight in terms:
        is_plain = name.isidentifier() and not guarded
        quoted = name if is_plain else "`" + name.replace("`", "``") + "`"
        parts.append((weight, quoted + ("" if basis is None else f"[{basis}]")))
    return write_sum(parts, exact=guarded)


def write_sum(terms: Iterable[tuple[float, str]], *, exact: bool = False) -> str:
    """Write a weighted sum out; `exact` uses no fraction.

    Examples
    --------
    >>> write_sum([(1.0, "face[ses-1]"), (-0.5, "face[ses-2]")])
    'face[ses-1] - 0.5*face[ses-2]'
    """
    text = ""
    for weight, name in terms:
        size = "" if abs(weight) == 1 else _number_text(abs(weight), exact=exact) + "*"
        text += (" - " if weight < 0 else " + ") + size + name
    return ("-" if text.startswith(" - ") else "") + text[3:]


def _number_text(weight: float, *, exact: bool) -> str:
    """Write a positive weight as a short decimal number, or as a fraction where that is short."""
    text = repr(weight).removesuffix(".0")
    ratio = Fraction(weight).limit_denominator(1000)
    # 8 characters: 0.5, 0.125 and the like stay as they are, a third becomes 1/3.
    if len(text) > 8 and float(ratio) == weight and ratio.denominator > 1 and not exact:
        return str(ratio)
    return text


def _weighted(name: str, label: str, terms: Terms, conditions: Sequence[str]) -> Contrast:
    """Return a contrast of given weights."""
    return Contrast(name=name, label=label, rows=(terms,), formula=write_terms(terms, conditions))


def _split_name(text: str) -> tuple[str | None, str]:
    """Return the name before the first ``=`` outside quotes, if there is one, and the rest."""
    masked = _QUOTED.sub(lambda match: "." * len(match[0]), text)
    place = masked.find("=")
    if place < 0:
        return None, text.strip()
    name = " ".join(text[:place].split())
    if len(name) > 1 and name[0] == name[-1] and name[0] in "`'\"":
        name = name[1:-1].strip()
    if not name:
        raise ContrastError("no name stands before the '='")
    return name, text[place + 1 :].strip()


def _formula_label(rows: Sequence[Terms], test: Test) -> str:
    """Return the label of a contrast without a name; empty where a condition has none."""
    words = [_row_label(terms) for terms in rows]
    if not all(words):
        return ""
    return _short(_joined(["f", *words] if test == "F" else words))


def _row_label(terms: Terms) -> str:
    """Return the label of one weighted sum; empty where a condition has none."""
    sides: dict[bool, list[str]] = {True: [], False: []}
    for condition, basis, weight in terms:
        word = to_label(condition if basis is None else f"{condition} {basis}")
        if not to_label(condition):
            return ""
        sides[weight > 0].append(word)
    if not sides[False]:
        return _joined(sides[True])
    if not sides[True]:
        return _joined(["neg", *sides[False]])
    return _joined([*sides[True], "gt", *sides[False]])


def _joined(words: Sequence[str]) -> str:
    """Join words in camelCase.

    Examples
    --------
    >>> _joined(["face", "gt", "house"])
    'faceGtHouse'
    """
    return words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])


def _short(label: str) -> str:
    """Return a label, or nothing where it is too long for a file name."""
    return label if len(label) <= MAX_LABEL else ""

"""Contrast expressions, queries and values of options: read, or refused in our own words."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, example
from hypothesis import strategies as st

from bids_fx.cli.table import OPTIONS
from bids_fx.entities import Entities, canonical_label, parse_name, same_label, to_label
from bids_fx.errors import usage_problem
from bids_fx.glm.names import fir_delays
from bids_fx.model import ContrastError, contrast_labels, parse_contrast
from bids_fx.transforms.query import QueryError, parse_query
from bids_fx.values import BadValueError
from tests.fuzzing import TEXTS, TOKENS, check_problems, fuzz

#: Names that have something to do with each other, or with the signs of an expression.
CONDITIONS = (
    *("face", "house", "2-back", "0-back", "2", "face house", "Face", "f", "F", "a=b", "x`y"),
    *("脸", "it's", "trial_type.face", "-", "(", "[1]", "1e3", "parametric gain", " ", "neg"),
)
_NAMES = st.sampled_from(CONDITIONS)
_QUOTED = st.builds(
    lambda name, mark: mark + name.replace(mark, mark * 2) + mark, _NAMES, st.sampled_from("`'\"")
)
_NUMBERS = st.sampled_from(("1", "0", "2", ".5", "1/3", "1e3", "1e-300", "1e999", "9" * 50, "0.1"))
_SIGNS = st.sampled_from(
    (*"+-*/()[];=,", "\u2212", "F(", "f (", " ", "[1]", "[99999]", " = ", "  ")
)
EXPRESSIONS = st.one_of(
    st.lists(st.one_of(_NAMES, _QUOTED, _NUMBERS, _SIGNS, _SIGNS, TEXTS), max_size=14).map(
        "".join
    ),
    st.lists(st.one_of(_NAMES, _NUMBERS, _SIGNS), max_size=14).map(" ".join),
    TEXTS,
)


@st.composite
def sums(draw: st.DrawFn, depth: int = 2) -> tuple[str, dict[str, float]]:
    """Return a sound sum of quoted conditions, and its weights."""
    parts: list[str] = []
    total: dict[str, float] = {}
    for _ in range(draw(st.integers(1, 4))):
        sign = draw(st.sampled_from((1.0, -1.0)))
        factor = draw(st.sampled_from((0.5, 1.0, 2.0, 3.0, 0.125)))
        if depth and draw(st.integers(0, 3)) == 0:
            text, own = draw(sums(depth - 1))
            text = f"({text})"
        else:
            name = draw(_NAMES)
            text, own = "`" + name.replace("`", "``") + "`", {name: 1.0}
        text = draw(st.sampled_from((f"{factor}*{text}", f"{text}*{factor}", f"{factor} {text}")))
        parts.append(f"{'-' if sign < 0 else '+'}{draw(st.sampled_from(('', ' ')))}{text}")
        for name, weight in own.items():
            total[name] = total.get(name, 0.0) + sign * factor * weight
    return " ".join(parts), total


@fuzz(300, soak=20_000, text=EXPRESSIONS, known=st.lists(_NAMES, max_size=8))
@example(text="(" * 10_000, known=["face"])
@example(text="-" * 100_000 + "face", known=["face"])
@example(text="face" + " + face" * 5_000, known=["face"])
@example(text="'" * 50_001, known=["face"])
@example(text="x" * 100_000, known=["face"])
def test_a_contrast_is_read_and_written_so_that_it_is_the_same_or_refused(text, known):
    try:
        contrast = parse_contrast(text, known)
    except ContrastError as error:
        check_problems([usage_problem("--contrast", str(error), "write another")])
        return
    assert contrast.rows
    for row in contrast.rows:
        assert {name for name, _, _ in row} <= set(known)
        assert all(math.isfinite(weight) and weight for _, _, weight in row)
    again = parse_contrast(contrast.formula, known)
    assert (again.rows, again.test) == (contrast.rows, contrast.test)
    (labelled,) = contrast_labels([contrast])
    assert labelled.label.isascii()
    assert labelled.label.isalnum()
    assert len(labelled.label) <= 80


@fuzz(200, soak=8_000, written=sums())
def test_a_sound_sum_of_conditions_has_the_weights_that_it_says(written):
    text, weights = written
    expected = {name: weight for name, weight in weights.items() if weight}
    assume(expected)
    (row,) = parse_contrast(f"named = {text}", CONDITIONS).rows
    assert {name: weight for name, _, weight in row} == expected


_OPERANDS = st.one_of(
    _NAMES,
    _NAMES.map("`{}`".format),
    _NUMBERS,
    st.sampled_from(("'x'", '"y"', "['a', 1]", "(1, 2)", "[]", "True", "None", "-1")),
    TEXTS,
)
_WORDS = st.sampled_from(
    (*"<>&|~()[],", "==", "!=", "<=", ">=", "and", "or", "not", "in", "not in", "=", "is")
)
QUERIES = st.lists(st.one_of(_OPERANDS, _WORDS), max_size=12).map(" ".join) | TEXTS


@fuzz(300, soak=10_000, text=QUERIES, known=st.lists(_NAMES, max_size=6))
@example(text="(" * 10_000, known=[])
@example(text="not " * 50_000 + "a > 1", known=["a"])
@example(text="~" * 50_000 + "(a > 1)", known=["a"])
@example(text="a > 1" + " and a > 1" * 5_000, known=["a"])
@example(text="'" + "\\" * 50_000, known=[])
def test_a_query_is_read_or_refused(text, known):
    try:
        parse_query(text, known)
    except QueryError as error:
        check_problems([usage_problem("Query", str(error), "write another")])


_VALUES = st.one_of(
    TEXTS,
    st.lists(
        st.sampled_from((*TOKENS, ":", ">", "<", "fd_mean", "fdr", "run", "iso")), max_size=4
    ).map("".join),
    st.sampled_from(
        (
            *("MNI152NLin2009cAsym:res-2", "func", ":res-2", "T1w:res-", "8G", "8GiB", "1e400G"),
            *("fdr:0.05", "bonferroni:", "fdr:-1", "fd_mean>0.5", "fd_mean>nan", "5:run:iso:x"),
            *(
                "fir:0,1,2",
                "fir:0-1000000000",
                "fir:0-5",
                "spm+derivative",
                "run,ses,dir",
                "polynomial:999",
            ),
            *("x=/tmp", "=", "a=b=c", "start", "ar1", "9" * 400),
        )
    ),
)


@pytest.mark.parametrize(
    "option", [one for one in OPTIONS if one.kind not in ("flag", "count")], ids=lambda o: o.key
)
@fuzz(20, soak=1_000, texts=st.lists(_VALUES, min_size=1, max_size=3))
@example(texts=["fir:999999999"])
@example(texts=["fir:" + "9" * 5_000])
@example(texts=["polynomial:" + "9" * 5_000])
def test_every_option_takes_a_value_or_tells_what_is_wrong_with_it(option, texts):
    try:
        values = [option.convert(text) for text in texts]
        if option.takes_many:
            option.finish(values)
    except BadValueError as error:
        check_problems([usage_problem(option.name, error.found, error.remedy)])
        return
    if option.key == "hrf-model":
        assert len(fir_delays(values[0]) or ()) <= 1_000


_LABELS = st.text("abcXYZ019", min_size=1, max_size=6)
_KEYS = st.lists(
    st.sampled_from(("sub", "ses", "task", "acq", "run", "space", "res", "den")), unique=True
)


@fuzz(200, soak=5_000, keys=_KEYS, data=st.data())
def test_entities_are_read_from_the_name_that_they_make(keys, data):
    entities = Entities(tuple((key, data.draw(_LABELS)) for key in keys))
    name = f"{entities}_bold.nii.gz" if keys else "bold.nii.gz"
    parsed = parse_name(name)
    assert (parsed.entities, parsed.suffix, parsed.extension) == (entities, "bold", ".nii.gz")
    assert entities.agrees(Entities(tuple(reversed(entities.pairs))))
    assert sorted([entities, entities], key=lambda one: one.sort_key) == [entities, entities]


@fuzz(
    200,
    soak=5_000,
    name=TEXTS | st.lists(st.sampled_from((*TOKENS, "_", "-", ".")), max_size=8).map("".join),
)
def test_any_text_can_be_asked_for_entities_and_made_a_label(name):
    parsed = parse_name(name)
    assert parse_name(f"{parsed.entities}_x").entities == parsed.entities
    assert parsed.entities.sort_key is not None
    assert same_label(name, name)
    assert canonical_label(canonical_label(name)) == canonical_label(name)
    label = to_label(name)
    assert not label or (label.isascii() and label.isalnum())

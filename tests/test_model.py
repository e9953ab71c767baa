"""Contrast expressions: what they mean, what is refused, and that nothing else is ever raised."""

import operator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bids_fx.expressions import MAX_WEIGHT, MIN_WEIGHT, parse_terms
from bids_fx.model import (
    MAX_LABEL,
    Contrast,
    ContrastError,
    UnknownConditionError,
    automatic_contrasts,
    contrast_labels,
    dependence,
    parse_contrast,
    write_rows,
    write_terms,
)

CONDITIONS = ("body", "face", "house")


def weights(text, conditions=CONDITIONS):
    """Weights by condition, or by condition and basis where an index is given."""
    return {
        name if basis is None else (name, basis): weight
        for name, basis, weight in parse_contrast(text, conditions).rows[0]
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("face", {"face": 1}),
        ("face - house", {"face": 1, "house": -1}),
        ("0.5*face + 1/2 body - house", {"face": 0.5, "body": 0.5, "house": -1}),
        ("2 face", {"face": 2}),
        ("face*0.5", {"face": 0.5}),
        ("face/4", {"face": 0.25}),
        ("-(face + body)/2 + house", {"face": -0.5, "body": -0.5, "house": 1}),
        ("-2*(face - 3*(body - house))", {"face": -2, "body": 6, "house": -6}),
        ("3/4*face*2/3", {"face": 0.5}),
        ("1/3 face", {"face": 1 / 3}),
        ("1e-1*face + .5 body", {"face": 0.1, "body": 0.5}),
        ("face - -house", {"face": 1, "house": 1}),
        ("-face*-2", {"face": 2}),
        ("2 (face - house)", {"face": 2, "house": -2}),
        ("face-house", {"face": 1, "house": -1}),
        ("face \u2212 house", {"face": 1, "house": -1}),
        ("face \u2013 house", {"face": 1, "house": -1}),
        ("trial_type.face - trial_type.house", {"face": 1, "house": -1}),
        ("trial_type.`face` - `trial_type.house`", {"face": 1, "house": -1}),
        ("`face` - 'house' + \"body\"", {"face": 1, "house": -1, "body": 1}),
        ("FACE - House", {"face": 1, "house": -1}),
        ("face[1] - face[0] + 2*face", {("face", 1): 1, ("face", 0): -1, "face": 2}),
        ("trial_type.face[12]", {("face", 12): 1}),
    ],
)
def test_expression_has_these_weights(text, expected):
    assert weights(text) == expected


def test_terms_of_one_condition_add_up_exactly():
    # In floating point 0.1 + 0.2 - 0.3 is 5.6e-17, and the condition would stay.
    assert weights("0.1*face + 0.2*face - 0.3*face + house") == {"house": 1}


def test_terms_keep_the_order_of_first_appearance():
    terms = parse_contrast("house - face + house", CONDITIONS).rows[0]
    assert terms == (("house", None, 2.0), ("face", None, -1.0))


@pytest.mark.parametrize(
    ("text", "conditions", "expected"),
    [
        ("2-back - 0-back", ["0-back", "2-back", "2", "0"], {"2-back": 1, "0-back": -1}),
        (
            "parametric gain - gain",
            ["gain", "parametric gain"],
            {"parametric gain": 1, "gain": -1},
        ),
        ("a - b", ["a", "b", "a - b"], {"a - b": 1}),
        ("`a` - b", ["a", "b", "a - b"], {"a": 1, "b": -1}),
        ("face_happy - face", ["face", "face_happy"], {"face_happy": 1, "face": -1}),
        ("face.happy - face", ["face", "face.happy"], {"face.happy": 1, "face": -1}),
        ("face (happy) - face", ["face", "face (happy)"], {"face (happy)": 1, "face": -1}),
        ("correct? - wrong?", ["correct?", "wrong?"], {"correct?": 1, "wrong?": -1}),
        ("don't know - know", ["don't know", "know"], {"don't know": 1, "know": -1}),
        ("2 - 1", ["1", "2"], {"2": 1, "1": -1}),
        ("2*face - 2", ["2", "face"], {"face": 2, "2": -1}),
        ("0.5*2", ["2"], {"2": 0.5}),
        ("2 `2`", ["2"], {"2": 2}),
        ("3*2[1]", ["2", "3"], {("2", 1): 3}),
        ("1.5*face", ["1.", "face"], {"face": 1.5}),
        ("(2 + 1)/2", ["1", "2"], {"2": 0.5, "1": 0.5}),
        ("`a``b`", ["a`b"], {"a`b": 1}),
        ("'it''s' - x", ["it's", "x"], {"it's": 1, "x": -1}),
        ("Face - face", ["Face", "face"], {"Face": 1, "face": -1}),
        ("2-BACK", ["2-back"], {"2-back": 1}),
        ("脸 - 房子", ["脸", "房子"], {"脸": 1, "房子": -1}),
        ("face[1]", ["face", "face[1]"], {"face[1]": 1}),
        ("trial_type.2", ["2"], {"2": 1}),
        ("F (happy)", ["F (happy)", "F"], {"F (happy)": 1}),
        ("`a=b` - c", ["a=b", "c"], {"a=b": 1, "c": -1}),
    ],
)
def test_longest_known_condition_is_found_first(text, conditions, expected):
    assert weights(text, conditions) == expected


@pytest.mark.parametrize(
    ("text", "name", "label"),
    [
        ("Faces over houses = face - house", "Faces over houses", "FacesOverHouses"),
        ("faceVsHouse=face-house", "faceVsHouse", "faceVsHouse"),
        ("'my name' = face", "my name", "myName"),
        ("Don't = face - 'house'", "Don't", "DonT"),
        ("face - house", "face - house", "faceGtHouse"),
        ("  face   -  house ", "face - house", "faceGtHouse"),
        ("0.5*face + 0.5*body - house", "0.5*face + 0.5*body - house", "faceBodyGtHouse"),
        ("face", "face", "face"),
        ("-house", "-house", "negHouse"),
        ("face - house = face - house", "face - house", "faceHouse"),
        ("-house - body", "-house - body", "negHouseBody"),
        ("-house + face - body", "-house + face - body", "faceGtHouseBody"),
        ("face[1] - face[0]", "face[1] - face[0]", "face1GtFace0"),
    ],
)
def test_name_and_label(text, name, label):
    contrast = parse_contrast(text, CONDITIONS)
    assert (contrast.name, contrast.label) == (name, label)


def test_equals_sign_in_quotes_does_not_end_the_name():
    contrast = parse_contrast("gain = `x = 1` - y", ["x = 1", "y"])
    assert (contrast.name, contrast.rows[0][0][0]) == ("gain", "x = 1")


@pytest.mark.parametrize("text", ["`脸` - house", "脸 + house", "脸[1]", "名 = house - face"])
def test_label_is_empty_where_a_part_of_it_would_vanish(text):
    assert parse_contrast(text, ["脸", "house", "face"]).label == ""


def test_formula_label_too_long_for_a_file_name_is_left_empty():
    conditions = [f"condition{n}" for n in range(20)]
    assert parse_contrast(" + ".join(conditions), conditions).label == ""


def test_name_too_long_for_a_file_name_is_refused():
    assert parse_contrast("x" * MAX_LABEL + " = face", CONDITIONS).label == "x" * MAX_LABEL
    with pytest.raises(ContrastError, match="80 letters"):
        parse_contrast("x" * (MAX_LABEL + 1) + " = face", CONDITIONS)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("0.5*face + 1/2 body - house", "0.5*face + 0.5*body - house"),
        ("-house", "-house"),
        ("(face + body + house)/3", "1/3*face + 1/3*body + 1/3*house"),
        ("2-back*2 - face[1]", "2*`2-back` - face[1]"),
        ("0.00001 face", "1e-05*face"),
        ("face/4 - 0.125*house", "0.25*face - 0.125*house"),
    ],
)
def test_formula_is_canonical(text, formula):
    assert parse_contrast(text, [*CONDITIONS, "2-back"]).formula == formula


def test_formula_quotes_names_that_would_read_as_another_condition():
    conditions = ["a", "b", "a - b"]
    assert parse_contrast("`a` - b", conditions).formula == "`a` - `b`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("name =", "empty"),
        ("= face", "no name"),
        ("face -", "missing at its end"),
        ("face + * house", r"missing at '\* house'"),
        ("(face - house", "closing bracket is missing at its end"),
        ("face)", r"unexpected sign at '\)'"),
        ("face; house", "unexpected sign at '; house'"),
        ("`face", "closing quote is missing at '`face'"),
        ("face*house", "cannot be multiplied at 'house'"),
        ("(face + 1)*(house + 1)", "cannot be multiplied"),
        ("face house", "sign is missing at 'house'"),
        ("face 2", "sign is missing at '2'"),
        ("(face) (house)", "sign is missing"),
        ("2 3*face", "sign is missing at '3"),
        ("1/face", "cannot divide at 'face'"),
        ("face/0", "division by zero stands at '0'"),
        ("face/(1 - 1)", "division by zero"),
        ("face - face", "all its weights are zero"),
        ("0*face", "all its weights are zero"),
        ("face + 1", "number stands in it without a condition"),
        ("1 - 1", "names no condition"),
        ("face[x]", r"whole number at '\[x\]'"),
        ("face[-1]", "whole number"),
        ("1e400*face", "the weight of 'face' is too large or too small"),
        ("1e-400*face", "the weight of 'face' is too large or too small"),
        ("house + 1.1e10*face", "the weight of 'face' is too large or too small"),
        ("F(house; 9e-11*face)", "row 2 of the F test: the weight of 'face' is too large"),
        ("1" * 41 + "*face", "more than 40 characters"),
        ("(" * 51 + "face" + ")" * 51, "nested more than 50"),
        ("*".join(["1e300"] * 60 + ["face"]) + "/1e300" * 60, "too large or too small"),
    ],
)
def test_refused_expression_says_what_is_wrong_and_where(text, message):
    with pytest.raises(ContrastError, match=message):
        parse_contrast(text, CONDITIONS)


def test_semicolon_without_f_is_told_how_f_tests_are_written():
    with pytest.raises(ContrastError, match=r"F\(row; row\)"):
        parse_contrast("face; house", CONDITIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hous - face", r"no condition 'hous' \(did you mean 'house'\?\).*: body, face, house$"),
        ("trial_type.fac", "no condition 'fac' .*'face'"),
        ("`fase`", "no condition 'fase' .*'face'"),
        ("2face", "no condition '2face'"),
        ("faces", "no condition 'faces'"),
        ("face.happy", "no condition 'face.happy'"),
        ("xyz", "no condition 'xyz'; the conditions are: body, face, house$"),
        ("face,house", "no condition ',house'"),
    ],
)
def test_unknown_condition_names_the_closest_and_all(text, message):
    with pytest.raises(UnknownConditionError, match=message):
        parse_contrast(text, CONDITIONS)


def test_unknown_name_with_a_hyphen_is_told_as_a_whole():
    with pytest.raises(UnknownConditionError, match=r"no condition 'right-hnd' .*'right_hand'"):
        parse_contrast("right-hnd - face", ["right_hand", "face"])


def test_name_that_differs_from_two_conditions_in_case_is_refused():
    with pytest.raises(ContrastError, match="'FACE' may mean any of Face, face"):
        parse_contrast("FACE", ["Face", "face"])


def test_two_numbers_that_are_conditions_are_refused_in_one_product():
    with pytest.raises(ContrastError, match="cannot be told apart"):
        parse_contrast("2*1", ["1", "2"])


def test_long_list_of_conditions_is_cut():
    with pytest.raises(UnknownConditionError, match=r"and 80 more$"):
        parse_contrast("x", [f"condition{n:03}" for n in range(100)])


def test_deep_chains_of_signs_and_prefixes_end():
    assert weights("-" * 20001 + "face") == {"face": -1}
    with pytest.raises(UnknownConditionError):
        parse_contrast("trial_type." * 20000 + "face", CONDITIONS)


# ------------------------------------------------------------------------------------ F tests


def rows_of(text, conditions=CONDITIONS):
    """Rows of weights of an F test, by condition or by condition and basis."""
    contrast = parse_contrast(text, conditions)
    assert contrast.test == "F"
    return [
        {name if basis is None else (name, basis): weight for name, basis, weight in terms}
        for terms in contrast.rows
    ]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("F(face - house; body)", [{"face": 1, "house": -1}, {"body": 1}]),
        ("any = F (face;body ; house)", [{"face": 1}, {"body": 1}, {"house": 1}]),
        ("F(face)", [{"face": 1}]),
        ("  F(  -2*(face - house)/4  )  ", [{"face": -0.5, "house": 0.5}]),
        ("F((face + body)/2; (house))", [{"face": 0.5, "body": 0.5}, {"house": 1}]),
        ("F(face[0]; face[1]; face[2])", [{("face", 0): 1}, {("face", 1): 1}, {("face", 2): 1}]),
        ("F(face; face[1])", [{"face": 1}, {("face", 1): 1}]),
        ("f2 = F('face'; trial_type.body)", [{"face": 1}, {"body": 1}]),
    ],
)
def test_f_test_has_these_rows(text, rows):
    assert rows_of(text) == rows


@pytest.mark.parametrize("text", ["face", "face - house", "`face`"])
def test_sum_is_a_t_test_of_one_row(text):
    contrast = parse_contrast(text, CONDITIONS)
    assert (contrast.test, len(contrast.rows)) == ("t", 1)


@pytest.mark.parametrize(
    ("text", "conditions", "rows"),
    [
        ("F(`a;b`; c)", ["a;b", "c"], [{"a;b": 1}, {"c": 1}]),
        ("F(a;b; c)", ["a;b", "a", "b", "c"], [{"a;b": 1}, {"c": 1}]),
        ("F(`a`;b; c)", ["a;b", "a", "b", "c"], [{"a": 1}, {"b": 1}, {"c": 1}]),
        ("F(a;b)", ["a;", "a", "b"], [{"a": 1}, {"b": 1}]),
        ("F(`a)`; b)", ["a)", "b"], [{"a)": 1}, {"b": 1}]),
        ("F(F; face)", ["F", "face"], [{"F": 1}, {"face": 1}]),
        ("F (face)", ["F", "face"], [{"face": 1}]),
        ("F(a; b)", ["F(a", "a", "b"], [{"a": 1}, {"b": 1}]),
    ],
)
def test_names_keep_their_own_semicolons_and_brackets(text, conditions, rows):
    assert rows_of(text, conditions) == rows


def test_condition_named_f_is_no_f_test():
    assert parse_contrast("F - face", ["F", "face"]).test == "t"
    assert weights("F - face", ["F", "face"]) == {"F": 1, "face": -1}


def test_condition_spelt_like_an_f_test_is_that_condition():
    contrast = parse_contrast("F (happy) - sad", ["F (happy)", "happy", "sad"])
    assert contrast.test == "t"
    with pytest.raises(UnknownConditionError, match="no condition 'sda'"):
        parse_contrast("F (happy) - sda", ["F (happy)", "happy", "sad"])


@pytest.mark.parametrize(
    ("text", "name", "label"),
    [
        ("F(face - house; body)", "F(face - house; body)", "fFaceGtHouseBody"),
        ("F( face;  body )", "F( face; body )", "fFaceBody"),
        ("F(face)", "F(face)", "fFace"),
        ("F(-house; face[1])", "F(-house; face[1])", "fNegHouseFace1"),
        ("Any face = F(face; body)", "Any face", "AnyFace"),
        ("F test = F(face; body)", "F test", "FTest"),
    ],
)
def test_name_and_label_of_an_f_test(text, name, label):
    contrast = parse_contrast(text, CONDITIONS)
    assert (contrast.name, contrast.label) == (name, label)


@pytest.mark.parametrize("text", ["F(`脸`; house)", "F(house; face - 脸)"])
def test_label_of_an_f_test_is_empty_where_a_part_of_it_would_vanish(text):
    assert parse_contrast(text, ["脸", "house", "face"]).label == ""


def test_label_of_an_f_test_too_long_for_a_file_name_is_left_empty():
    conditions = [f"condition{n}" for n in range(20)]
    assert parse_contrast(f"F({'; '.join(conditions)})", conditions).label == ""


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("x = F(face-house ;body*2)", "F(face - house; 2*body)"),
        ("F(face[2]; 1/3 2-back)", "F(face[2]; 1/3*`2-back`)"),
        ("F(FACE)", "F(face)"),
    ],
)
def test_formula_of_an_f_test_is_canonical(text, formula):
    assert parse_contrast(text, [*CONDITIONS, "2-back"]).formula == formula


def test_formula_of_an_f_test_quotes_names_that_would_read_as_another_condition():
    conditions = ["a", "b", "F(a; b)"]
    assert parse_contrast("F(`a`; b)", conditions).formula == "F(`a`; `b`)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("F(face; body;)", r"a row of the F test is empty at '\)'"),
        ("F(face;; body)", "a row of the F test is empty at '; body"),
        ("F(; body)", "a row of the F test is empty at '; body"),
        ("F()", r"a row of the F test is empty at '\)'"),
        ("F(", "a row of the F test is empty at its end"),
        ("F(face; body", "closing bracket is missing at its end"),
        ("F(face] ", "closing bracket is missing at ']'"),
        ("F(face; body) - house", "stands alone, without what follows at '- house'"),
        ("2*F(face)", r"stands alone, with nothing before it at 'F\(face\)'"),
        ("-F(face; body)", "stands alone, with nothing before it"),
        ("F(F(face); body)", "stands alone, with nothing before it"),
        ("f(face; body)", "capital F"),
        ("F(face; body - body)", "row 2 of the F test: all its weights are zero"),
        ("F(1; body)", "row 1 of the F test: a number stands in it without a condition"),
        ("F(face; body house)", "sign is missing at 'house"),
        ("F(face, body)", "a comma stands at ', body\\)'; rows of an F test .* separated by ';'"),
        ("F(face; face)", "linearly dependent: row 2 is a multiple of row 1"),
        ("F(face; -2*face; body)", "linearly dependent: row 2 is a multiple of row 1"),
        (
            "F(face - body; body - house; house - face)",
            "linearly dependent: row 3 is a combination of the rows before it",
        ),
    ],
)
def test_refused_f_test_says_what_is_wrong_and_where(text, message):
    with pytest.raises(ContrastError, match=message):
        parse_contrast(text, CONDITIONS)


def test_unknown_condition_in_an_f_test_is_named():
    with pytest.raises(UnknownConditionError, match=r"no condition 'hous' .*'house'"):
        parse_contrast("F(face; hous)", CONDITIONS)


@pytest.mark.parametrize(("off", "independent"), [("1e-7", True), ("1e-9", False)])
@pytest.mark.parametrize("size", ["1", "1e-10", "1e10"])
def test_rows_that_agree_to_eight_digits_are_dependent(off, independent, size):
    text = f"F({size}*(face - house); face - house + {off}*body)"
    if independent:
        assert len(rows_of(text)) == 2
    else:
        with pytest.raises(ContrastError, match="linearly dependent"):
            parse_contrast(text, CONDITIONS)


def test_row_of_zeros_depends_on_nothing_and_is_told():
    assert dependence([{"a": 1.0}, {"a": 0.0}]) == "the weights of row 2 cancel out"
    assert dependence([]) is None


@settings(deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(-3, 3), min_size=width, max_size=width), min_size=1, max_size=6
        )
    )
)
def test_rows_are_independent_where_their_matrix_has_full_rank(matrix):
    found = dependence([dict(enumerate(map(float, row))) for row in matrix])
    ranks = [int(np.linalg.matrix_rank(np.array(matrix[:n]))) for n in range(1, len(matrix) + 1)]
    first = next((n for n, rank in enumerate(ranks, start=1) if rank < n), None)
    assert found is None if first is None else f"row {first} " in f"{found} "


# ------------------------------------------------------------------------------------- labels


def test_contrasts_without_labels_are_numbered_in_order():
    contrasts = [
        parse_contrast(f"`{name}`", ["脸", "face", "房"]) for name in ("脸", "face", "房")
    ]
    assert [item.label for item in contrast_labels(contrasts)] == ["cond1", "face", "cond2"]


def test_numbered_labels_do_not_take_another_contrasts_label():
    contrasts = [
        Contrast(name="脸", label="", rows=(), formula=""),
        Contrast(name="Cond1", label="Cond1", rows=(), formula=""),
    ]
    assert [item.label for item in contrast_labels(contrasts)] == ["cond2", "Cond1"]


def test_automatic_contrasts_of_three_conditions_subtract_the_mean_of_the_others():
    contrasts = automatic_contrasts(CONDITIONS)
    assert [item.label for item in contrasts] == [
        *CONDITIONS,
        *(f"{name}GtOthers" for name in CONDITIONS),
    ]
    face = contrasts[4]
    assert face.name == "face - others"
    assert {name: weight for name, _, weight in face.rows[0]} == {
        "face": 1.0,
        "body": -0.5,
        "house": -0.5,
    }


def test_weights_of_every_automatic_difference_sum_to_zero():
    for contrast in automatic_contrasts([f"c{n}" for n in range(8)])[8:]:
        exact = [Fraction(weight).limit_denominator(100) for _, _, weight in contrast.rows[0]]
        assert sum(exact) == 0


def test_automatic_contrasts_of_two_conditions_are_named_by_both():
    contrasts = automatic_contrasts(["face", "house"])
    assert [item.name for item in contrasts] == ["face", "house", "face - house", "house - face"]
    assert contrasts[3].rows[0] == (("house", None, 1.0), ("face", None, -1.0))


def test_automatic_contrast_of_one_condition_is_that_condition():
    (contrast,) = automatic_contrasts(["face"])
    assert contrast.rows[0] == (("face", None, 1.0),)


def test_no_condition_gives_no_automatic_contrast():
    assert automatic_contrasts([]) == ()


def test_automatic_labels_of_names_without_letters_go_by_their_numbers():
    labels = [item.label for item in automatic_contrasts(["脸", "face", "房"])]
    assert labels == ["cond1", "face", "cond2", "cond1GtOthers", "faceGtOthers", "cond2GtOthers"]


# --------------------------------------------------------------------------------- properties

#: A busy machine may take its time.
patient = settings(deadline=None)
any_text = st.text(st.characters(codec="utf-8"), max_size=30)
names = st.one_of(
    st.sampled_from(
        [
            "face",
            "2-back",
            "2",
            "0.5",
            "1/3",
            "a - b",
            "a",
            "b",
            "x=1",
            "1e-05",
            "[0]",
            "it's",
            "(",
            "F",
            "F(a",
            "F(0.5",
            "a; b",
            "F(a; b)",
        ]
    ),
    any_text.filter(bool),
)
weight = st.one_of(
    st.sampled_from([1.0, -1.0, 0.5, 2.0, 1 / 3, -2 / 7]),
    st.builds(operator.mul, st.sampled_from((-1, 1)), st.floats(MIN_WEIGHT, MAX_WEIGHT)),
)


def outcome(text, conditions):
    """The contrast of a text, or what is said against it."""
    try:
        return parse_contrast(text, conditions)
    except ContrastError as error:
        return str(error)


@patient
@given(st.text("abF=()[]`'\"*/+-. 0123456789e;,", max_size=40))
def test_noise_of_signs_gives_a_contrast_or_a_sentence(text):
    result = outcome(text, ["a", "b", "a b", "1", "a - b"])
    if isinstance(result, Contrast):
        assert all(result.rows)
        assert all(weight != 0 for terms in result.rows for _, _, weight in terms)
    else:
        assert result
        assert not result.endswith(".")


@patient
@given(any_text, st.lists(names, max_size=5))
def test_any_text_gives_a_contrast_or_a_sentence(text, conditions):
    assert outcome(text, conditions)


@patient
@given(
    st.dictionaries(
        st.tuples(names, st.none() | st.integers(0, 30)), weight, min_size=1, max_size=5
    ),
    st.lists(names, max_size=4),
)
def test_formula_gives_the_same_terms_again(form, others):
    terms = tuple((name, basis, value) for (name, basis), value in form.items())
    conditions = [*others, *(name for name, _, _ in terms)]
    text = write_terms(terms, conditions)
    assert parse_terms(text, conditions) == terms
    assert parse_contrast(text, conditions).rows[0] == terms


rows_of_terms = st.lists(
    st.dictionaries(
        st.tuples(names, st.none() | st.integers(0, 30)), weight, min_size=1, max_size=3
    ),
    min_size=1,
    max_size=4,
)


@patient
@given(rows_of_terms, st.lists(names, max_size=4))
def test_formula_of_an_f_test_gives_the_same_rows_again(forms, others):
    assume(dependence(forms) is None)
    rows = tuple(
        tuple((name, basis, value) for (name, basis), value in form.items()) for form in forms
    )
    conditions = [*others, *(name for terms in rows for name, _, _ in terms)]
    again = parse_contrast(write_rows(rows, "F", conditions), conditions)
    assert (again.rows, again.test) == (rows, "F")


@patient
@given(st.lists(names, unique=True, max_size=6))
def test_automatic_contrasts_read_back_from_their_formulas(conditions):
    contrasts = automatic_contrasts(conditions)
    assert len(contrasts) == len(conditions) * (2 if len(conditions) > 1 else 1)
    for contrast in contrasts:
        assert parse_contrast(contrast.formula, conditions).rows[0] == contrast.rows[0]
        assert contrast.label.isalnum()
        assert contrast.label.isascii()

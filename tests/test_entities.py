"""File names: read, compared, changed and written back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_fx.entities import (
    LONG_NAMES,
    BIDSName,
    Entities,
    canonical_label,
    parse_name,
    same_label,
    strip_prefix,
    to_label,
)

KEYS = ("sub", "ses", "task", "acq", "dir", "run", "echo", "space", "res", "desc")
LETTERS = "abcxyzABCXYZ"
DIGITS = "0123456789"

labels = st.text(alphabet=LETTERS + DIGITS + "+", min_size=1, max_size=8)
numbers = st.integers(min_value=0, max_value=10**6)
entities = st.lists(
    st.tuples(st.sampled_from(KEYS), labels), min_size=1, unique_by=lambda pair: pair[0]
).map(lambda pairs: Entities(tuple(pairs)))


@given(entities, st.sampled_from(["bold", "events", "statmap"]), st.sampled_from([".nii.gz", ""]))
def test_a_name_that_was_written_is_read_as_it_was(
    given_entities: Entities, suffix: str, extension: str
) -> None:
    name = f"{given_entities}_{suffix}{extension}"
    assert parse_name(name) == BIDSName(given_entities, suffix, extension)


@given(entities)
def test_every_entity_stands_once_in_the_name(given_entities: Entities) -> None:
    name = str(given_entities)
    assert name.count("-") == len(given_entities) == name.count("_") + 1
    assert "__" not in name


@given(entities, st.sampled_from(KEYS))
def test_leaving_out_keeps_the_order_of_the_others(given_entities: Entities, key: str) -> None:
    left = given_entities.without(key)
    assert list(left) == [name for name in given_entities if name != key]
    assert all(left[name] == given_entities[name] for name in left)


@given(entities, st.sets(st.sampled_from(KEYS)))
def test_keeping_and_leaving_out_share_all_entities(
    given_entities: Entities, keys: set[str]
) -> None:
    kept, left = given_entities.only(*keys), given_entities.without(*keys)
    assert sorted((*kept.pairs, *left.pairs)) == sorted(given_entities.pairs)
    assert set(kept).isdisjoint(left)


@given(entities, st.sampled_from(KEYS), labels)
def test_a_label_that_was_set_is_got(given_entities: Entities, key: str, label: str) -> None:
    changed = given_entities.having(key, label)
    assert changed[key] == label
    assert changed.without(key) == given_entities.without(key)


@given(entities, labels)
def test_setting_a_label_that_is_there_keeps_its_place(
    given_entities: Entities, label: str
) -> None:
    key = next(iter(given_entities))
    assert list(given_entities.having(key, label)) == list(given_entities)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (("sub", "task"), "sub-01_task-x_run-1_space-T1w"),
        (("task", "sub"), "sub-01_task-x_run-1_space-T1w"),
        (("sub",), "sub-01_run-1_task-x_space-T1w"),
        (("echo",), "sub-01_task-x_space-T1w_run-1"),
        ((), "sub-01_task-x_space-T1w_run-1"),
    ],
)
def test_a_new_entity_goes_behind_the_last_of_those_named(
    after: tuple[str, ...], expected: str
) -> None:
    given_entities = parse_name("sub-01_task-x_space-T1w_bold.nii.gz").entities
    assert str(given_entities.having("run", "1", after=after)) == expected


def test_spelling_of_the_file_name_is_kept() -> None:
    name = "sub-01_ses-PRE_task-nBack_run-002"
    assert str(parse_name(f"{name}_bold.nii.gz").entities) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-01_bold.nii.gz", BIDSName(Entities((("sub", "01"),)), "bold", ".nii.gz")),
        ("bold.json", BIDSName(Entities(), "bold", ".json")),
        ("sub-01_odd_bold.nii", BIDSName(Entities((("sub", "01"),)), "bold", ".nii")),
        ("sub-01_x-a-b_bold.nii", BIDSName(Entities((("sub", "01"),)), "bold", ".nii")),
        ("README", BIDSName(Entities(), "README", "")),
        (".bidsignore", BIDSName(Entities(), "", ".bidsignore")),
    ],
)
def test_what_is_no_entity_is_passed_over(name: str, expected: BIDSName) -> None:
    assert parse_name(name) == expected


def test_an_absent_entity_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="ses"):
        Entities((("sub", "01"),))["ses"]


@given(numbers, st.integers(min_value=0, max_value=4))
def test_leading_zeros_do_not_matter(number: int, n_zeros: int) -> None:
    assert same_label(str(number), "0" * n_zeros + str(number))


@given(numbers, numbers)
def test_different_numbers_are_different_labels(first: int, second: int) -> None:
    assert same_label(str(first), f"0{second}") == (first == second)


@given(labels)
def test_case_does_not_matter(label: str) -> None:
    assert same_label(label.upper(), label.lower())


@given(labels)
def test_canonical_form_is_that_of_itself(label: str) -> None:
    assert canonical_label(canonical_label(label)) == canonical_label(label)


@pytest.mark.parametrize(("first", "second"), [("01a", "1a"), ("1", "2"), ("0", "x"), ("1", "10")])
def test_zeros_before_letters_and_other_labels_differ(first: str, second: str) -> None:
    assert not same_label(first, second)


def respelled(given_entities: Entities) -> Entities:
    return Entities(
        tuple(
            (key, f"00{label}" if label.isdigit() else label.swapcase())
            for key, label in reversed(given_entities.pairs)
        )
    )


@given(entities)
def test_entities_agree_whatever_their_spelling_and_order(given_entities: Entities) -> None:
    other = respelled(given_entities)
    assert given_entities.agrees(other)
    assert other.agrees(given_entities)
    assert given_entities.canonical == other.canonical


@given(entities, entities)
def test_canonical_forms_are_equal_exactly_where_entities_agree(
    first: Entities, second: Entities
) -> None:
    assert first.agrees(second) == (first.canonical == second.canonical)


@given(entities)
def test_entities_with_one_more_do_not_agree(given_entities: Entities) -> None:
    fewer = given_entities.without(next(iter(given_entities)))
    assert not given_entities.agrees(fewer)
    assert not fewer.agrees(given_entities)


def test_runs_are_sorted_as_numbers() -> None:
    names = [f"sub-01_run-{label}" for label in ("10", "2", "01", "b", "a")]
    in_order = sorted((parse_name(f"{n}_bold").entities for n in names), key=lambda e: e.sort_key)
    assert [e["run"] for e in in_order] == ["a", "b", "01", "2", "10"]


@given(labels, st.sampled_from(KEYS))
def test_prefix_is_optional(label: str, key: str) -> None:
    assert strip_prefix(f"{key}-{label}", key) == strip_prefix(label, key) == label


def test_only_its_own_prefix_is_stripped() -> None:
    assert strip_prefix("sub-01", "ses") == "sub-01"


@given(st.text())
def test_a_label_holds_only_letters_and_digits(text: str) -> None:
    label = to_label(text)
    assert label == "" or (label.isascii() and label.isalnum())
    assert label.casefold() == "".join(c for c in text if c.isascii() and c.isalnum()).casefold()


@given(st.text())
def test_a_label_of_a_label_is_itself(text: str) -> None:
    assert to_label(to_label(text)) == to_label(text)


@pytest.mark.parametrize(
    ("text", "label"),
    [("face", "face"), ("left hand", "leftHand"), ("a_b-c", "aBC"), ("µ-Σ", ""), ("  x ", "x")],
)
def test_words_are_joined_in_camel_case(text: str, label: str) -> None:
    assert to_label(text) == label


@pytest.mark.parametrize("change", [lambda e: e.without("run"), lambda e: e.having("run", "9")])
def test_entities_are_never_changed_in_place(change: Callable[[Entities], Entities]) -> None:
    given_entities = parse_name("sub-01_run-1_bold.nii.gz").entities
    change(given_entities)
    assert str(given_entities) == "sub-01_run-1"


def test_long_names_lead_to_short_keys() -> None:
    assert LONG_NAMES["subject"] == LONG_NAMES["participant"] == "sub"
    assert set(LONG_NAMES).isdisjoint(LONG_NAMES.values())

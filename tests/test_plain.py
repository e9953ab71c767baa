"""Records as plain values, and back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest

from bids_fx.calls import Call
from bids_fx.entities import Entities
from bids_fx.errors import ExitCode, Problem
from bids_fx.plain import PlainError, from_plain, to_plain
from bids_fx.records import Plan
from tests.small_plans import ANY, FACE, make_group, make_plan, make_run, make_run_maps


@dataclass(frozen=True)
class Item:
    name: str
    weight: float = 1.0
    kind: Literal["a", "b"] = "a"
    place: Path | None = None
    pairs: tuple[tuple[str, int | None], ...] = ()
    by_name: dict[str, float] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    is_good: bool = False


FULL = Item(
    name="x",
    weight=math.inf,
    kind="b",
    place=Path("a/b"),
    pairs=(("p", 1), ("q", None)),
    by_name={"z": 2.0, "a": 1.0},
    keys=frozenset("hgfedcba"),
    is_good=True,
)


def through_json(value: object) -> object:
    return json.loads(json.dumps(to_plain(value), allow_nan=False))


def test_defaults_are_left_out():
    assert to_plain(Item(name="x")) == {"name": "x"}


def test_every_kind_of_value_comes_back():
    assert from_plain(Item, through_json(FULL)) == FULL


def test_sets_are_written_in_order():
    assert to_plain(FULL)["keys"] == list("abcdefgh")


def test_mappings_keep_their_order():
    back = from_plain(Item, through_json(FULL))
    assert list(back.by_name) == ["z", "a"]


def test_entities_and_codes_come_back():
    problem = Problem(where="a", found="b", remedy="c", code=ExitCode.MISSING_INPUT)
    assert from_plain(Problem, through_json(problem)) == problem
    entities = Entities((("sub", "01"), ("run", "02")))
    assert from_plain(Entities, through_json(entities)) == entities


def test_whole_plans_come_back(tmp_path):
    fitted = make_run("sub-01_task-x_run-1", contrasts=(FACE, ANY), reasons={"face": "none"})
    given = make_run_maps(tmp_path, "sub-01_task-x_run-2", effect=1.0, variance=2.0, dof=9.0)
    plan = make_plan((fitted, given), (make_group("sub-01_task-x", (fitted, given)),))
    call = Call(plan=plan.outline(), state="done", software={"z": "1", "a": "2"})
    back = from_plain(Call, through_json(call))
    assert back == call
    assert list(back.software) == ["z", "a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nothing": 1}, "Item has no nothing"),
        ({"weight": True}, "no number"),
        ({"weight": "much"}, "much"),
        ({"kind": "c"}, "none of"),
        ({"pairs": [["p"]]}, "1 values in place of 2"),
        ({"pairs": {"p": 1}}, "no list"),
        ({"pairs": [["p", True]]}, "none of"),
        ({"by_name": []}, "no dict"),
        ({"is_good": 1}, "no bool"),
        ({"place": 3}, "none of"),
        ({"name": None}, "no str"),
    ],
)
def test_what_is_no_such_record_is_refused(change, message):
    with pytest.raises(PlainError, match=message):
        from_plain(Item, {"name": "x", **change})


def test_a_record_without_what_it_needs_is_refused():
    with pytest.raises(PlainError, match="name"):
        from_plain(Item, {})


def test_a_code_that_there_is_not_is_refused():
    with pytest.raises(PlainError, match="none of"):
        from_plain(Problem, {"where": "", "found": "", "remedy": "", "code": 99})


def test_what_is_not_plain_is_refused():
    with pytest.raises(TypeError, match="object"):
        to_plain(object())
    with pytest.raises(TypeError, match="1 is no text"):
        to_plain({1: "a"})


def test_a_matrix_cannot_slip_in():
    run = make_run("sub-01_task-x_run-1")
    with pytest.raises(TypeError):
        to_plain(replace(Plan(participant="01", settings=make_plan().settings), runs=(run,)))

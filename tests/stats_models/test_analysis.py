"""The nodes of a model as contrasts of runs and steps that combine them."""

from __future__ import annotations

from typing import Any

import pytest

from bids_fx.stats_models.analysis import Analysis, analyse
from bids_fx.stats_models.outputs import node_contrasts
from bids_fx.stats_models.records import NodeContrast
from bids_fx.steps import Cell, Step, StepContrast
from tests.model_files import Json, a_contrast, plain, read, with_run, with_subject

FACE, HOUSE = a_contrast("f", {"face": 1}), a_contrast("h", {"house": 1})
SESSION: Json = {
    "Level": "Session",
    "Name": "session",
    "GroupBy": ["session", "subject", "contrast"],
    "Model": {"Type": "meta", "X": [1]},
    "DummyContrasts": {"Test": "t"},
}


def analysed(raw: object) -> Analysis:
    return analyse(read(raw), "m.json")


def step(raw: object, name: str = "subject") -> Step:
    found = analysed(raw)
    assert found.problems == ()
    return next(one for one in found.steps if one.name == name)


def chained(*nodes: Json, edges: list[Json] | None = None, **run: Any) -> Json:
    """Return a model of a run node and others, one after another without edges."""
    raw = with_run(**run)
    raw["Nodes"] = [raw["Nodes"][0], *nodes]
    return raw | ({"Edges": edges} if edges else {})


def subject(x: list[object], contrasts: list[Json], **more: Any) -> Json:
    return {
        "Level": "Subject",
        "Name": "subject",
        "GroupBy": ["subject"],
        "Model": {"Type": "meta", "X": x},
        "Contrasts": contrasts,
        **more,
    }


def split(*names: str) -> Json:
    item = {"Name": "Split", "Input": list(names), "By": ["session"]}
    return {"Transformer": "pybids-transforms-v1", "Instructions": [item]}


def factor(name: str) -> Json:
    item = {"Name": "Factor", "Input": [name]}
    return {"Transformer": "pybids-transforms-v1", "Instructions": [item]}


def test_node_that_combines_all_as_it_comes_needs_no_list():
    assert step(plain()) == Step(name="subject", level="subject", over=("run", "ses"))


def test_chained_nodes_go_through_each_other():
    raw = chained(SESSION, plain()["Nodes"][1])
    assert [(one.name, one.source, one.over) for one in analysed(raw).steps] == [
        ("session", None, ("run",)),
        ("subject", "session", ("run", "ses")),
    ]


def test_two_edges_from_the_runs_combine_the_runs_twice():
    edges = [{"Source": "run", "Destination": name} for name in ("session", "subject")]
    raw = chained(SESSION, plain()["Nodes"][1], edges=edges)
    assert [(one.name, one.source) for one in analysed(raw).steps] == [
        ("session", None),
        ("subject", None),
    ]


def test_edge_passes_on_the_contrasts_of_its_filter():
    edge = {"Source": "run", "Destination": "subject", "Filter": {"contrast": ["f"]}}
    raw = chained(plain()["Nodes"][1], edges=[edge], Contrasts=[FACE, HOUSE])
    assert step(raw).contrasts == (StepContrast(name="f", label="f", source="f"),)


def test_edge_with_a_label_takes_these_results_alone():
    edge = {"Source": "run", "Destination": "subject", "Filter": {"session": ["a"]}}
    raw = chained(plain()["Nodes"][1], edges=[edge], Contrasts=[FACE])
    cell = Cell(weight=1.0, labels={"ses": "a"})
    assert step(raw).contrasts == (StepContrast(name="f", label="f", source="f", cells=(cell,)),)


def test_sum_over_sessions_of_one_weighted_contrast_keeps_both_weights():
    x = ["f.a", "f.b"]
    node = subject(
        x, [a_contrast("d", dict(zip(x, (3, -0.5), strict=True)))], Transformations=split("f")
    )
    (made,) = step(chained(node, Contrasts=[FACE])).contrasts or ()
    assert [cell.weight for cell in made.cells] == [3.0, -0.5]


def test_session_node_combines_over_runs_alone():
    raw = chained({**SESSION, "GroupBy": ["subject", "contrast"]})
    assert step(raw, "session").over == ("run",)


def test_edge_with_several_labels_is_refused():
    edge = {"Source": "run", "Destination": "subject", "Filter": {"session": ["a", "b"]}}
    (problem,) = analysed(chained(plain()["Nodes"][1], edges=[edge])).problems
    assert problem.found == "its edge passes several labels of ses"


def test_node_that_passes_is_no_step():
    raw = chained({**SESSION, "DummyContrasts": {"Test": "pass"}}, plain()["Nodes"][1])
    assert [(one.name, one.source) for one in analysed(raw).steps] == [("subject", None)]


def test_weight_of_the_intercept_scales_each_contrast():
    node = subject(
        [1],
        [a_contrast("neg", {1: -1}), a_contrast("half", {1: 0.5})],
        GroupBy=["subject", "contrast"],
    )
    assert step(chained(node, Contrasts=[FACE])).contrasts == (
        StepContrast(name="f_neg", label="fNeg", source="f", cells=(Cell(weight=-1.0),)),
        StepContrast(name="f_half", label="fHalf", source="f", cells=(Cell(weight=0.5),)),
    )


def test_contrast_of_contrasts_is_one_of_the_run_s_conditions():
    node = subject(["f", "h"], [a_contrast("d", {"f": 1, "h": -2})])
    both = a_contrast("f", {"face": 1, "house": 0.5})
    found = analysed(chained(node, Contrasts=[both, HOUSE]))
    assert found.contrasts[-1] == NodeContrast(
        name="d", conditions=("face", "house"), weights=((1.0, -1.5),)
    )
    (own,) = found.steps
    assert own.contrasts == (StepContrast(name="d", label="d", source="d"),)


def test_composed_contrast_may_not_have_the_name_of_another():
    node = subject(["f", "h"], [a_contrast("f", {"f": 1, "h": -1})])
    problems = analysed(chained(node, Contrasts=[FACE, HOUSE])).problems
    assert [problem.found for problem in problems] == [
        "contrast 'f' has another meaning in node 'run'"
    ]


def test_contrast_of_contrasts_behind_sessions_is_combined_by_them_first():
    node = subject(["f", "h"], [a_contrast("d", {"f": 1, "h": -1})])
    found = analysed(chained(SESSION, node, Contrasts=[FACE, HOUSE]))
    assert found.contrasts[-1].weights == ((1.0, -1.0),)
    session, last = found.steps
    assert session.contrasts is None  # all, the new one included
    assert last.contrasts == (StepContrast(name="d", label="d", source="d"),)


@pytest.mark.parametrize(
    ("x", "transformations", "name", "grouping"),
    [
        (["f.b", "f.a"], split("f"), "d", ["subject"]),
        (["session.b", "session.a"], factor("session"), "f_d", ["subject", "contrast"]),
    ],
    ids=["Split", "Factor"],
)
def test_sessions_are_compared_by_weighted_means(x, transformations, name, grouping):
    node = subject(
        x,
        [a_contrast("d", {x[0]: 1, x[1]: -1})],
        Transformations=transformations,
        GroupBy=grouping,
    )
    cells = (Cell(weight=1.0, labels={"ses": "b"}), Cell(weight=-1.0, labels={"ses": "a"}))
    (made,) = step(chained(SESSION, node, Contrasts=[FACE])).contrasts or ()
    assert (made.name, made.source, made.cells) == (name, "f", cells)


def test_sessions_of_a_sum_share_its_weights():
    x = ["f.a", "h.a", "f.b", "h.b"]
    weights = dict(zip(x, (1, -1, -2, 2), strict=True))
    node = subject(x, [a_contrast("d", weights)], Transformations=split("f", "h"))
    found = analysed(chained(node, Contrasts=[FACE, HOUSE]))
    assert found.contrasts[-1].weights == ((1.0, -1.0),)
    (made,) = found.steps[0].contrasts or ()
    assert [(cell.weight, cell.labels) for cell in made.cells] == [
        (1.0, {"ses": "a"}),
        (-2.0, {"ses": "b"}),
    ]


def test_sessions_that_weigh_unlike_contrasts_are_refused():
    x = ["f.a", "h.b"]
    node = subject(x, [a_contrast("d", dict.fromkeys(x, 1))], Transformations=split("f", "h"))
    (problem,) = analysed(chained(node, Contrasts=[FACE, HOUSE])).problems
    assert problem.found == "contrast 'd' weighs other contrasts in each part of the data"


def test_f_test_over_contrasts_is_one_of_the_run():
    f_test = {
        "Name": "any",
        "ConditionList": ["f", "h"],
        "Weights": [[1, 0], [0, 1]],
        "Test": "F",
    }
    found = analysed(chained(subject(["f", "h"], [f_test]), Contrasts=[FACE, HOUSE]))
    assert found.contrasts[-1] == NodeContrast(
        name="any", conditions=("face", "house"), weights=((1.0, 0.0), (0.0, 1.0)), test="F"
    )


def test_tasks_of_the_input_are_combined_unless_grouped_by():
    raw = {**plain(), "Input": {"task": ["a", "b"]}}
    assert step(raw).over == ("run", "ses", "task")
    grouped = with_subject(GroupBy=["subject", "task", "contrast"])
    assert step(grouped | {"Input": {"task": ["a", "b"]}}).over == ("run", "ses")


def test_node_that_groups_by_sessions_stands_for_sessions():
    made = step(with_subject(GroupBy=["subject", "session", "contrast"]))
    assert (made.level, made.over) == ("session", ("run",))


def test_node_that_groups_by_everything_combines_nothing():
    raw = with_subject(GroupBy=["subject", "session", "run", "contrast"])
    (problem,) = analysed(raw).problems
    assert problem.found == "its GroupBy leaves nothing to combine"


def test_software_of_a_node_says_over_what_and_how():
    model = {
        "Type": "meta",
        "X": [1],
        "Software": {"bids_fx": {"Combination": "unweighted", "CombineOver": ["run", "dir"]}},
    }
    made = step(with_subject(Model=model))
    assert (made.over, made.combination) == (("run", "dir"), "unweighted")


def test_factored_columns_are_those_beside_trial_type():
    items = [{"Name": "Factor", "Input": ["trial_type", "action"]}]
    raw = with_run(Transformations={"Transformer": "pybids-transforms-v1", "Instructions": items})
    assert analysed(raw).factors == ("action",)


def made_by(analysis: Analysis, one: Step) -> set[str]:
    """Return the names of the contrasts that a step makes."""
    if one.contrasts is not None:
        return {item.name for item in one.contrasts}
    if one.source is None:
        return {item.name for item in analysis.contrasts}
    return made_by(analysis, next(s for s in analysis.steps if s.name == one.source))


NEGATED = with_subject(Contrasts=[a_contrast("neg", {1: -1})], DummyContrasts={})["Nodes"][1]
COMPOSED = with_subject(
    GroupBy=["subject"],
    Model={"Type": "meta", "X": ["f", "h"]},
    Contrasts=[a_contrast("d", {"f": 1, "h": -1})],
    DummyContrasts={},
)["Nodes"][1]
COMPARED = with_subject(
    GroupBy=["subject"],
    Transformations=[{"Name": "Split", "Input": ["f"], "By": "session"}],
    Model={"Type": "meta", "X": ["f.a", "f.b"]},
    Contrasts=[a_contrast("change", {"f.b": 1, "f.a": -1})],
    DummyContrasts={},
)["Nodes"][1]


@pytest.mark.parametrize("subject", [NEGATED, COMPOSED, COMPARED, with_subject()["Nodes"][1]])
@pytest.mark.parametrize("before", [(), (SESSION,)])
def test_steps_make_what_is_told_of_their_nodes(before: tuple[Json, ...], subject: Json) -> None:
    model = read(chained(*before, subject, Contrasts=[FACE, HOUSE]))
    analysis = analyse(model, "m.json")
    assert analysis.problems == ()
    for one in analysis.steps:
        told = {item.name for item in node_contrasts(model, model.node(one.name))}
        assert told
        assert told <= made_by(analysis, one)

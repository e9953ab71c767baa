"""Edges between nodes, and the names of contrasts along them."""

from __future__ import annotations

import re

import pytest

from bids_fx.stats_models.outputs import node_contrasts, passed, split_keys, term_of
from bids_fx.stats_models.records import NodeContrast
from tests.model_files import Json, a_contrast, faults_of, notices_of, plain, read, with_subject

SESSION: Json = {
    "Level": "Session",
    "Name": "session",
    "GroupBy": ["session", "subject", "contrast"],
    "Model": {"Type": "meta", "X": [1]},
    "DummyContrasts": {"Test": "t"},
}
DATASET: Json = {
    "Level": "Dataset",
    "Name": "dataset",
    "GroupBy": ["contrast"],
    "Model": {"Type": "glm", "X": [1]},
    "DummyContrasts": {"Test": "t"},
}


def with_nodes(*others: Json, edges: list[Json] | None = None) -> Json:
    """Return the plain run node before other nodes."""
    raw = plain()
    raw["Nodes"] = [raw["Nodes"][0], *others]
    return raw if edges is None else {**raw, "Edges": edges}


def edge(source: str, destination: str, **chosen: object) -> Json:
    return {"Source": source, "Destination": destination, **({"Filter": chosen} if chosen else {})}


def two_contrasts() -> Json:
    """Return the plain model with a second contrast of the runs."""
    raw = plain()
    raw["Nodes"][0]["Contrasts"].append(a_contrast("mean", {"face": 0.5, "house": 0.5}))
    return raw


def subject_of(raw: Json, **changes: object) -> Json:
    raw["Nodes"][-1] = {**raw["Nodes"][-1], **changes}
    return raw


def over_sessions(x: list[object], **changes: object) -> Json:
    """Return a subject node that takes a contrast apart by sessions."""
    node = {
        **plain()["Nodes"][1],
        "GroupBy": ["subject"],
        "Transformations": {
            "Transformer": "pybids-transforms-v1",
            "Instructions": [{"Name": "Split", "Input": ["diff"], "By": "session"}],
        },
        "Model": {"Type": "meta", "X": x},
    }
    return with_nodes(SESSION, {**node, **changes})


PLAIN_SUBJECT = plain()["Nodes"][1]
FAULTS: dict[str, tuple[Json, str]] = {
    "edge from no node": (
        with_nodes(PLAIN_SUBJECT, edges=[edge("runs", "subject"), edge("run", "subject")]),
        r"Edges\[0\]: Source: there is no node 'runs' \(did you mean 'run'\?\)",
    ),
    "edge without an end": (
        with_nodes(PLAIN_SUBJECT, edges=[{"Source": "run"}, edge("run", "subject")]),
        r"Edges\[0\]: Destination not there",
    ),
    "edges of no list": (with_nodes(PLAIN_SUBJECT) | {"Edges": {}}, "Edges: it is an object"),
    "no edge to a node": (
        with_nodes(SESSION, PLAIN_SUBJECT, edges=[edge("run", "subject")]),
        "node 'session': no edge leads to it",
    ),
    "two edges to a node": (
        with_nodes(
            SESSION,
            PLAIN_SUBJECT,
            edges=[edge("run", "session"), edge("run", "subject"), edge("session", "subject")],
        ),
        r"node 'subject': 2 edges lead to it \(from run, session\); keep one",
    ),
    "no run node": ({**plain(), "Nodes": [DATASET]}, "no node is of level Run, and there is noth"),
    "two run nodes": (
        with_nodes({**plain()["Nodes"][0], "Name": "other"}, PLAIN_SUBJECT, edges=[]),
        r"2 nodes are of level Run \(run, other\); keep one",
    ),
    "two nodes of one name": (
        with_nodes(PLAIN_SUBJECT, {**DATASET, "Name": "subject"}),
        "Nodes: 2 nodes are named 'subject'",
    ),
    "down": (
        with_nodes(
            PLAIN_SUBJECT, SESSION, edges=[edge("run", "subject"), edge("subject", "session")]
        ),
        "'subject' of level Subject leads down to 'session' of level Session",
    ),
    "circle": (
        with_nodes(
            SESSION,
            {**SESSION, "Name": "more"},
            edges=[edge("session", "more"), edge("more", "session")],
        ),
        "node 'session' takes its own results, in a circle",
    ),
    "filter of no contrast": (
        with_nodes(PLAIN_SUBJECT, edges=[edge("run", "subject", contrast=["dif"])]),
        r"edge from 'run' to 'subject': .*'run' makes no contrast 'dif' \(did you mean 'diff'\?\)",
    ),
    "filter of no entity": (
        with_nodes(PLAIN_SUBJECT, edges=[edge("run", "subject", sesion=["1"])]),
        r"Filter: there is no entity 'sesion' \(did you mean 'session'",
    ),
    "average of contrasts": (
        subject_of(two_contrasts(), GroupBy=["subject"]),
        "node 'subject': GroupBy: without 'contrast', X = .* average different contrasts",
    ),
    "no contrast": (with_subject(DummyContrasts=None), "node 'subject': it makes no contrast"),
    "covariate": (
        with_subject(Model={"Type": "meta", "X": ["age"]}, GroupBy=["subject"]),
        "X: 'age' is no contrast that comes to the node; meta-regression is not handled",
    ),
    "covariate beside 1": (
        with_subject(Model={"Type": "meta", "X": [1, "age"]}),
        "1 stands beside other names: meta-regression is not handled",
    ),
    "contrasts by name and by group": (
        with_subject(Model={"Type": "meta", "X": ["diff"]}),
        "with 'contrast' in it, X can name only 1",
    ),
    "instruction above run level": (
        with_subject(
            Transformations={
                "Transformer": "pybids-transforms-v1",
                "Instructions": [{"Name": "Scale", "Input": ["age"]}],
            }
        ),
        r"instruction 1 \(Scale\): above run level it is not handled; only Split",
    ),
    "split of no contrast": (
        over_sessions(
            ["diff.pre"],
            Transformations={
                "Transformer": "pybids-transforms-v1",
                "Instructions": [{"Name": "Split", "Input": ["dif"], "By": "session"}],
            },
        ),
        r"no contrast 'dif' comes to the node \(did you mean 'diff'",
    ),
    "split by no entity": (
        over_sessions(
            ["diff.a"],
            Transformations={
                "Transformer": "pybids-transforms-v1",
                "Instructions": [{"Name": "Split", "Input": ["diff"], "By": "sex"}],
            },
        ),
        "'sex' is no entity; only labels of entities tell runs apart",
    ),
    "split of what is combined": (
        over_sessions(
            ["diff.1"],
            Transformations={
                "Transformer": "pybids-transforms-v1",
                "Instructions": [{"Name": "Split", "Input": ["diff"], "By": "run"}],
            },
        ),
        "node 'session' has combined over 'run' already",
    ),
    "split within its group": (
        over_sessions(["diff.pre"], GroupBy=["subject", "session"]),
        "the node has 'session' in GroupBy, and so one label at a time",
    ),
    "split that is not used": (
        over_sessions([1]),
        "Transformations have no effect on X",
    ),
    "label of another contrast": (
        over_sessions(["mean.pre"]),
        "'mean.pre' is no contrast that comes to the node",
    ),
    "dummy of what X has not": (
        with_subject(
            GroupBy=["subject"],
            Model={"Type": "meta", "X": ["diff"]},
            DummyContrasts={"Contrasts": ["dif"], "Test": "t"},
        ),
        r"node 'subject': DummyContrasts: 'dif' is not in X \(did you mean 'diff'",
    ),
    "contrasts that get one name": (
        with_subject(Contrasts=[a_contrast("1", {1: 2})]),
        "two of its contrasts are named 'diff'",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault_is_named(case: str) -> None:
    raw, text = FAULTS[case]
    assert [fault for fault in faults_of(raw) if re.search(text, fault)]


def test_weights_of_an_f_contrast_are_refused() -> None:
    raw = plain()
    raw["Nodes"][0]["Contrasts"][0]["Test"] = "F"
    raw["Nodes"][1] |= {"GroupBy": ["subject"], "Model": {"Type": "meta", "X": ["diff"]}}
    assert "'diff' is an F contrast, and has no weights" in faults_of(raw)[0]


def test_nodes_without_edges_are_chained() -> None:
    model = read(with_nodes(SESSION, PLAIN_SUBJECT, DATASET))
    pairs = [(item.source, item.destination) for item in model.edges]
    assert pairs == [("run", "session"), ("session", "subject"), ("subject", "dataset")]


def test_a_faulty_node_says_nothing_of_those_that_take_from_it() -> None:
    raw = with_nodes(PLAIN_SUBJECT, edges=[edge("run", "subject", contrast=["other"])])
    raw["Nodes"][0]["Contrasts"][0]["Weights"] = [1]
    assert len(faults_of(raw)) == 1


def test_average_of_one_contrast_needs_no_contrast_in_its_grouping() -> None:
    model = read(with_subject(GroupBy=["subject"]))
    assert [item.name for item in node_contrasts(model, model.node("subject"))] == ["diff"]


def test_patterns_of_contrasts_are_more_than_one() -> None:
    raw = with_subject(GroupBy=["subject"])
    raw["Nodes"][0]["Model"]["X"] = ["f*", "house", 1]
    raw["Nodes"][0]["DummyContrasts"] = {"Contrasts": ["f*"], "Test": "t"}
    assert "would average different contrasts" in faults_of(raw)[0]


def test_filter_may_name_what_a_pattern_could_meet() -> None:
    raw = with_nodes(PLAIN_SUBJECT, edges=[edge("run", "subject", contrast=["face", "mouse"])])
    raw["Nodes"][0]["Model"]["X"] = ["face*", "house", 1]
    raw["Nodes"][0]["DummyContrasts"] = {"Test": "t"}
    assert faults_of(raw) == [
        (
            "edge from 'run' to 'subject': node 'run' makes no contrast 'mouse' (did you mean "
            "'house'?); it makes diff, house."
        )
    ]


@pytest.mark.parametrize("name", ["face", "trial_type.face"])
def test_filter_may_leave_out_trial_type(name: str) -> None:
    raw = with_nodes(PLAIN_SUBJECT, edges=[edge("run", "subject", contrast=[name])])
    raw["Nodes"][0] |= {"DummyContrasts": {"Test": "t"}, "Contrasts": None}
    raw["Nodes"][0]["Model"]["X"] = ["trial_type.face", "house", 1]
    model = read(raw)
    assert [item.name for item in node_contrasts(model, model.nodes[1])] == ["trial_type.face"]


def test_dummy_contrasts_follow_those_of_the_file() -> None:
    raw = plain()
    raw["Nodes"][0]["DummyContrasts"] = {"Test": "pass"}
    model = read(raw)
    assert node_contrasts(model, model.root)[1:] == (
        NodeContrast(name="face", conditions=("face",), weights=((1.0,),), test="pass"),
        NodeContrast(name="house", conditions=("house",), weights=((1.0,),), test="pass"),
    )


def test_contrast_above_run_level_is_named_behind_its_source() -> None:
    raw = with_subject(Contrasts=[a_contrast("neg", {1: -1})])
    model = read(raw)
    assert node_contrasts(model, model.node("subject")) == (
        NodeContrast(name="diff_neg", conditions=("diff",), weights=((-1.0,),)),
        NodeContrast(name="diff", conditions=("diff",), weights=((1.0,),)),
    )


def test_f_contrasts_of_runs_are_combined_with_a_notice() -> None:
    raw = plain()
    raw["Nodes"][0]["Contrasts"][0]["Test"] = "F"
    model = read(raw)
    assert node_contrasts(model, model.node("subject")) == (
        NodeContrast(name="diff", conditions=("diff",), weights=((1.0,),), test="F"),
    )
    assert [text for text in notices_of(raw) if "F contrasts diff are combined" in text]


def test_f_contrasts_end_before_the_dataset() -> None:
    raw = with_nodes(DATASET)
    raw["Nodes"][0]["Contrasts"][0]["Test"] = "F"
    model = read(raw)
    assert passed(model, model.edges[0]).contrasts == ()


def test_sessions_are_weighed_against_each_other() -> None:
    raw = over_sessions(
        ["diff.pre", "diff.post"],
        Contrasts=[a_contrast("change", {"diff.post": 1, "diff.pre": -1})],
        DummyContrasts=None,
    )
    model = read(raw)
    node = model.node("subject")
    (contrast,) = node_contrasts(model, node)
    assert (contrast.conditions, contrast.weights) == (("diff.post", "diff.pre"), ((1.0, -1.0),))
    assert split_keys(node) == ("ses",)
    assert term_of("diff.post", node, ["diff"]) == ("diff", {"ses": "post"})


def test_labels_of_a_factor_apply_to_each_contrast() -> None:
    raw = subject_of(
        two_contrasts(),
        Transformations={
            "Transformer": "pybids-transforms-v1",
            "Instructions": [{"Name": "Factor", "Input": ["session"]}],
        },
        Model={"Type": "meta", "X": ["session.pre", "session.post"]},
        Contrasts=[a_contrast("change", {"session.post": 1, "session.pre": -1})],
        DummyContrasts=None,
    )
    model = read(raw)
    made = node_contrasts(model, model.node("subject"))
    assert [(item.name, item.conditions) for item in made] == [
        ("diff_change", ("diff.post", "diff.pre")),
        ("mean_change", ("mean.post", "mean.pre")),
    ]


def test_labels_of_a_factor_need_contrast_in_the_grouping() -> None:
    raw = with_subject(
        GroupBy=["subject"],
        Transformations={
            "Transformer": "pybids-transforms-v1",
            "Instructions": [{"Name": "Factor", "Input": ["session"]}],
        },
        Model={"Type": "meta", "X": ["session.pre"]},
    )
    assert "without 'contrast' would mix different contrasts" in faults_of(raw)[0]


def test_contrasts_of_contrasts_take_what_comes_from_below() -> None:
    raw = subject_of(
        two_contrasts(),
        GroupBy=["subject"],
        Model={"Type": "meta", "X": ["diff", "mean"]},
        Contrasts=[a_contrast("both", {"diff": 1, "mean": "1/3"})],
        DummyContrasts=None,
    )
    model = read(raw)
    assert node_contrasts(model, model.node("subject")) == (
        NodeContrast(name="both", conditions=("diff", "mean"), weights=((1.0, 1 / 3),)),
    )


def test_patterns_in_x_above_run_level_meet_the_names_from_below() -> None:
    raw = subject_of(two_contrasts(), GroupBy=["subject"], Model={"Type": "meta", "X": ["m*"]})
    model = read(raw)
    assert [item.name for item in node_contrasts(model, model.node("subject"))] == ["mean"]
    assert [text for text in notices_of(raw) if "diff come to it, but are not in X" in text]


def test_dummies_that_name_contrasts_from_below_are_a_filter() -> None:
    raw = subject_of(two_contrasts(), DummyContrasts={"Contrasts": ["mean"], "Test": "t"})
    model = read(raw)
    assert dict(model.edges[0].filter) == {"contrast": ("mean",)}
    assert [item.name for item in node_contrasts(model, model.node("subject"))] == ["mean"]


def test_filters_keep_other_entities_by_their_short_keys() -> None:
    raw = with_nodes(PLAIN_SUBJECT, edges=[edge("run", "subject", session=["ses-pre"], Run=1)])
    assert dict(read(raw).edges[0].filter) == {"ses": ("pre",), "run": ("1",)}


def test_term_of_no_contrast_is_refused() -> None:
    model = read(over_sessions(["diff.pre"]))
    with pytest.raises(ValueError, match=r"'other\.pre' is none of the contrasts"):
        term_of("other.pre", model.node("subject"), ["diff"])


def test_labels_of_a_contrast_that_was_not_split_are_refused() -> None:
    raw = over_sessions(["diff.pre", "mean.pre"])
    raw["Nodes"][0]["Contrasts"].append(a_contrast("mean", {"face": 0.5, "house": 0.5}))
    (fault,) = faults_of(raw)
    assert "'mean.pre' is no contrast that comes to the node" in fault


def test_t_contrasts_reach_the_dataset() -> None:
    model = read(with_nodes(DATASET))
    assert passed(model, model.edges[0]).names == ("diff",)


def test_weighted_f_contrasts_stay_f_contrasts() -> None:
    raw = with_subject(Contrasts=[a_contrast("twice", {1: 2})], DummyContrasts=None)
    raw["Nodes"][0]["Contrasts"][0]["Test"] = "F"
    model = read(raw)
    assert node_contrasts(model, model.node("subject")) == (
        NodeContrast(name="diff_twice", conditions=("diff",), weights=((2.0,),), test="F"),
    )


def test_patterns_are_passed_on_by_plain_combinations() -> None:
    raw = with_nodes(SESSION, PLAIN_SUBJECT)
    raw["Nodes"][0]["Model"]["X"] = ["face*", "house", 1]
    raw["Nodes"][0]["DummyContrasts"] = {"Contrasts": ["face*"], "Test": "t"}
    model = read(raw)
    assert passed(model, model.edges[1]).patterns == ("face*",)


def test_dummies_from_below_do_not_widen_a_filter() -> None:
    raw = subject_of(two_contrasts(), DummyContrasts={"Contrasts": ["mean", "diff"], "Test": "t"})
    raw["Edges"] = [edge("run", "subject", contrast=["mean"])]
    assert dict(read(raw).edges[0].filter) == {"contrast": ("mean",)}


@pytest.mark.parametrize(
    ("written", "kept"), [("Meta", "meta"), ("mixed", "mixed"), (None, "glm")]
)
def test_type_of_a_dataset_is_kept(written: str | None, kept: str) -> None:
    model = read(with_nodes({**DATASET, "Model": {"Type": written, "X": [1]}}))
    assert model.node("dataset").model_type == kept


def test_participants_are_always_kept_apart() -> None:
    assert read(with_subject(GroupBy=["contrast"])).node("subject").group_by == ("contrast", "sub")


def test_what_has_no_effect_at_dataset_level_is_a_notice() -> None:
    options = {"Mask": {"desc": ["brain"]}, "HighPassFilterCutoffHz": 0.01}
    model = {"Type": "glm", "X": [1], "Options": options, "Formula": "1"}
    (text,) = [
        text
        for text in notices_of(with_nodes({**DATASET, "Model": model}))
        if "has no effect" in text
    ]
    assert text == (
        "node 'dataset': Formula, Mask, HighPassFilterCutoffHz has no effect, since the level is "
        "not run."
    )

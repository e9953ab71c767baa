"""What a model names and no run has, and what holds of all its runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_fx.drafts import Draft, DraftRun
from bids_fx.entities import parse_name
from bids_fx.errors import Problem
from bids_fx.inputs import BoldRun, Grid
from bids_fx.model_checks import check_labels, check_names, remarks, without_conditions
from bids_fx.model_runs import CONVOLVED, UNCONVOLVED, Applied
from bids_fx.records import ConfoundChoice
from bids_fx.stats_models.analysis import analyse
from tests.model_files import a_contrast, plain, read

ANALYSIS = analyse(read(plain()), "m.json")
SPM = CONVOLVED.format("spm")
ROW = (1.0, 0.0, 0.0, 0.0)


def drafted(*made: Applied, unmet: tuple[str, ...] = (), names: str = "sub-01_task-x_run-{}"):
    """Return a participant's runs as a model makes them; the last one lacks confounds."""
    runs = []
    for i, applied in enumerate(made, start=1):
        fault = Problem(where="here", found="no column", remedy="choose others")
        lacks = unmet if i == len(made) else ()
        source = BoldRun(
            entities=parse_name(f"{names.format(i)}_bold.nii.gz").entities,
            bold=Path("bold.nii.gz"),
            grid=Grid(shape=(1, 1, 1), affine=(ROW, ROW, ROW, ROW)),
            n_scans=4,
            repetition_time=2.0,
        )
        choice = ConfoundChoice(
            by_request=dict.fromkeys(lacks, ()), missing=dict.fromkeys(lacks, "no column")
        )
        runs.append(
            DraftRun(
                source=source,
                confounds=choice,
                unmet=dict.fromkeys(lacks, fault),
                applied=applied,
            )
        )
    return Draft(
        participant="01", runs=tuple(runs), left_out=(), absent=(), problems=(), notices=()
    )


def lacking(**names: str) -> Applied:
    return Applied(lacking=names)


def nothing() -> Mapping[str, Any]:
    return {}


def test_name_that_some_run_has_is_no_fault():
    draft = drafted(lacking(a="X: no a"), Applied())
    assert check_names([draft], ANALYSIS, nothing) == ()


def test_name_that_no_run_has_is_one_fault():
    draft = drafted(lacking(a="X: no a"), lacking(a="X: no a", b="X: no b"))
    assert [str(problem) for problem in check_names([draft], ANALYSIS, nothing)] == [
        "m.json: node 'run': no run has 'a': X: no a; name what the runs have, or leave it out."
    ]


def test_name_that_is_a_condition_of_others_is_no_fault():
    draft = drafted(Applied(lacking={"trial_type.a": "X: no a"}))
    assert check_names([draft], ANALYSIS, lambda: {"y": ["a"]}) == ()


def test_texts_in_x_are_one_fault():
    draft = drafted(Applied(texts=("trial_type",)), Applied(texts=("trial_type",)))
    (problem,) = check_names([draft], ANALYSIS, nothing)
    assert problem.found == "X names 'trial_type', which holds texts"


def test_what_holds_of_variables_is_said_once_for_all_runs():
    first = Applied(remarks={SPM: ("face", "house")})
    second = Applied(remarks={SPM: ("house", "tool"), UNCONVOLVED: ("gain",)})
    assert [(one.text, one.warning) for one in remarks([drafted(first, second)], ANALYSIS)] == [
        (f"m.json: node 'run': {SPM}: face, house, tool.", False),
        (f"m.json: node 'run': {UNCONVOLVED}: gain.", True),
    ]


def test_pattern_without_a_match_is_warned_of_only_if_no_run_has_one():
    first = Applied(unmatched=("a*", "b*"))
    found = remarks([drafted(first, Applied(unmatched=("b*",)))], ANALYSIS)
    assert [(one.text, one.warning) for one in found] == [
        ("m.json: node 'run': 'a*' of X matches nothing in 1 of 2 runs.", False),
        ("m.json: node 'run': 'b*' of X matches nothing in any run.", True),
    ]


def test_condition_that_one_run_lacks_is_none_of_its_confounds():
    lacks = Applied(
        lacking={"tool": "X: no tool", "csf": "X: no csf"}, missed={"toy": "no toy", "fd": "no fd"}
    )
    draft = drafted(Applied(), lacks, unmet=("tool", "csf"))
    (settled,) = without_conditions([draft], {"x": ["tool", "toy"]})
    run = settled.runs[1]
    assert (list(run.unmet), list(run.confounds.missing)) == (["csf"], ["csf"])
    assert run.applied is not None
    assert list(run.applied.missed) == ["fd"]
    assert [notice.text for notice in run.notices] == [
        "sub-01_task-x_run-2: conditions of X without any event in it: tool, toy."
    ]


def compared(*sessions: str):
    x = [f"diff.{label}" for label in sessions]
    raw = plain()
    raw["Nodes"][1] = {
        "Level": "Subject",
        "Name": "subject",
        "GroupBy": ["subject"],
        "Model": {"Type": "meta", "X": x},
        "Contrasts": [a_contrast("d", dict(zip(x, (1, -1), strict=True)))],
        "Transformations": {
            "Transformer": "pybids-transforms-v1",
            "Instructions": [{"Name": "Split", "Input": ["diff"], "By": ["session"]}],
        },
    }
    return analyse(read(raw), "m.json")


def test_label_that_no_run_has_is_a_fault_with_the_closest():
    draft = drafted(Applied(), Applied(), names="sub-01_ses-test{}_task-x")
    found = check_labels([draft], compared("test1", "tst2"))
    assert [str(problem) for problem in found] == [
        (
            "m.json: node 'subject': no run has session tst2 (did you mean 'test2'?); there is "
            "session test1, test2."
        )
    ]

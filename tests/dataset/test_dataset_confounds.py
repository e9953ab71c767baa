"""Confounds: what the strategies and patterns resolve to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_fx.boilerplate import bibliography
from bids_fx.cli.table import OPTIONS
from bids_fx.confounds import ConfoundStrategy, resolve_confounds
from bids_fx.dataset.confounds import load_strategies
from bids_fx.dataset.tables import read_confounds
from bids_fx.errors import ExitCode, Problem
from bids_fx.inputs import ConfoundTable
from bids_fx.records import ConfoundChoice

N_SCANS = 8
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")
MOTION_24 = [f"{name}{ending}" for name in MOTION for ending in EXPANSIONS]
SIGNALS = ["csf", "white_matter", "global_signal"]
#: Heads of real tables, by the fMRIPrep that wrote them.
REAL = {
    "1.0": "sub-01_task-x_bold_confounds.tsv",
    "20.1": "sub-01_task-x_desc-confounds_regressors.tsv",
    "21": "sub-01_task-x_desc-confounds_timeseries.tsv",
}
FORMER_MOTION = ["X", "Y", "Z", "RotX", "RotY", "RotZ"]

Resolved = tuple[ConfoundChoice, tuple[Problem, ...], tuple[str, ...]]


def table(*names: str, **columns: list[float]) -> ConfoundTable:
    """Return a table with some columns of ramps, and some as given."""
    values = {name: np.arange(N_SCANS) + float(i) for i, name in enumerate(names)}
    values |= {name: np.array(column, dtype=float) for name, column in columns.items()}
    return ConfoundTable(path=Path("sub-01_desc-confounds_timeseries.tsv"), values=values)


def one_hot(scan: int) -> list[float]:
    return [float(i == scan) for i in range(N_SCANS)]


def resolve(confounds: ConfoundTable | None, *requests: str, **options: Any) -> Resolved:
    settings: dict[str, Any] = {
        "n_scans": N_SCANS,
        "fd_threshold_mm": None,
        "dummy_scans": 0,
        "own_drift": True,
        "high_pass_s": 128.0,
    }
    found = resolve_confounds(confounds, requests, load_strategies(), **(settings | options))
    return found.choice, (*found.unmet.values(), *found.problems), found.notices


def censored(choice: ConfoundChoice) -> dict[int, str]:
    return {item.scan: item.reason for item in choice.censored}


@pytest.mark.parametrize(
    ("strategy", "there", "expected"),
    [
        ("motion6", MOTION_24, MOTION),
        ("motion6", FORMER_MOTION, FORMER_MOTION),
        ("motion12", MOTION_24, [name for name in MOTION_24 if "power2" not in name]),
        ("motion24", MOTION_24, MOTION_24),
        ("wm-csf", ["white_matter", "csf", "csf_wm", "csf_power2"], ["white_matter", "csf"]),
        ("wm-csf", ["CSF", "WhiteMatter"], ["CSF", "WhiteMatter"]),
        ("gsr", ["global_signal", "global_signal_power2"], ["global_signal"]),
        ("gsr", ["GlobalSignal"], ["GlobalSignal"]),
        (
            "acompcor",
            [f"a_comp_cor_{i:02}" for i in (6, 4, 3, 2, 1, 0)] + ["t_comp_cor_00"],
            [f"a_comp_cor_{i:02}" for i in (4, 3, 2, 1, 0)],
        ),
        (
            "acompcor",
            [f"aCompCor{i:02}" for i in range(6)],
            [f"aCompCor{i:02}" for i in range(5)],
        ),
        ("aroma", ["aroma_motion_02", "aroma_motion_11"], ["aroma_motion_02", "aroma_motion_11"]),
        ("aroma", ["AROMAAggrComp00"], ["AROMAAggrComp00"]),
    ],
)
def test_strategy_picks_its_columns_in_the_tables_order(
    strategy: str, there: list[str], expected: list[str]
) -> None:
    choice, problems, notices = resolve(table(*there, "other"), strategy)
    assert list(choice.columns) == expected
    assert sorted(choice.by_request[strategy]) == sorted(expected)
    assert (problems, notices, choice.censored) == ((), (), ())


@pytest.mark.parametrize(
    ("strategy", "there", "absent"),
    [
        ("motion6", MOTION[1:], "trans_x"),
        ("motion24", MOTION, "trans_x_derivative1"),
        ("motion24", FORMER_MOTION, "trans_x_derivative1"),
        ("wm-csf", ["csf"], "white_matter"),
        ("gsr", ["csf"], "global_signal"),
        ("acompcor", ["t_comp_cor_00"], "a_comp_cor_"),
        ("acompcor-separate", ["a_comp_cor_00"], "w_comp_cor_"),
        ("aroma", ["t_comp_cor_00"], "aroma_motion_"),
    ],
)
def test_strategy_whose_columns_are_absent_is_a_problem(
    strategy: str, there: list[str], absent: str
) -> None:
    _, (problem,), _ = resolve(table(*there), strategy)
    assert problem.found.startswith(f"no column {absent}")
    assert f"--confounds {strategy} needs" in problem.found


def test_acompcor_takes_the_combined_mask_as_the_sidecar_tells(tmp_path: Path) -> None:
    names = [f"a_comp_cor_{i:02}" for i in range(12)]
    masks = ["WM"] * 3 + ["combined"] * 8 + ["CSF"]
    path = tmp_path / "c.tsv"
    path.write_text("\t".join(names) + "\n" + "\t".join("1" * 12) + "\n", encoding="utf-8")
    described = {
        name: {"Mask": mask, "Retained": name != "a_comp_cor_04"}
        for name, mask in zip(names, masks, strict=True)
    }
    path.with_suffix(".json").write_text(json.dumps(described), encoding="utf-8")
    choice, problems, _ = resolve(read_confounds(path, 1), "acompcor", n_scans=1)
    assert choice.columns == tuple(f"a_comp_cor_{i:02}" for i in (3, 5, 6, 7, 8))
    assert problems == ()


def test_acompcor_sorts_components_by_number() -> None:
    names = [f"a_comp_cor_{i}" for i in (100, 20, 3, 4, 10, 2)]
    choice, _, _ = resolve(table(*names), "acompcor")
    assert "a_comp_cor_100" not in choice.columns


def test_fewer_components_than_five_are_told() -> None:
    choice, problems, notices = resolve(table("a_comp_cor_00", "a_comp_cor_01"), "acompcor")
    assert len(choice.columns) == 2
    assert choice.missing == {"acompcor": "2 of 5 columns a_comp_cor_[0-9]*"}
    assert (problems, notices) == ((), ())


@pytest.mark.parametrize("request_", ["acompcor", "csf", "a_comp_cor_0*"])
def test_request_without_any_column_is_unmet_and_no_problem_yet(request_: str) -> None:
    settings = {"n_scans": N_SCANS, "fd_threshold_mm": None, "dummy_scans": 0}
    found = resolve_confounds(
        table("x"), (request_, "x"), load_strategies(), own_drift=True, high_pass_s=1.0, **settings
    )
    assert list(found.unmet) == list(found.choice.missing) == [request_]
    assert (found.choice.columns, found.problems) == (("x",), ())


@pytest.mark.parametrize(
    "request_", ["motion_outlier*", "non_steady_state*", "*_outlier*", "cosine*", "cosine_*"]
)
def test_pattern_of_markers_or_cosines_may_match_nothing(request_: str) -> None:
    choice, problems, notices = resolve(table("csf"), request_)
    assert (choice.columns, choice.missing, problems, notices) == ((), {}, (), ())


def test_cosines_are_missed_where_the_model_has_no_drift_of_its_own() -> None:
    choice, (problem,), _ = resolve(table("csf"), "cosine*", own_drift=False)
    assert choice.missing == {"cosine*": "no column"}
    assert "no column matches 'cosine*'" in problem.found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, None),
        ({"high_pass_s": 100.0}, "a cut-off of 100 s"),
        ({"own_drift": False}, "no drift terms of its own"),
    ],
)
def test_acompcor_with_another_high_pass_is_told(
    options: dict[str, Any], told: str | None
) -> None:
    names = [f"a_comp_cor_{i:02}" for i in range(5)]
    _, problems, notices = resolve(table(*names), "acompcor", **options)
    assert problems == ()
    assert [told in text for text in notices if told] == ([True] if told else [])
    assert len(notices) == (told is not None)


# ------------------------------------------------------------------------------------ patterns


def test_pattern_picks_what_it_matches_by_case() -> None:
    choice, problems, _ = resolve(table("csf", "CSF", "csf_wm", "x"), "csf*")
    assert choice.columns == ("csf", "csf_wm")
    assert choice.by_request == {"csf*": ("csf", "csf_wm")}
    assert problems == ()


def test_column_that_is_asked_for_twice_enters_once() -> None:
    choice, _, _ = resolve(table(*MOTION), "motion6", "trans_*", "trans_x")
    assert list(choice.columns) == MOTION


@pytest.mark.parametrize(
    ("request_", "remedy"),
    [("motion_6", "did you mean motion6"), ("trans_w", "trans_"), ("zzz", "strategies are")],
)
def test_pattern_that_matches_nothing_is_a_problem(request_: str, remedy: str) -> None:
    _, (problem,), _ = resolve(table(*MOTION), request_)
    assert f"no column matches '{request_}'" in problem.found
    assert remedy in problem.remedy
    assert problem.code == ExitCode.BAD_DATA


@pytest.mark.parametrize("name", ["cosine00", "cosine_03", "Cosine01"])
def test_cosines_are_passed_over_where_the_model_has_its_own_drift(name: str) -> None:
    choice, problems, (notice,) = resolve(table(name, "csf"), "*")
    assert choice.columns == ("csf",)
    assert problems == ()
    assert f"{name} left out" in notice


def test_cosines_enter_where_the_model_has_no_drift_of_its_own() -> None:
    choice, problems, notices = resolve(table("cosine00"), "cosine*", own_drift=False)
    assert choice.columns == ("cosine00",)
    assert (problems, notices) == ((), ())


def test_gap_in_a_chosen_column_is_a_problem_that_names_rows() -> None:
    confounds = table("y", x=[np.nan, 1, np.nan, *range(N_SCANS - 3)])
    _, (problem,), _ = resolve(confounds, "x", "y")
    assert problem.found == "column 'x' has no number in rows 1, 3"


def test_filled_columns_are_told_of_those_that_enter(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("csf_derivative1\trmsd\nn/a\tn/a\n1\t2\n", encoding="utf-8")
    choice, _, _ = resolve(read_confounds(path, 2), "csf*", n_scans=2)
    assert choice.filled == {"csf_derivative1": "0"}


# ------------------------------------------------------------------------------ censored scans


def test_dummy_scans_are_censored() -> None:
    choice, problems, _ = resolve(None, dummy_scans=2)
    assert censored(choice) == {0: "dummy scan", 1: "dummy scan"}
    assert problems == ()


@pytest.mark.parametrize("name", ["non_steady_state_outlier00", "NonSteadyStateOutlier00"])
def test_non_steady_states_are_censored_and_no_columns(name: str) -> None:
    choice, problems, _ = resolve(table(**{name: one_hot(0)}), "nss")
    assert choice.columns == ()
    assert censored(choice) == {0: f"non-steady state ({name})"}
    assert problems == ()


def test_all_outlier_columns_of_a_table_are_recognised() -> None:
    # as fMRIPrep writes them: two digits or more, each one scan
    n_scans = 140
    columns = {
        f"{kind}_outlier{i:02}": np.eye(n_scans)[first + i]
        for kind, first, count in (("non_steady_state", 0, 3), ("motion", 10, 120))
        for i in range(count)
    }
    confounds = ConfoundTable(path=Path("c.tsv"), values=columns)
    for requests in (("nss", "motion_outlier*"), ("*_outlier*",), ("*",)):
        choice, problems, _ = resolve(confounds, *requests, n_scans=n_scans)
        assert [item.scan for item in choice.censored] == [0, 1, 2, *range(10, 130)]
        assert (choice.columns, problems) == ((), ())


def test_outlier_column_without_a_scan_censors_nothing() -> None:
    # as in a table that was cut to its first rows
    choice, problems, _ = resolve(table(motion_outlier00=[0.0] * N_SCANS), "motion_outlier*")
    assert (choice.columns, choice.censored, problems) == ((), (), ())


def test_run_without_non_steady_states_is_fine() -> None:
    choice, problems, notices = resolve(table("x"), "nss")
    assert (choice.columns, choice.censored, problems, notices) == ((), (), (), ())


def test_markers_that_a_pattern_matches_are_censored_too() -> None:
    confounds = table(motion_outlier00=one_hot(3), motion_outlier01=one_hot(5))
    choice, _, _ = resolve(confounds, "motion_outlier*")
    assert choice.columns == ()
    assert set(censored(choice)) == {3, 5}


def test_column_with_a_markers_name_but_other_values_is_a_regressor() -> None:
    choice, _, _ = resolve(table("motion_outlier00"), "motion_outlier*")
    assert choice.columns == ("motion_outlier00",)
    assert choice.censored == ()


def scrubbed(**columns: list[float]) -> ConfoundTable:
    displacement = [0.0, 0.1, 0.5, 0.51, 0.2, 0.9, 0.1, 0.1]
    return table(framewise_displacement=displacement, **columns)


def test_scrub_censors_outliers_and_displacement_above_half_a_millimetre() -> None:
    choice, problems, _ = resolve(scrubbed(motion_outlier00=one_hot(1)), "scrub")
    assert censored(choice) == {
        1: "motion outlier (motion_outlier00)",
        3: "framewise displacement 0.51 mm > 0.5 mm",
        5: "framewise displacement 0.9 mm > 0.5 mm",
    }
    assert choice.columns == ()
    assert problems == ()


def test_threshold_replaces_both_rules_of_scrub() -> None:
    confounds = scrubbed(motion_outlier00=one_hot(1))
    choice, _, _ = resolve(confounds, "scrub", fd_threshold_mm=0.8)
    assert censored(choice) == {5: "framewise displacement 0.9 mm > 0.8 mm"}


def test_threshold_censors_without_scrub() -> None:
    choice, problems, _ = resolve(scrubbed(), fd_threshold_mm=0.15)
    assert set(censored(choice)) == {2, 3, 4, 5}
    assert problems == ()


def test_scan_is_censored_once_with_all_reasons() -> None:
    confounds = scrubbed(
        non_steady_state_outlier00=one_hot(0), motion_outlier00=one_hot(5)
    )  # fmt: skip
    choice, _, _ = resolve(confounds, "scrub", "nss", dummy_scans=1)
    assert [item.scan for item in choice.censored] == [0, 3, 5]
    assert censored(choice)[0] == "dummy scan; non-steady state (non_steady_state_outlier00)"
    assert censored(choice)[5] == (
        "motion outlier (motion_outlier00); framewise displacement 0.9 mm > 0.5 mm"
    )
    assert [item.kinds for item in choice.censored] == [
        ("dummy scan", "non-steady state"),
        ("framewise displacement > 0.5 mm",),
        ("motion outlier", "framewise displacement > 0.5 mm"),
    ]


def test_scan_that_two_columns_mark_is_of_one_kind() -> None:
    confounds = table(motion_outlier00=one_hot(3), motion_outlier01=one_hot(3))
    (item,) = resolve(confounds, "motion_outlier*")[0].censored
    assert item.reason == "motion outlier (motion_outlier00); motion outlier (motion_outlier01)"
    assert item.kinds == ("motion outlier",)


def test_displacement_filled_into_the_first_row_censors_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("framewise_displacement\nn/a\n2\n0.1\n", encoding="utf-8")
    confounds = read_confounds(path, 3)
    assert confounds.values["framewise_displacement"][0] > 1
    choice, problems, _ = resolve(confounds, fd_threshold_mm=1.0, n_scans=3)
    assert set(censored(choice)) == {1}
    assert problems == ()


@pytest.mark.parametrize("options", [{}, {"fd_threshold_mm": 0.4}])
def test_scrub_without_displacement_is_a_problem(options: dict[str, float]) -> None:
    _, (problem,), _ = resolve(table("x"), "scrub", **options)
    assert "no column framewise_displacement" in problem.found


def test_stricter_of_two_thresholds_counts() -> None:
    scrub = load_strategies()["scrub"]
    strategies = {name: replace(scrub, fd_threshold_mm=t) for name, t in (("a", 0.8), ("b", 0.3))}
    found = resolve_confounds(
        scrubbed(), ("a", "b"), strategies, n_scans=N_SCANS, fd_threshold_mm=None,
        dummy_scans=0, own_drift=True, high_pass_s=128.0,
    )  # fmt: skip
    assert set(censored(found.choice)) == {2, 3, 5}


def test_gap_in_the_displacement_is_a_problem() -> None:
    confounds = table(framewise_displacement=[0, 1, np.nan, *range(N_SCANS - 3)])
    _, (problem,), _ = resolve(confounds, fd_threshold_mm=9)
    assert "row 3" in problem.found


def test_former_name_of_the_displacement_counts() -> None:
    choice, problems, _ = resolve(table(FramewiseDisplacement=one_hot(4)), "scrub")
    assert set(censored(choice)) == {4}
    assert problems == ()


@pytest.mark.parametrize(
    ("requests", "options"),
    [(("motion6",), {}), (("nss",), {}), ((), {"fd_threshold_mm": 0.5})],
)
def test_run_without_confounds_file_is_a_problem_where_one_is_needed(
    requests: tuple[str, ...], options: dict[str, Any]
) -> None:
    choice, (problem,), _ = resolve(None, *requests, dummy_scans=1, **options)
    assert problem.code == ExitCode.MISSING_INPUT
    assert "--confounds none" in problem.remedy
    assert set(censored(choice)) == {0}


def test_nothing_asked_of_no_file_is_fine() -> None:
    assert resolve(None) == (ConfoundChoice(), (), ())


# --------------------------------------------------------------------- the strategies' files


def test_strategies_say_what_they_are() -> None:
    strategies = load_strategies()
    assert list(strategies) == [
        *("motion6", "motion12", "motion24", "36p", "wm-csf"),
        *("acompcor", "acompcor-separate", "acompcor50", "tcompcor", "aroma"),
        *("scrub", "nss", "gsr"),
    ]
    assert all(s.description and not s.description.endswith(".") for s in strategies.values())
    assert {name for name, s in strategies.items() if s.censors is not None} == {"scrub", "nss"}


# ------------------------------------------------------------------------ tables of fMRIPrep


def numbered(stem: str, *numbers: int) -> list[str]:
    return [f"{stem}{number:02}" for number in numbers]


@pytest.mark.parametrize(
    ("version", "strategy", "expected"),
    [
        ("1.0", "motion6", FORMER_MOTION),
        ("1.0", "wm-csf", ["CSF", "WhiteMatter"]),
        ("1.0", "gsr", ["GlobalSignal"]),
        ("1.0", "acompcor", numbered("aCompCor", *range(5))),
        ("1.0", "tcompcor", numbered("tCompCor", *range(5))),
        *((version, "motion6", MOTION) for version in ("20.1", "21")),
        *(
            (version, "motion12", [f"{name}{end}" for name in MOTION for end in EXPANSIONS[:2]])
            for version in ("20.1", "21")
        ),
        *((version, "motion24", MOTION_24) for version in ("20.1", "21")),
        *(
            (version, "36p", [f"{n}{end}" for n in (*MOTION, *SIGNALS) for end in EXPANSIONS])
            for version in ("20.1", "21")
        ),
        *((version, "wm-csf", ["csf", "white_matter"]) for version in ("20.1", "21")),
        *((version, "gsr", ["global_signal"]) for version in ("20.1", "21")),
        # In 20.1 the masks share one row of numbers: combined, then CSF, then white matter.
        *((version, "acompcor", numbered("a_comp_cor_", *range(5))) for version in ("20.1", "21")),
        (
            "20.1",
            "acompcor-separate",
            numbered("a_comp_cor_", *range(57, 62), *range(70, 75)),
        ),
        ("20.1", "acompcor50", numbered("a_comp_cor_", *range(57, 126))),
        (
            "21",
            "acompcor50",
            [*numbered("c_comp_cor_", 0, 1, 2), *numbered("w_comp_cor_", 0, 1, 2, 3)],
        ),
        ("20.1", "tcompcor", numbered("t_comp_cor_", *range(5))),
        ("20.1", "aroma", None),
    ],
)
def test_strategy_finds_its_columns_in_what_fmriprep_writes(
    confounds_of: Callable[[str], ConfoundTable],
    version: str,
    strategy: str,
    expected: list[str] | None,
) -> None:
    confounds = confounds_of(version)
    if expected is None:
        expected = [name for name in confounds.values if name.startswith("aroma_motion_")]
        assert len(expected) == 13
    choice, problems, _ = resolve(confounds, strategy, n_scans=3)
    assert sorted(choice.columns) == sorted(expected)
    assert problems == ()


@pytest.mark.parametrize(
    ("version", "strategy", "absent"),
    [
        *(("1.0", strategy, "trans_x_derivative1") for strategy in ("motion12", "motion24")),
        ("1.0", "36p", "trans_x_derivative1"),
        ("1.0", "acompcor-separate", "w_comp_cor_[0-9]*, c_comp_cor_[0-9]*"),
        ("1.0", "acompcor50", "w_comp_cor_[0-9]*, c_comp_cor_[0-9]*"),
        *((version, "aroma", "aroma_motion_[0-9]*") for version in ("1.0", "21")),
    ],
)
def test_strategy_that_a_table_of_fmriprep_lacks_is_a_problem(
    confounds_of: Callable[[str], ConfoundTable], version: str, strategy: str, absent: str
) -> None:
    _, (problem,), _ = resolve(confounds_of(version), strategy, n_scans=3)
    assert problem.found.startswith(f"no column {absent}")


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("1.0", "NonSteadyStateOutlier00"),
        ("20.1", "non_steady_state_outlier00"),
        ("21", "non_steady_state_outlier00"),
    ],
)
def test_steady_state_and_displacement_are_read_in_what_fmriprep_writes(
    confounds_of: Callable[[str], ConfoundTable], version: str, name: str
) -> None:
    choice, problems, _ = resolve(confounds_of(version), "nss", "scrub", n_scans=3)
    assert f"non-steady state ({name})" in censored(choice)[0]
    assert (choice.columns, choice.fd_threshold_mm, problems) == ((), 0.5, ())


@pytest.fixture
def confounds_of(real_data: Path) -> Callable[[str], ConfoundTable]:
    """Return a function that reads the table of a version of fMRIPrep."""
    return lambda version: read_confounds(real_data / "confounds" / REAL[version], 3)


def test_components_of_one_tissue_are_taken_only_as_a_sidecar_tells(
    confounds_of: Callable[[str], ConfoundTable],
) -> None:
    silent = replace(confounds_of("21"), metadata={})
    _, (problem,), _ = resolve(silent, "acompcor-separate", n_scans=3)
    assert "no column w_comp_cor_[0-9]*, c_comp_cor_[0-9]*" in problem.found


@pytest.mark.parametrize(
    ("strategy", "column"),
    [
        ("acompcor-separate", "w_comp_cor_01"),
        ("acompcor50", "c_comp_cor_00"),
        ("tcompcor", "t_comp_cor_01"),
    ],
)
def test_components_that_explain_too_little_are_not_taken(
    confounds_of: Callable[[str], ConfoundTable], strategy: str, column: str
) -> None:
    real = confounds_of("21")
    dropped = {**real.metadata, column: {**real.metadata[column], "Retained": False}}
    before, after = (
        resolve(confounds, strategy, n_scans=3)[0].columns
        for confounds in (real, replace(real, metadata=dropped))
    )
    assert after == tuple(name for name in before if name != column)
    assert column in before


def test_fewer_components_of_one_tissue_are_told(
    confounds_of: Callable[[str], ConfoundTable],
) -> None:
    choice, problems, _ = resolve(confounds_of("21"), "acompcor-separate", n_scans=3)
    assert len(choice.columns) == 7
    assert choice.missing == {
        "acompcor-separate": "4 of 5 columns w_comp_cor_[0-9]*, 3 of 5 columns c_comp_cor_[0-9]*"
    }
    assert problems == ()


def test_tissue_without_components_is_missed_where_the_other_has_some() -> None:
    names = [f"w_comp_cor_{i:02}" for i in range(5)]
    described = {name: {"Mask": "WM"} for name in names}
    confounds = replace(table(*names), metadata=described)
    choice, problems, _ = resolve(confounds, "acompcor-separate")
    assert choice.columns == tuple(names)
    assert choice.missing == {"acompcor-separate": "0 of 5 columns c_comp_cor_[0-9]*"}
    assert problems == ()


@pytest.mark.parametrize(
    ("request_", "meant"),
    [("motion", "motion6"), ("wm_csf", "wm-csf"), ("compcor", "acompcor"), ("ica_aroma", "aroma")],
)
def test_strategies_of_nilearn_lead_to_ours(request_: str, meant: str) -> None:
    _, (problem,), _ = resolve(table("x"), request_)
    assert meant in problem.remedy.removeprefix("did you mean ").split(" or ")


@pytest.mark.parametrize("strategy", load_strategies().values(), ids=load_strategies().keys())
def test_every_strategy_has_its_sentence_and_references_that_exist(
    strategy: ConfoundStrategy,
) -> None:
    assert strategy.description
    assert not strategy.description.endswith(".")
    # Whoever preprocessed marks the steady state; what did so is cited with the preprocessing.
    assert strategy.references or strategy.name == "nss"
    assert set(strategy.references) <= bibliography().keys()


def test_documents_name_every_strategy() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Confounds\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert set(re.findall(r"`([^`]+)`", " ".join(rows))) == set(load_strategies())
    help_text = next(option for option in OPTIONS if option.name == "--confounds").help
    assert set(load_strategies()) <= set(re.findall(r"[\w-]+", help_text))

"""The measures of a run's quality, and the limits that it breaks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_fx.derivatives import paths
from bids_fx.derivatives.quality import quality_failures, quality_notices, read_quality
from bids_fx.inputs import ConfoundTable
from bids_fx.quality import BY_NAME, MEASURES, broken_limits, unmeasured
from bids_fx.records import Plan
from bids_fx.report_settings import QualityLimit, ReportSettings
from bids_fx.traces import FD, ROTATIONS, TRANSLATIONS, motion_traces, scan_measures
from tests.small_plans import make_plan, make_run, make_run_maps

RUN = "sub-01_task-x_run-1"
FD_LIMIT = QualityLimit(measure="fd_mean", sign=">", value=0.5)
SNR_LIMIT = QualityLimit(measure="tsnr_median", sign="<", value=20.0)


def with_confounds(filled: tuple[str, ...] = (), **values: object):
    columns = {name: np.asarray(column, float) for name, column in values.items()}
    table = ConfoundTable(path=Path("c.tsv"), values=columns, filled=dict.fromkeys(filled, "mean"))
    return replace(
        make_run(RUN).source, confounds=table, n_scans=len(next(iter(columns.values())))
    )


def test_value_just_beyond_its_limit_is_told_with_the_digits_that_say_so() -> None:
    assert broken_limits({"fd_mean": 0.5000001}, [FD_LIMIT]) == (
        "fd_mean is 0.5000001, above 0.5",
    )
    assert broken_limits({"fd_mean": 0.6234567}, [FD_LIMIT]) == ("fd_mean is 0.623457, above 0.5",)


def limited(*measures: dict[str, object], out_dir: Path) -> Plan:
    """Return a plan with two limits, of runs with these measures."""
    plan = make_plan(report=ReportSettings(quality_limits=(FD_LIMIT, SNR_LIMIT)))
    for run, own in zip(plan.runs, measures, strict=False):
        path = out_dir / paths.quality(run.entities)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(own))
    return plan


def test_measures_are_told_apart_and_stay_together_by_what_they_tell_of() -> None:
    assert len(BY_NAME) == len(MEASURES)
    parts = [measure.part for measure in MEASURES]
    changes = [part for i, part in enumerate(parts) if i == 0 or part != parts[i - 1]]
    assert len(changes) == len(set(parts))
    assert all(measure.description and measure.units for measure in MEASURES)


def test_a_broken_limit_is_told_with_value_and_limit() -> None:
    measures = {"fd_mean": 0.62, "tsnr_median": 12.5}
    assert broken_limits(measures, (FD_LIMIT, SNR_LIMIT)) == (
        "fd_mean is 0.62, above 0.5",
        "tsnr_median is 12.5, below 20",
    )


@pytest.mark.parametrize("measures", [{}, {"fd_mean": None}, {"fd_mean": 0.5}, {"fd_mean": 0}])
def test_what_is_not_measured_or_at_the_limit_breaks_nothing(measures) -> None:
    assert broken_limits(measures, (FD_LIMIT,)) == ()


def test_what_is_not_measured_is_told() -> None:
    assert unmeasured({"fd_mean": None, "tsnr_median": 3}, (FD_LIMIT, SNR_LIMIT)) == ("fd_mean",)


def test_failures_name_the_run_and_the_limit(tmp_path: Path) -> None:
    plan = limited(
        {"fd_mean": 0.4, "tsnr_median": 50}, {"fd_mean": 0.6, "tsnr_median": 50}, out_dir=tmp_path
    )
    assert quality_failures(plan, tmp_path) == ("task-x_run-2: fd_mean is 0.6, above 0.5",)
    assert quality_notices(plan, tmp_path) == ()


def test_measures_that_a_run_does_not_have_are_a_notice(tmp_path: Path) -> None:
    plan = limited({"fd_mean": None, "tsnr_median": 50}, out_dir=tmp_path)
    assert quality_failures(plan, tmp_path) == ()
    (notice,) = quality_notices(plan, tmp_path)
    assert notice.participant == "01"
    assert notice.text.startswith("task-x_run-1: fd_mean could not be measured")


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_measures_that_are_missing_or_damaged_are_none(text, tmp_path: Path) -> None:
    run = make_run(RUN)
    if text is not None:
        path = tmp_path / paths.quality(run.entities)
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert read_quality(run, tmp_path) == {}


def test_maps_made_beforehand_have_no_measures_which_is_told(tmp_path: Path) -> None:
    run = make_run_maps(tmp_path, RUN, effect=2.0, variance=1.0, dof=20.0)
    assert read_quality(run, tmp_path) == {}
    plan = make_plan([run], report=ReportSettings(quality_limits=(FD_LIMIT,)))
    (notice,) = quality_notices(plan, tmp_path)
    assert notice.text.startswith("task-x_run-1: fd_mean could not be measured")


def test_displacement_of_the_table_is_taken_without_what_was_filled_in() -> None:
    traces = motion_traces(with_confounds(filled=(FD,), framewise_displacement=[0.3, 0.2, 0.4]))
    np.testing.assert_array_equal(traces.columns[FD], [np.nan, 0.2, 0.4])
    assert not traces.is_computed


def test_displacement_without_a_gap_is_taken_whole() -> None:
    traces = motion_traces(with_confounds(framewise_displacement=[0.0, 0.2, 0.4]))
    np.testing.assert_array_equal(traces.columns[FD], [0.0, 0.2, 0.4])


@pytest.mark.parametrize("given", [{}, {"framewise_displacement": [np.nan] * 3}])
def test_displacement_that_the_table_lacks_is_computed(given) -> None:
    moved = {name: [0.0, 0.1 * i, -0.1 * i] for i, name in enumerate(TRANSLATIONS, start=1)}
    turned = {name: [0.0, 0.001 * i, 0.0] for i, name in enumerate(ROTATIONS, start=1)}
    traces = motion_traces(with_confounds(**given, **moved, **turned))
    # Power et al. (2012), term by term.
    first = (0.1 + 0.2 + 0.3) + 50 * (0.001 + 0.002 + 0.003)
    second = (0.2 + 0.4 + 0.6) + 50 * (0.001 + 0.002 + 0.003)
    np.testing.assert_allclose(traces.columns[FD], [np.nan, first, second], rtol=1e-12)
    assert traces.is_computed


def test_displacement_is_not_computed_of_some_parameters() -> None:
    traces = motion_traces(with_confounds(trans_x=[0.0, 1.0], rot_x=[0.0, 0.1]))
    assert list(traces.columns) == ["trans_x", "rot_x"]


def test_parameters_under_their_older_names_get_the_present_ones() -> None:
    older = ("X", "Y", "Z", "RotX", "RotY", "RotZ")
    values = {name: [0.0, float(i)] for i, name in enumerate(older)}
    traces = motion_traces(with_confounds(**values, FramewiseDisplacement=[0.0, 7.0]))
    named = {name: column[1] for name, column in traces.columns.items()}
    assert named == {FD: 7.0, **{n: float(i) for i, n in enumerate((*TRANSLATIONS, *ROTATIONS))}}


def test_measures_of_the_scans_count_what_is_above_half_a_millimetre() -> None:
    source = with_confounds(filled=(FD,), framewise_displacement=[9.0, 0.5, 0.6, 0.1])
    run = make_run(RUN, censored=(3,))
    found = scan_measures(replace(run, source=source), motion_traces(source))
    assert found == {
        "n_scans": 4,
        "n_censored": 1,
        "censored_perc": 25.0,
        "fd_mean": pytest.approx(0.4),
        "fd_max": 0.6,
        "fd_num": 1,
        "fd_perc": 25.0,
        "vif_max": 1.75,
        "efficiency_min": 12.5,
    }


def test_a_run_without_confounds_has_no_displacement() -> None:
    source = replace(make_run(RUN).source, confounds=None, confounds_file=None)
    found = scan_measures(make_run(RUN), motion_traces(source))
    assert [found[name] for name in ("fd_mean", "fd_max", "fd_num", "fd_perc")] == [None] * 4


def test_every_measure_that_is_taken_is_documented() -> None:
    run = make_run(RUN)
    assert scan_measures(run, motion_traces(run.source)).keys() <= BY_NAME.keys()

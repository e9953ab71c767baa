"""Strip plots: where points lie, which tell their run, which break a limit."""

from __future__ import annotations

import re

import pytest

from bids_fx.entities import parse_name
from bids_fx.report_settings import QualityLimit
from bids_fx.reports.strips import MAX_LANES, MAX_TITLED, Strip, make_strip
from bids_fx.standing import RunQuality

LIMIT = QualityLimit(measure="fd_mean", sign=">", value=0.5)


def runs(*values: float | None, analysis: str = "a") -> list[RunQuality]:
    """Return runs with these mean displacements."""
    return [
        RunQuality(
            entities=parse_name(f"sub-{number:02d}_task-x_run-1_bold.nii").entities,
            analysis=analysis,
            measures={"fd_mean": value},
        )
        for number, value in enumerate(values)
    ]


def strip_of(found: list[RunQuality], *analyses: str, limits: tuple = ()) -> Strip:
    strip = make_strip("fd_mean", found, analyses or ("a",), limits)
    assert strip is not None
    return strip


def places(strip: Strip) -> list[float]:
    return [float(point.x) for lane in strip.lanes for point in lane.points]


def test_points_lie_between_the_ends_in_proportion() -> None:
    left, quarter, right = places(strip_of(runs(0.0, 0.25, 1.0)))
    assert (quarter - left) / (right - left) == pytest.approx(0.25, abs=1e-3)
    assert 0 < left < right < float(strip_of(runs(0.0, 1.0)).width)


def test_ends_of_the_axis_are_told() -> None:
    strip = strip_of(runs(0.125, 0.5, 0.25))
    assert [text for _, text, _ in strip.ticks] == ["0.125", "0.5"]
    assert strip.alt == ("framewise displacement, mean of 3 runs: 0.125 to 0.5, median 0.25 mm")
    assert strip.title == "Framewise displacement, mean (mm)"


def test_texts_at_the_ends_go_inwards_and_others_around_their_place() -> None:
    left, right = strip_of(runs(0.0005213, 0.001849)).ticks
    assert (left[2], right[2]) == ("start", "end")
    (middle,) = strip_of(runs(0.25)).ticks
    assert middle == ("320.0", "0.25", "middle")
    values = [*runs(0.1, 0.3), *runs(0.1, analysis="b")]
    (_, _, beside_names), _ = strip_of(values, "a", "b").ticks
    assert beside_names == "middle"


def test_point_tells_its_run_and_value() -> None:
    (point,) = strip_of(runs(0.25)).lanes[0].points
    assert point.title == "sub-00 task-x run-1: 0.25"


def test_equal_values_lie_in_the_middle() -> None:
    strip = strip_of(runs(0.25, 0.25))
    assert len(set(places(strip))) == 1
    assert [text for _, text, _ in strip.ticks] == ["0.25"]


def test_runs_that_break_a_limit_stand_out_and_the_limit_is_on_the_axis() -> None:
    strip = strip_of(runs(0.25, 0.5, 0.75), limits=(LIMIT,))
    assert [point.is_bad for point in strip.lanes[0].points] == [False, False, True]
    assert strip.limits == ((strip.lanes[0].points[1].x, "fd_mean>0.5"),)


def test_limit_beyond_all_values_is_within_the_drawing() -> None:
    limit = QualityLimit(measure="fd_mean", sign=">", value=9.0)
    ((x, _),) = strip_of(runs(0.25, 0.5), limits=(limit,)).limits
    assert float(x) < 640


def test_limits_of_other_measures_are_not_shown() -> None:
    limit = QualityLimit(measure="rank", sign=">", value=0.1)
    strip = strip_of(runs(0.25, 0.5), limits=(limit,))
    assert strip.limits == ()
    assert not any(point.is_bad for point in strip.lanes[0].points)


def test_each_analysis_has_a_line_of_its_own_on_one_axis() -> None:
    found = [*runs(0.0, 1.0), *runs(0.5, analysis="b"), *runs(None, analysis="c")]
    strip = strip_of(found, "b", "a", "c")
    assert [lane.name for lane in strip.lanes] == ["b", "a"]
    (middle,) = (float(point.x) for point in strip.lanes[0].points)
    left, right = (float(point.x) for point in strip.lanes[1].points)
    assert middle == pytest.approx((left + right) / 2, abs=0.1)
    assert float(strip.lanes[0].y) < float(strip.lanes[1].y) < float(strip.axis)


def test_one_analysis_alone_has_no_name() -> None:
    assert strip_of(runs(0.25)).lanes[0].name == ""


def test_of_many_points_those_far_from_the_middle_tell_their_run() -> None:
    number = MAX_TITLED + 50
    strip = strip_of(runs(*(float(value) for value in range(number))))
    (lane,) = strip.lanes
    assert len(lane.points) == MAX_TITLED
    assert len(re.findall(r"M[\d.]+ [\d.]+h0", lane.dots)) == 50
    told = {int(float(point.title.rpartition(" ")[2])) for point in lane.points}
    assert {0, 1, number - 2, number - 1} <= told
    assert number // 2 not in told


def test_analyses_beyond_the_last_line_are_counted() -> None:
    names = [f"a{number}" for number in range(MAX_LANES + 2)]
    found = [run for name in names for run in runs(0.25, 0.5, analysis=name)]
    strip = strip_of(found, *names)
    assert len(strip.lanes) == MAX_LANES
    assert strip.note == "4 runs of 2 further analyses are in qc.tsv alone."


def test_measure_that_no_run_has_is_not_shown() -> None:
    assert make_strip("fd_mean", runs(None), ("a",), ()) is None
    assert make_strip("fd_mean", [], (), (LIMIT,)) is None

"""What is told across participants: the worst of their runs, their order, who differs."""

from __future__ import annotations

from bids_fx.calls import Call
from bids_fx.entities import Entities
from bids_fx.quality import BY_NAME
from bids_fx.records import Plan
from bids_fx.report_settings import QualityLimit
from bids_fx.settings import AnalysisSettings
from bids_fx.standing import (
    SHOWN,
    STATES,
    WORST,
    Analysis,
    Overview,
    RunQuality,
    Standing,
    label_key,
    settings_groups,
    shown_measures,
    worst_values,
)


def analysis(name: str) -> Analysis:
    call = Call(plan=Plan(participant="", settings=AnalysisSettings()), state="done")
    return Analysis(name=name, call=call)


def standing(participant: str, *names: str, **changes: object) -> Standing:
    values = {"state": "done", "analyses": tuple(map(analysis, names)), **changes}
    return Standing(participant=participant, **values)


def run(name: str = "a", **measures: float | None) -> RunQuality:
    return RunQuality(entities=Entities(), analysis=name, measures=measures)


def test_worst_is_the_largest_or_the_smallest_as_the_measure_has_it() -> None:
    runs = [
        run(fd_mean=0.25, tsnr_median=60.0, censored_perc=None),
        run(fd_mean=0.5, tsnr_median=40.0),
    ]
    assert worst_values(runs) == {"fd_mean": 0.5, "censored_perc": None, "tsnr_median": 40.0}


def test_a_value_of_zero_is_a_value() -> None:
    assert worst_values([run(fd_mean=0.0)])["fd_mean"] == 0.0


def test_measures_that_are_told_exist_and_have_a_bad_side() -> None:
    assert set(WORST) | set(SHOWN) <= set(BY_NAME)
    assert all(BY_NAME[name].bad is not None for name in WORST)


def test_measures_with_limits_are_shown_first_and_each_once() -> None:
    limits = [
        QualityLimit(measure=name, sign=">", value=1.0) for name in ("rank", "fd_max", "rank")
    ]
    shown = shown_measures(limits)
    assert shown[:3] == ("rank", "fd_max", "fd_mean")
    assert len(set(shown)) == len(shown) == len(SHOWN) + 1


def test_labels_are_in_the_order_of_their_numbers() -> None:
    assert sorted(["10", "b", "9", "a", "010"], key=label_key) == ["a", "b", "9", "010", "10"]


def test_most_participants_come_first_and_ties_by_the_first_participant() -> None:
    groups = settings_groups(
        [
            standing("01", "b"),
            standing("02", "a"),
            standing("03", "a", "b"),
            standing("04", "b", "a"),
            standing("05"),
        ]
    )
    assert [group.participants for group in groups] == [("03", "04"), ("01",), ("02",)]
    assert [[one.name for one in group.analyses] for group in groups] == [["a", "b"], ["b"], ["a"]]


def test_others_are_who_has_more_or_other_analyses_than_most() -> None:
    standings = [standing("01", "a"), standing("02", "a", "b"), standing("03", "c")]
    found = Overview(standings=(*standings, standing("04", state="failed"))).others
    assert [group.participants for group in found] == [("02",), ("03",)]


def test_of_two_analyses_of_one_participant_the_newer_is_the_other() -> None:
    overview = Overview(standings=(standing("01", "new", "old"),))
    assert [one.name for one in overview.analyses] == ["old", "new"]
    assert [group.participants for group in overview.others] == [("01",)]


def test_where_all_have_the_one_analysis_there_are_no_others() -> None:
    assert Overview(standings=(standing("01", "a"), standing("02", "a"))).others == ()


def test_every_state_is_counted_also_where_nobody_has_it() -> None:
    overview = Overview(standings=(standing("01"), standing("02", state="failed")))
    assert overview.counts == dict.fromkeys(STATES, 0) | {"done": 1, "failed": 1}


def test_who_is_not_done_yet_is_not_wrong() -> None:
    wrong = {state for state in STATES if standing("01", state=state).is_wrong}
    assert wrong == {"failed", "unknown"}


def test_runs_and_analyses_are_those_of_all_participants() -> None:
    standings = (
        standing("01", "a", runs=(run("a", fd_mean=0.1),)),
        standing("02", "b", "a", runs=(run("b", fd_mean=0.3), run("a"))),
    )
    overview = Overview(standings=standings)
    assert [one.analysis for one in overview.runs] == ["a", "b", "a"]
    assert [one.name for one in overview.analyses] == ["a", "b"]
    assert overview.worst["fd_mean"] == 0.3

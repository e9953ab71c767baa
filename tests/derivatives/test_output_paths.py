"""Which maps and tables a plan promises, by test, noise model and number of runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bids_fx.derivatives import paths
from bids_fx.glm.names import NOISE_MODELS
from bids_fx.records import GroupContrast
from tests.small_plans import ANY, FACE, make_group, make_plan, make_run

RUNS = ("task-x_run-1", "task-x_run-2")


def stats_of(contrast, input_keys=RUNS) -> list[str]:
    return list(paths.combined_stats(GroupContrast(contrast=contrast, input_keys=input_keys)))


@pytest.mark.parametrize(
    ("contrast", "stats"),
    [
        (FACE, ["effect", "variance", "t", "z", "p", "logp", "dof"]),
        (ANY, ["effect", "covariance", "F", "z", "p", "logp", "dof"]),
    ],
    ids=["t", "F"],
)
def test_maps_of_a_run_go_by_the_contrasts_test(contrast, stats):
    run = make_run("sub-01_task-x_run-1", contrasts=(contrast,))
    names = [path.name for path in paths.run_images(run) if "_contrast-" in path.name]
    stem = f"sub-01_task-x_run-1_contrast-{contrast.label}_stat-"
    assert names == [f"{stem}{stat}_statmap.nii.gz" for stat in stats]


def test_a_combination_of_two_runs_has_heterogeneity_of_t_and_influence_of_both():
    assert stats_of(FACE)[7:] == ["nruns", "q", "qp", "isq", "tau2", "zchange", "zchangerun"]
    assert stats_of(ANY)[7:] == ["nruns", "zchange", "zchangerun"]


@pytest.mark.parametrize("contrast", [FACE, ANY], ids=["t", "F"])
def test_a_combination_of_one_run_has_neither(contrast):
    assert stats_of(contrast, RUNS[:1])[7:] == ["nruns"]


def test_a_join_reads_effects_their_spread_and_degrees_of_freedom():
    assert paths.estimate_stats(FACE) == ("effect", "variance", "dof")
    assert paths.estimate_stats(ANY) == ("effect", "covariance", "dof")


@pytest.mark.parametrize(
    ("noise_model", "own"),
    [("ols", ()), ("ar1-yw", ("ar1",)), ("ar1", ("ar1",)), ("arma11", ("ar1", "white"))],
)
def test_maps_of_the_model_go_by_the_noise_model(noise_model, own):
    run = make_run("sub-01_task-x", noise_model=noise_model)
    assert paths.model_stats(run) == ("rsquared", "sigmasq", "tsnr", *own)


def test_every_noise_model_says_which_maps_it_has():
    assert set(paths.NOISE_STATS) == set(NOISE_MODELS)


def test_a_combination_of_two_runs_has_a_table_of_influence_with_a_sidecar():
    plan = make_plan()
    stem = "sub-01/func/sub-01_task-x_contrast-face_influence"
    promised = {str(path) for path in paths.expected_outputs(plan)}
    assert {f"{stem}.tsv", f"{stem}.json"} <= promised


def test_one_run_alone_and_runs_that_are_not_combined_have_no_table_of_influence():
    run = make_run("sub-01_task-x_run-1")
    assert paths.influence_tables(make_group("sub-01_task-x", [run])) == {}
    group = make_plan().groups[0]
    assert paths.influence_tables(replace(group, not_written="the filters")) == {}


def test_a_combination_has_a_table_of_its_runs_and_contrasts():
    table = "sub-01/func/sub-01_task-x_contrasts.tsv"
    plan = make_plan()
    assert table in {str(path) for path in paths.expected_outputs(plan)}
    group = plan.groups[0]
    for changed in (replace(group, not_written="the filters"), replace(group, contrasts=())):
        assert list(paths.group_tables(changed)) == []


def test_figures_of_an_f_contrast_need_no_effect():
    runs = [make_run(f"sub-01_{key}", contrasts=(FACE, ANY)) for key in RUNS]
    plan = make_plan(runs)
    needed = {
        item.contrast.label: {
            path.name.split("_stat-")[1].split("_")[0]
            for path in paths.shown_maps(plan, plan.groups[0], item)
            if "_stat-" in path.name
        }
        for item in plan.groups[0].estimable
    }
    at_peaks = {"variance", "dof", "q", "qp", "isq"}
    assert needed == {"face": {"z", "effect", *at_peaks}, "any": {"z"}}

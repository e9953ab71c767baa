"""What the sidecars say of tests, degrees of freedom and noise models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bids_fx.derivatives import paths, sidecars
from bids_fx.derivatives.contrasts import write_group_contrasts
from bids_fx.glm.names import COMBINATIONS, NOISE_MODELS
from bids_fx.records import ConfoundChoice, GroupContrast
from bids_fx.settings import AnalysisSettings
from tests.small_plans import ANY, FACE, make_group, make_plan, make_run, make_run_maps

OLS = AnalysisSettings(noise_model="ols")
PER_VOXEL = "Kenward-Roger, per voxel: see stat-dof"


def item_of(contrast):
    return make_run("sub-01_task-x_run-1", contrasts=(contrast,)).contrasts[0]


def run_facts(contrast, stat, settings=OLS):
    return sidecars.run_contrast(item_of(contrast), stat, settings, 35.0, 31.5)


def group_facts(contrast, stat, combination="weighted"):
    runs = [make_run(f"sub-01_task-x_run-{i}", contrasts=(contrast,)) for i in (1, 2)]
    plan = make_plan(runs, settings=AnalysisSettings(combination=combination))
    return sidecars.group_contrast(plan, plan.groups[0], plan.groups[0].contrasts[0], stat, 31.5)


def test_an_f_contrast_states_its_test_and_the_degrees_of_freedom_of_the_numerator():
    facts = run_facts(ANY, "F")
    assert (facts["ContrastTest"], facts["NumeratorDegreesOfFreedom"]) == ("F", 2)
    assert (facts["DegreesOfFreedom"], facts["EffectiveDegreesOfFreedom"]) == (35.0, 31.5)
    assert group_facts(ANY, "F")["NumeratorDegreesOfFreedom"] == 2


def test_a_t_contrast_has_no_numerator():
    facts = run_facts(FACE, "t")
    assert facts["ContrastTest"] == "t"
    assert "NumeratorDegreesOfFreedom" not in facts | group_facts(FACE, "t")


def test_weights_of_an_f_contrast_are_a_list_of_rows():
    assert run_facts(ANY, "F")["ContrastWeights"] == [{"face": 1.0}, {"house": 1.0}]
    assert run_facts(FACE, "t")["ContrastWeights"] == {"face": 1.0}


def test_a_covariance_says_how_its_volumes_are_ordered():
    facts = run_facts(ANY, "covariance")
    assert facts["Description"] == (
        "Sampling covariance of the rows' effects of contrast 'any'; upper triangle row by row "
        "along the 4th dimension: (1,1), (1,2), …; F = e' C^-1 e / q"
    )
    assert facts["Units"] == "(percent signal change)^2"


@pytest.mark.parametrize(
    ("noise_model", "method", "estimator"),
    [
        ("ols", "residual: rows minus rank of the design matrix", "white noise"),
        ("ar1-yw", "residual: rows minus rank of the design matrix", "Yule-Walker"),
        ("ar1", PER_VOXEL, "REML per voxel"),
        ("arma11", PER_VOXEL, "REML per voxel"),
    ],
)
def test_sidecars_name_the_noise_model_and_the_method_of_degrees_of_freedom(
    noise_model, method, estimator
):
    settings = AnalysisSettings(noise_model=noise_model)
    assert run_facts(FACE, "t", settings)["DegreesOfFreedomMethod"] == method
    model = sidecars.run_model(make_run("sub-01_task-x"), settings)
    assert model["NoiseModel"] == noise_model
    assert model["NoiseEstimator"].startswith(estimator)


@pytest.mark.parametrize("name", NOISE_MODELS)
def test_every_noise_model_has_its_wording(name):
    assert all(sidecars.noise_text(name).values())


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("contrast", [FACE, ANY], ids=["t", "F"])
def test_every_combination_says_whence_variance_and_degrees_of_freedom_come(contrast, combination):
    facts = group_facts(contrast, "dof", combination)
    text = facts["DegreesOfFreedomMethod"] + facts["VarianceEstimator"]
    assert ("8 degrees of freedom or less" in text) == (combination == "weighted")
    name = {"t": "Satterthwaite", "F": "Kenward-Roger"}[contrast.test]
    assert name in facts["DegreesOfFreedomMethod"]
    assert "see stat-dof" in facts["DegreesOfFreedomMethod"]


@pytest.mark.parametrize(
    ("noise_model", "contrast", "dofs"),
    [("ols", FACE, (35.0,)), ("ar1-yw", ANY, (2.0, 35.0)), ("ar1", FACE, None)],
)
def test_degrees_of_freedom_are_in_the_header_where_all_voxels_share_them(
    noise_model, contrast, dofs
):
    settings = AnalysisSettings(noise_model=noise_model)
    assert sidecars.constant_dofs(item_of(contrast), settings, 35.0) == dofs


def test_header_of_a_test_without_degrees_of_freedom_has_no_intent():
    assert sidecars.intent("F", (2.0, 35.0)) == ("f test", (2.0, 35.0))
    assert sidecars.intent("F") == sidecars.intent("t") == ("none", ())
    assert sidecars.intent("covariance", (2.0, 35.0)) == ("none", ())


def test_run_of_the_largest_change_is_counted_from_one_in_the_list_of_runs():
    text = group_facts(FACE, "zchangerun")["Description"]
    reading = "; its number in `Runs`, counted from 1; 0 where fewer than two runs enter"
    assert text.endswith(reading)


@pytest.mark.parametrize(
    ("stat", "unit"),
    [
        ("effect", "percent signal change"),
        ("variance", "(percent signal change)^2"),
        ("tau2", "(percent signal change)^2"),
        ("isq", "percent"),
        ("nruns", "count"),
        ("dof", "count"),
        ("zchange", "arbitrary"),
        ("qp", "arbitrary"),
        ("white", "arbitrary"),
    ],
)
def test_units_go_by_the_statistic(stat, unit):
    assert sidecars.units(stat, OLS) == unit


def test_every_map_of_a_plan_has_its_meaning():
    runs = [
        make_run(f"sub-01_task-x_run-{i}", contrasts=(FACE, ANY), noise_model="arma11")
        for i in (1, 2)
    ]
    plan = make_plan(runs)
    for item in plan.groups[0].estimable:
        for stat in paths.combined_stats(item):
            assert sidecars.group_contrast(plan, plan.groups[0], item, stat, 31.5)["Description"]
    for stat in paths.model_stats(runs[0]):
        assert sidecars.model_map(stat, OLS)["Description"]


def test_maps_made_beforehand_are_combined_in_their_own_units(tmp_path):
    runs = [
        make_run_maps(tmp_path, f"sub-01_task-x_run-{i}", effect=1.0, variance=1.0, dof=9.0)
        for i in (1, 2)
    ]
    plan = make_plan(runs)
    facts = sidecars.group_contrast(
        plan, plan.groups[0], plan.groups[0].contrasts[0], "variance", 31.5
    )
    assert facts["Units"] == "(units of the run maps)^2"


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("contrast", [FACE, ANY])
def test_degrees_of_freedom_of_each_voxel_are_announced(contrast, combination):
    assert group_facts(contrast, "dof", combination)["DegreesOfFreedomPerVoxel"] is True
    assert run_facts(contrast, "dof")["DegreesOfFreedomPerVoxel"] is False
    restricted = run_facts(contrast, "dof", AnalysisSettings(noise_model="ar1"))
    assert restricted["DegreesOfFreedomPerVoxel"] is True


def test_combined_maps_name_the_runs_that_are_absent_and_only_those():
    plan = make_plan()
    (group,) = plan.groups
    lacking = replace(group, absent={"sub-01_task-x_run-3": "it has no events"})
    facts = sidecars.group_image(plan, lacking, group.contrasts[0], {})
    assert facts["RunsAbsent"] == {"sub-01_task-x_run-3": "it has no events"}
    assert facts["NumberOfRuns"] == 2
    assert "RunsAbsent" not in sidecars.group_image(plan, group, group.contrasts[0], {})


def test_model_and_design_name_the_confounds_that_are_missing_and_only_those():
    run = make_run("sub-01_task-x_run-1")
    lacking = replace(run, confounds=replace(run.confounds, missing={"csf": "no column"}))
    for facts in (sidecars.run_model(lacking, OLS), sidecars.design(lacking, OLS, {})):
        assert facts["MissingConfounds"] == {"csf": "no column"}
    for facts in (sidecars.run_model(run, OLS), sidecars.design(run, OLS, {})):
        assert "MissingConfounds" not in facts


def test_regressors_that_instructions_made_of_the_confounds_table_are_confounds():
    run = make_run("sub-01_task-x_run-1")
    made = replace(run, confounds=ConfoundChoice(made=("moved",), is_read=True))
    assert sidecars.run_model(made, OLS)["Confounds"] == ["moved"]
    assert sidecars.run_model(run, OLS)["Confounds"] == ["trans_x"]


@pytest.mark.parametrize(
    ("choice", "used"), [(ConfoundChoice(), False), (ConfoundChoice(is_read=True), True)]
)
def test_confounds_table_is_a_source_where_instructions_read_it(choice, used):
    run = replace(make_run("sub-01_task-x_run-1"), confounds=choice)
    table = "bids:preproc:sub-01/func/sub-01_task-x_run-1_confounds.tsv"
    assert (table in sidecars.run_image(run, OLS, {})["Sources"]) is used
    assert (table in sidecars.design(run, OLS, {})["Sources"]) is used


def test_model_and_design_name_the_conditions_that_are_not_convolved_and_only_those():
    face = {"face": "spm", "house": None}
    some = make_run("sub-01_task-x", responses=(), hrf_models=("spm",), hrf_of=face)
    for facts in (sidecars.run_model(some.outline(), OLS), sidecars.design(some, OLS, {})):
        assert (facts["HRFModel"], facts["Unconvolved"]) == ("spm", ["house"])
        assert "HRFModelOfCondition" not in facts
    run = make_run("sub-01_task-x")
    for facts in (sidecars.run_model(run, OLS), sidecars.design(run, OLS, {})):
        assert "Unconvolved" not in facts


def test_of_several_hrf_models_it_is_said_which_condition_has_which():
    both = {"face": "glover", "house": "spm"}
    run = make_run("sub-01_task-x", responses=(), hrf_models=("glover", "spm"), hrf_of=both)
    facts = sidecars.run_model(run, OLS)
    assert (facts["HRFModel"], facts["HRFModelOfCondition"]) == ("glover, spm", both)


def test_table_of_a_group_says_which_runs_enter_and_why_the_others_do_not(tmp_path):
    runs = (
        make_run("sub-01_task-x_run-1", contrasts=(FACE, ANY)),
        make_run("sub-01_task-x_run-2", contrasts=(FACE, ANY), reasons={"any": "no house"}),
    )
    group = make_group("sub-01_task-x", runs, absent={"sub-01_task-x_run-3": "it has no events"})
    path = write_group_contrasts(make_plan(runs, (group,)), group, tmp_path)
    assert path == tmp_path / "sub-01/func/sub-01_task-x_contrasts.tsv"
    assert path.read_text().splitlines() == [
        "input\tcontrast\tlabel\testimable\tentered\treason",
        "sub-01_task-x_run-1\tface\tface\ttrue\ttrue\tn/a",
        "sub-01_task-x_run-2\tface\tface\ttrue\ttrue\tn/a",
        "sub-01_task-x_run-3\tface\tface\tn/a\tfalse\tit has no events",
        "sub-01_task-x_run-1\tany\tany\ttrue\ttrue\tn/a",
        "sub-01_task-x_run-2\tany\tany\tfalse\tfalse\tno house",
        "sub-01_task-x_run-3\tany\tany\tn/a\tfalse\tit has no events",
    ]


def test_table_of_a_group_of_sessions_has_a_line_for_each_and_its_own_name_where_taken(tmp_path):
    run = make_run("sub-01_ses-a_task-x_run-1", contrasts=(FACE,))
    session = make_group("sub-01_ses-a_task-x", (run,))
    subject = replace(
        session,
        key="subject",
        entities=run.entities.without("ses", "run"),
        input_keys=(session.key,),
        contrasts=(
            GroupContrast(contrast=FACE, input_keys=(session.key,)),
            GroupContrast(contrast=ANY, input_keys=(), reason="there is no session b"),
        ),
        mask_desc="retest",
    )
    path = write_group_contrasts(make_plan((run,), (session, subject)), subject, tmp_path)
    assert path == tmp_path / "sub-01/func/sub-01_task-x_desc-retest_contrasts.tsv"
    assert path.read_text().splitlines()[1:] == [
        "sub-01_ses-a_task-x\tface\tface\ttrue\ttrue\tn/a",
        "sub-01_ses-a_task-x\tany\tany\ttrue\tfalse\tthere is no session b",
    ]

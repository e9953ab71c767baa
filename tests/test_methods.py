"""The methods text: it follows every choice, cites what it must, and leaves nothing open."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from bids_fx.boilerplate import bibliography, cited_keys, fragment, strategy_texts
from bids_fx.derivatives import paths
from bids_fx.glm.correlation import CORRELATION_MODELS
from bids_fx.glm.design import Condition
from bids_fx.glm.fixed_effects import MIN_WEIGHTED_DOF
from bids_fx.glm.names import HRF_MODELS, NOISE_MODELS
from bids_fx.grouping import group_runs
from bids_fx.inputs import Absence
from bids_fx.methods import (
    MethodsContext,
    citation_files,
    render_methods,
    software_versions,
)
from bids_fx.model import Contrast
from bids_fx.records import ConfoundChoice, MethodsText, Plan, RunPlan
from bids_fx.report_settings import CORRECTIONS, QualityLimit, ReportSettings, Threshold
from bids_fx.settings import COMBINATIONS, SIGNAL_SCALINGS, AnalysisSettings
from bids_fx.steps import Cell, Step, StepContrast
from tests.small_plans import (
    ANY,
    FACE,
    FACE_HOUSE,
    entities,
    make_contrast,
    make_group,
    make_plan,
    make_run,
    make_run_maps,
)

DEFAULTS = AnalysisSettings()
ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "boilerplate"
FRAGMENTS = sorted((FOLDER / "methods").glob("*.md"))
VERSIONS = {
    "bids_fx": "1.0.0",
    "nipype": "1.11.0",
    "numpy": "2.4.0",
    "scipy": "1.17.0",
    "nibabel": "5.4.0",
    "matplotlib": "3.11.0",
}


def render(plan: Plan) -> MethodsText:
    return render_methods([plan], VERSIONS)


def text_with(**changes: object) -> str:
    """Return the text of a plan of two runs with some settings changed."""
    settings = replace(AnalysisSettings(), **changes)
    return render(make_plan(settings=settings)).markdown


def two_runs(*contrasts: Contrast, censored: tuple[int, ...] = ()) -> tuple[RunPlan, ...]:
    """Return two runs of which the second may have censored scans."""
    return (
        make_run("sub-01_task-x_run-1", contrasts=contrasts),
        make_run("sub-01_task-x_run-2", contrasts=contrasts, censored=censored),
    )


def text_of(*contrasts: Contrast, censored: tuple[int, ...] = (), **changes: object) -> str:
    """Return the text of two runs with some contrasts and settings."""
    settings = replace(AnalysisSettings(), **changes)
    return render(make_plan(two_runs(*contrasts, censored=censored), settings=settings)).markdown


def one_run(**source: object) -> Plan:
    return make_plan((make_run("sub-01_task-x_run-1", **source),))


def example() -> str:
    """Return what stands in ``boilerplate/example/CITATION.md``."""
    return citation_files(render(make_plan()))["CITATION.md"]


# ------------------------------------------------------------------------------ the fragments


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.stem)
def test_fragment_has_only_placeholders_that_are_filled(path: Path) -> None:
    names = set(re.findall(r"\{(\w*)\}", path.read_text()))
    assert names <= {field.name for field in fields(MethodsContext)}


def test_every_field_of_the_context_is_used_by_a_fragment() -> None:
    used = {name for path in FRAGMENTS for name in re.findall(r"\{(\w+)\}", path.read_text())}
    assert {field.name for field in fields(MethodsContext)} - used == set()


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.stem)
def test_fragment_is_of_whole_sentences_on_one_line(path: Path) -> None:
    text = path.read_text()
    assert text.endswith((".\n", "].\n"))
    assert text.count("\n") == 1


def all_cited() -> set[str]:
    strategies = [text.phrase for text in strategy_texts().values()]
    return set(cited_keys("\n".join([*(p.read_text() for p in FRAGMENTS), *strategies])))


def test_every_cited_key_is_in_the_bibliography() -> None:
    assert all_cited() - bibliography().keys() == set()


def test_every_entry_of_the_bibliography_is_cited() -> None:
    assert bibliography().keys() - all_cited() == set()


def test_every_at_sign_of_a_fragment_belongs_to_a_citation_that_is_understood() -> None:
    text = "\n".join(path.read_text() for path in FRAGMENTS)
    assert text.count("@") == len(cited_keys(text))


def test_every_entry_of_the_file_is_read_with_author_and_title() -> None:
    raw = (FOLDER / "references.bib").read_text()
    assert re.findall(r"^@\w+\{([\w-]+),", raw, re.MULTILINE) == list(bibliography())
    assert all("author = {" in entry.bibtex for entry in bibliography().values())
    assert raw.count("{") == raw.count("}")


def test_every_doi_is_one() -> None:
    dois = re.findall(r"doi = \{(.*)\}", (FOLDER / "references.bib").read_text())
    assert all(re.fullmatch(r"10\.\d{4,5}/[\w.()/-]+", doi) for doi in dois)
    assert len(set(dois)) == len(dois)


def test_reference_is_formatted_with_all_that_is_known() -> None:
    assert bibliography()["dersimonian1986"].text == (
        "DerSimonian, R., Laird, N. (1986). Meta-analysis in clinical trials. Controlled Clinical "
        "Trials 7(3): 177-188. doi:10.1016/0197-2456(86)90046-2"
    )


def test_every_fragment_is_chosen_by_some_analysis(tmp_path: Path) -> None:
    chosen = "\n".join(render(plan).markdown for plan in plans_of_every_kind(tmp_path))
    unused = [
        path.stem
        for path in FRAGMENTS
        if max(re.split(r"\{\w+\}", path.read_text().strip()), key=len) not in chosen
    ]
    assert unused == []


def plan_with_gaps() -> Plan:
    """Return a plan of two runs, one of which lacks confounds, without a third."""
    first, second = make_plan().runs
    choice = replace(first.confounds, missing={"acompcor": "3 of 5 columns"})
    absent = [
        Absence(entities=entities(f"sub-01_{name}"), reason="it has no events")
        for name in ("task-x_run-3", "ses-4")
    ]
    return make_plan((replace(first, confounds=choice), second), absent=tuple(absent))


def test_runs_and_confounds_that_are_missing_are_counted() -> None:
    text = render(plan_with_gaps()).markdown
    assert "Of 1 run that the dataset should hold beyond these, no preprocessed series" in text
    assert "The tables of 1 run have fewer of these columns" in text
    whole = render(make_plan()).markdown
    assert "beyond these" not in whole
    assert "fewer of these columns" not in whole


def shows(correction: str, error_rate: float = 0.05) -> ReportSettings:
    return ReportSettings(threshold=Threshold(correction=correction, error_rate=error_rate))


def test_threshold_of_the_figures_is_told_with_its_correction_and_rate() -> None:
    told = {
        "uncorrected": "show voxels with p < .01 (two-sided), not corrected for the number",
        "fdr": "survive a false discovery rate of .01 over the voxels of each map, by the "
        "procedure of Benjamini and Hochberg on two-sided p values [@benjamini1995]",
        "bonferroni": "show voxels with p < .01 (two-sided) after Bonferroni's correction",
    }
    for correction in CORRECTIONS:
        text = render(make_plan(report=shows(correction, 0.01))).markdown
        assert [key for key, words in told.items() if words in text] == [correction]


def plans_of_every_kind(folder: Path) -> list[Plan]:
    """Return plans that between them need every fragment."""
    impulse = make_run("sub-01_task-x_run-1", reasons={"face": "no event"}, censored=(1,))
    (face, house) = impulse.source.conditions
    impulse = replace(
        impulse,
        source=replace(
            impulse.source,
            slice_time=1.0,
            uris={Path("/data/a.nii.gz"): "bids:fmriprep:sub-01/func/a.nii.gz"},
            conditions=(
                replace(face, durations=np.zeros(2)),
                replace(house, amplitudes=np.array([0.5, 1.5])),
            ),
        ),
    )
    settings = [
        *(AnalysisSettings(hrf_model=name) for name in HRF_MODELS),
        *(AnalysisSettings(noise_model=name) for name in NOISE_MODELS),
        *(AnalysisSettings(signal_scaling=name) for name in SIGNAL_SCALINGS),
        *(AnalysisSettings(combination=name) for name in COMBINATIONS),
        *(AnalysisSettings(drift_model=name) for name in ("polynomial", "none")),
        AnalysisSettings(fd_threshold_mm=0.9, dummy_scans=4, smoothing_fwhm_mm=6.0),
        AnalysisSettings(combine_subset=True, missing="error", confounds=()),
        AnalysisSettings(model_name="a model", hrf_model="doublegamma:6,16,1,1,6"),
    ]
    maps = [
        make_run_maps(folder, f"sub-01_task-x_run-{i}", effect=1.0, variance=1.0, dof=20.0)
        for i in (1, 2)
    ]
    return [
        *(make_plan(settings=item) for item in settings),
        make_plan(
            report=ReportSettings(
                quality_limits=(QualityLimit(measure="fd_mean", sign=">", value=0.5),)
            )
        ),
        *(make_plan(report=shows(correction)) for correction in CORRECTIONS),
        make_plan((impulse,)),
        plan_with_gaps(),
        *(
            make_plan(
                two_runs(FACE, ANY, censored=(3,)),
                settings=AnalysisSettings(noise_model=noise, combination=combination),
            )
            for noise in NOISE_MODELS
            for combination in COMBINATIONS
        ),
        model_of_own_drift(),
        one_run(design_file=folder / "a_design.tsv", design=make_plan().runs[0].design),
        make_plan(maps),
        make_plan(maps, settings=AnalysisSettings(hrf_model="glover")),  # not in force
        chained_plan(),
        make_plan(()),
    ]


def chained_plan() -> Plan:
    """Return the plan of two sessions of two runs, combined, compared and combined differently."""
    runs = [make_run(f"sub-01_ses-{s}_task-x_run-{r}_space-A") for s in "ab" for r in "12"]
    cells = tuple(Cell(weight=w, labels={"ses": s}) for w, s in ((1.0, "a"), (-1.0, "b")))
    made = (StepContrast(name="changed", label="changed", source="face", cells=cells),)
    subject = Step(name="subject", level="subject", source="session", over=("ses",))
    steps = (
        Step(name="session", level="session", combination="unweighted"),
        subject,
        replace(subject, name="change", contrasts=made),
    )
    groups, problems, _ = group_runs(runs, (), DEFAULTS, steps)
    assert problems == ()
    return make_plan(runs, groups, steps=steps)


def test_steps_are_told_with_their_combinations_and_contrasts() -> None:
    text = render(chained_plan()).markdown
    assert "fixed effects (within sessions and over sessions)" in text
    assert (
        "The results of node session are plain means, those of node change and node subject "
        "weighted ones." in text
    )
    assert "each of them took the place of a run" in text
    assert "parts' means (changed (face\\[ses-a\\] - face\\[ses-b\\]))" in text


def test_a_mean_that_a_node_calls_otherwise_is_told_among_the_contrasts() -> None:
    runs = [make_run(f"sub-01_ses-{s}_task-x_run-1") for s in "ab"]
    cells = (Cell(weight=-1.0),)
    made = (StepContrast(name="less", label="less", source="face", cells=cells),)
    steps = (Step(name="subject", level="subject", over=("run", "ses"), contrasts=made),)
    groups, _, _ = group_runs(runs, (), DEFAULTS, steps)
    text = render(make_plan(runs, groups, steps=steps)).markdown
    assert "The contrasts were face, face - house and less (-face)." in text


def test_a_contrast_of_single_results_tells_of_no_mean() -> None:
    plan = chained_plan()
    groups = tuple(group for group in plan.groups if group.step == "change")
    text = render(replace(plan, groups=(*groups,))).markdown
    assert "weighted sums of the parts' means" in text
    for word in ("Cochran", "averaged", "plain mean", "No runs were combined"):
        assert word not in text


# --------------------------------------------------------------- the text follows every choice


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("contrasts", ("face - house",)),
        *(("hrf_model", name) for name in (*HRF_MODELS[1:], "fir:12", "fir:0,2")),
        ("confounds", ("motion24", "wm-csf", "acompcor", "gsr")),
        ("confounds", ("motion6", "scrub")),
        ("confounds", ("csf*",)),
        ("confounds", ()),
        ("high_pass_s", 100.0),
        *(("drift_model", name) for name in ("polynomial", "polynomial:3", "none")),
        *(("noise_model", name) for name in NOISE_MODELS if name != DEFAULTS.noise_model),
        ("smoothing_fwhm_mm", 6.0),
        *(("signal_scaling", name) for name in ("grand-mean", "none")),
        ("fd_threshold_mm", 0.9),
        ("dummy_scans", 4),
        ("slice_time_ref", 0.5),
        ("combination", "unweighted"),
        ("combine_over", ("run",)),
        ("combine_subset", True),
        ("missing", "error"),
        ("model_name", "a model"),
    ],
)
def test_changing_a_setting_changes_the_text_beyond_the_list_of_settings(
    name: str, value: object
) -> None:
    changed = text_with(**{name: value})
    assert changed != text_with()
    assert f"chosen: `{name}` = " in changed
    if name not in {"contrasts", "slice_time_ref", "combine_over"}:  # seen in plan or runs
        assert story(changed) != story(text_with())


#: Another value of each setting than its default.
OTHERWISE: dict[str, object] = {
    "contrasts": ("face - house",),
    "hrf_model": "glover",
    "confounds": ("motion24",),
    "high_pass_s": 100.0,
    "drift_model": "polynomial",
    "noise_model": "ols",
    "smoothing_fwhm_mm": 6.0,
    "signal_scaling": "none",
    "fd_threshold_mm": 0.9,
    "dummy_scans": 4,
    "slice_time_ref": 0.5,
    "combination": "unweighted",
    "combine_over": ("run",),
    "combine_subset": True,
    "missing": "error",
    "run_dof": 30.0,
    "model_name": "a model",
    "threshold": Threshold(error_rate=0.01),
    "static": True,
    "quality_limits": (QualityLimit(measure="fd_mean", sign=">", value=0.5),),
}
EVERY_SETTING = [
    pytest.param(record, field.name, id=field.name)
    for record in (AnalysisSettings, ReportSettings)
    for field in fields(record)
]


@pytest.mark.parametrize(("record", "name"), EVERY_SETTING)
def test_every_setting_of_analysis_and_reports_changes_the_text(
    record: type[AnalysisSettings | ReportSettings], name: str, tmp_path: Path
) -> None:
    runs = two_runs(FACE)
    if name == "run_dof":  # in force for maps that come without their own
        runs = (make_run_maps(tmp_path, "sub-01_task-x_run-1", effect=1.0, variance=1.0, dof=2.0),)
    changed = record(**{name: OTHERWISE[name]})
    assert changed != record()
    part = "settings" if record is AnalysisSettings else "report"
    text = render(make_plan(runs, **{part: changed})).markdown
    assert text != render(make_plan(runs)).markdown
    assert f"`{name}` = " in text.partition("These settings were chosen: ")[2].partition(". ")[0]


def plans_by_kind(folder: Path) -> dict[str, Plan]:
    """Return a plan of each kind of input."""
    maps = [
        make_run_maps(folder, f"sub-01_task-x_run-{i}", effect=1.0, variance=1.0, dof=20.0)
        for i in (1, 2)
    ]
    design = make_plan().runs[0].design
    return {
        "plain": make_plan(),
        "given designs": make_plan(
            [
                make_run(f"sub-01_task-x_run-{i}", design_file=folder / "d.tsv", design=design)
                for i in (1, 2)
            ]
        ),
        "given maps": make_plan(maps),
        "model file": make_plan(settings=AnalysisSettings(model_name="a model")),
        "censored scans": make_plan(two_runs(FACE, FACE_HOUSE, censored=(3,))),
        "sessions": make_plan([make_run(f"sub-01_ses-{s}_task-x_run-1") for s in "ab"]),
        "other tests": make_plan(two_runs(FACE, ANY)),
        "no runs": make_plan(()),
    }


def test_each_kind_of_input_has_a_text_of_its_own(tmp_path: Path) -> None:
    texts = {kind: story(render(plan).markdown) for kind, plan in plans_by_kind(tmp_path).items()}
    assert len(set(texts.values())) == len(texts)


def test_limits_of_the_quality_are_told_in_words() -> None:
    limits = (
        QualityLimit(measure="fd_mean", sign=">", value=0.5),
        QualityLimit(measure="tsnr_median", sign="<", value=20.0),
    )
    text = render(make_plan(report=ReportSettings(quality_limits=limits))).markdown
    assert (
        "marked as failed without any result being removed, where framewise displacement, mean "
        "(mm) was above 0.5 and temporal SNR, median was below 20." in text
    )
    assert "poor quality" not in render(make_plan()).markdown


def story(text: str) -> str:
    """Return a text without its last paragraph, which lists software and settings."""
    return text.rpartition("\n\n")[0]


def test_every_setting_is_told_as_chosen_or_default(tmp_path: Path) -> None:
    maps = make_run_maps(tmp_path, "sub-01_task-x_run-1", effect=1.0, variance=1.0, dof=2.0)
    told = text_with(model_name="m") + render(make_plan((maps,))).markdown + text_with()
    assert all(
        f"`{field.name}` = " in told
        for record in (AnalysisSettings, ReportSettings)
        for field in fields(record)
    )


def test_settings_that_are_not_in_force_are_not_told(tmp_path: Path) -> None:
    maps = make_run_maps(tmp_path, "sub-01_task-x_run-1", effect=1.0, variance=1.0, dof=2.0)
    text = render(make_plan((maps,))).markdown
    assert "`hrf_model`" not in text
    assert "`run_dof`" in text
    assert "`run_dof`" not in text_with()


def test_numbers_of_settings_stand_in_the_text() -> None:
    text = text_with(
        hrf_model="fir:12",
        fd_threshold_mm=0.9,
        dummy_scans=1,
        smoothing_fwhm_mm=5.5,
        high_pass_s=90.0,
    )
    for part in ("12 delays of one scan", "above 0.9 mm", "the first scan of", "of 5.5 mm full"):
        assert part in text
    assert "longer than 90 s" in text
    assert "up to order 3" in text_with(drift_model="polynomial:3")


def test_each_confound_strategy_is_told_in_its_own_words_with_its_citations() -> None:
    for path in (ROOT / "bids_fx" / "data" / "confounds").glob("*.toml"):
        content = tomllib.loads(path.read_text())
        text = text_with(confounds=(path.stem,))
        assert content["description"].strip() in text
        assert set(content.get("references", ())) <= set(cited_keys(text))


def test_columns_asked_for_by_pattern_are_told() -> None:
    assert "the columns csf and a\\_comp\\* of the confounds tables" in text_with(
        confounds=("csf", "a_comp*")
    )


def modelled(hrf_of: dict[str, str | None]) -> RunPlan:
    """Return a run of face and house with the responses of a model file."""
    models = tuple(sorted({model for model in hrf_of.values() if model}))
    return make_run("sub-01_task-x", responses=(), hrf_models=models, hrf_of=hrf_of)


def model_of_own_drift() -> Plan:
    """Return the plan of a model with regressors of many kinds and cosine columns."""
    run = modelled({"face": "spm", "house": "glover", "ppi": None})
    condition = replace(run.source.conditions[0], amplitudes=np.array([1.0, 2.0]))
    run = replace(
        run,
        source=replace(run.source, conditions=(condition,)),
        confounds=ConfoundChoice(columns=("cosine00",)),
    )
    settings = AnalysisSettings(model_name="m", drift_model="none", confounds=())
    return make_plan((run,), settings=settings)


def text_under(run: RunPlan, **settings: object) -> str:
    """Return the text of a run under a model file."""
    chosen = AnalysisSettings(model_name="m", **{"confounds": (), **settings})
    return render(make_plan((run,), settings=chosen)).markdown


def test_regressors_that_a_model_makes_of_confounds_are_told() -> None:
    run = modelled({"face": "spm", "house": "spm"})
    made = replace(run, confounds=ConfoundChoice(made=("fd_out", "jumps"), is_read=True))
    text = text_under(made)
    said = r"what its instructions made of the confounds tables (fd\_out and jumps)"
    assert said in text
    assert "No confounds" not in text
    assert "No confounds were modelled." in text_under(replace(run, confounds=ConfoundChoice()))


def test_conditions_that_are_not_convolved_are_told_apart() -> None:
    text = text_under(modelled({"face": "glover", "house": None}))
    assert "The conditions were face. Their events were convolved" in text
    assert "entered the model as it is, not convolved: house." in text
    assert "Each condition has" not in text
    assert "not convolved" not in text_under(modelled({"face": "glover", "house": "glover"}))


def test_where_nothing_is_convolved_no_response_is_told() -> None:
    text = text_under(modelled({"face": None, "house": None}))
    assert "not convolved: face and house." in text
    assert "The conditions were" not in text
    assert "haemodynamic" not in text


def test_of_several_responses_it_is_told_which_condition_has_which() -> None:
    text = text_under(modelled({"face": "glover", "house": "spm"}))
    assert "one of these responses: face glover and house spm." in text


def test_heights_of_events_are_told_as_those_of_the_model() -> None:
    (run,) = model_of_own_drift().runs
    assert "by the values that the model gives them" in text_under(run)
    assert "`modulation`" not in text_under(run)


def test_cosine_columns_of_a_model_are_told_as_its_drift() -> None:
    run = modelled({"face": "spm", "house": "spm"})
    assert "No drift was modelled." in text_under(run, drift_model="none")
    (own,) = model_of_own_drift().runs
    assert "the cosine functions among the confounds" in text_under(own, drift_model="none")
    assert "No drift" not in text_under(own, drift_model="none")
    assert "among the confounds" not in text_under(own)


@pytest.mark.parametrize(("model", "told"), [("spm", True), ("glover", False)])
def test_hrf_of_the_settings_is_told_where_the_model_leaves_it_to_them(
    model: str, told: bool
) -> None:
    text = text_under(modelled({"face": model, "house": model}))
    assert ("`hrf_model` = spm" in text) is told


def test_displacement_threshold_replaces_what_scrubbing_says() -> None:
    text = text_with(confounds=("motion6", "scrub"), fd_threshold_mm=0.2)
    assert "above 0.2 mm were censored" in text
    assert "above 0.5 mm" not in text
    assert "power2012" in cited_keys(text)


@pytest.mark.parametrize(
    ("noise_model", "said"),
    [
        ("ols", "by ordinary least squares"),
        ("ar1-yw", "by the Yule-Walker equations"),
        ("ar1", "whose coefficient was estimated in each voxel by restricted maximum likelihood"),
        ("arma11", "the sum of a first-order autoregressive process and white noise"),
    ],
)
def test_noise_model_tells_its_estimator_and_no_other(noise_model: str, said: str) -> None:
    assert [name for name in NOISE_MODELS if said in text_with(noise_model=name)] == [noise_model]


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_small_sample_adjustment_is_told_of_models_with_a_likelihood_alone(
    noise_model: str,
) -> None:
    model = CORRELATION_MODELS.get(noise_model)
    by_likelihood = model is not None and model.likelihood
    text = text_with(noise_model=noise_model)
    assert ({"patterson1971", "kenward1997"} <= set(cited_keys(text))) is by_likelihood
    assert ("scans in the fit minus the rank" in text) is not by_likelihood


@pytest.mark.parametrize("noise_model", ["ar1", "arma11"])
def test_bounds_that_are_told_are_those_of_the_fit(noise_model: str) -> None:
    told = re.findall(r"from (-?[\d.]*\d) to ([\d.]*\d)", fragment(f"29-noise-{noise_model}"))
    axes = CORRELATION_MODELS[noise_model].box.axes
    assert [(float(a), float(b)) for a, b in told] == [(axis.lower, axis.upper) for axis in axes]


@pytest.mark.parametrize(
    ("noise_model", "said"),
    [
        ("ols", None),
        ("ar1-yw", "only pairs of adjacent scans"),
        ("ar1", "to the power of the distance"),
        ("arma11", "to the power of the distance"),
    ],
)
def test_gaps_that_censored_scans_leave_are_told_by_noise_model(
    noise_model: str, said: str | None
) -> None:
    gaps = [fragment(f"29-noise-gaps-{name}") for name in ("likelihood", "yule-walker")]
    censored = text_of(FACE, censored=(3,), noise_model=noise_model)
    assert [said is not None and said in gap for gap in gaps] == [gap in censored for gap in gaps]
    assert not any(gap in text_of(FACE, noise_model=noise_model) for gap in gaps)


def test_f_contrasts_are_told_only_where_there_are_any() -> None:
    words = ("F contrast", "Each F value", "The rows of F contrasts")
    assert all(word in text_of(FACE, ANY) for word in words)
    assert not any(word in text_of(FACE) for word in words)


def test_t_contrasts_are_told_only_where_there_are_any() -> None:
    words = ("Each t value", "Their effects were averaged", "Cochran")
    assert all(word in text_of(FACE, ANY) for word in words)
    assert not any(word in text_of(ANY) for word in words)


def test_f_of_runs_is_told_as_adjusted_where_it_is() -> None:
    adjusted = "In each run, the scale of F"
    assert adjusted in text_of(ANY, noise_model="ar1")
    assert adjusted not in text_of(ANY, noise_model="ols")
    assert adjusted not in text_of(FACE, noise_model="ar1")


def test_weighted_and_unweighted_combination_tell_their_degrees_of_freedom() -> None:
    weighted, unweighted = (text_with(combination=name) for name in COMBINATIONS)
    corrections = {"meier1953", "cochran1953"}
    assert {*corrections, "satterthwaite1946"} <= set(cited_keys(weighted))
    assert {"satterthwaite1946", "welch1947"} <= set(cited_keys(unweighted))
    assert corrections.isdisjoint(cited_keys(unweighted))


def test_weighted_and_unweighted_combination_of_rows_tell_their_covariance() -> None:
    weighted, unweighted = (
        text_of(ANY, noise_model="ols", combination=name) for name in COMBINATIONS
    )
    assert "the inverse of their covariance matrices as weights" in weighted
    assert "The plain mean of the rows of F contrasts" in unweighted
    assert all("kenward1997" in cited_keys(text) for text in (weighted, unweighted))


def test_few_degrees_of_freedom_are_told_of_the_weighted_combination_alone() -> None:
    said = f"has {MIN_WEIGHTED_DOF:g} degrees of freedom or fewer"
    assert said in text_with(combination="weighted")
    assert said not in text_with(combination="unweighted")


def test_largest_variance_inflation_of_all_runs_and_rows_is_told() -> None:
    first, second = two_runs(FACE, ANY)
    *others, last = second.contrasts
    inflated = replace(last, inflation=(float("nan"), 12.345))
    runs = (first, replace(second, contrasts=(*others, inflated)))
    said = "variance inflation factor of the contrasts [@mumford2025] was 12.3"
    assert said in render(make_plan(runs)).markdown
    unknown = replace(first.contrasts[0], inflation=(float("nan"),))
    text = render(make_plan((replace(first, contrasts=(unknown,)),))).markdown
    assert "variance inflation" not in text


def test_one_run_is_told_as_not_combined() -> None:
    text = render(one_run()).markdown
    assert "No runs were combined." in text
    for word in ("Cochran", "weights", "a run is left out"):
        assert word not in text


def test_sessions_are_told() -> None:
    runs = [make_run(f"sub-01_ses-{s}_task-x_run-1") for s in "ab"]
    plan = make_plan(runs, (make_group("sub-01_task-x", runs),))
    assert "(within sessions and over sessions)" in render(plan).markdown
    alone = replace(plan, settings=AnalysisSettings(combine_over=("run",)))
    assert "(within sessions)" in render(alone).markdown


def test_further_entities_that_are_combined_over_are_told() -> None:
    runs = [make_run(f"sub-01_task-x_dir-{d}") for d in ("LR", "RL")]
    settings = AnalysisSettings(combine_over=("run", "dir"))
    plan = make_plan(runs, (make_group("sub-01_task-x", runs),), settings=settings)
    assert "fixed effects (over dir)" in render(plan).markdown


def test_preprocessing_by_fmriprep_is_cited_only_where_it_was() -> None:
    assert "esteban2019" not in cited_keys(render(one_run()).markdown)
    uris = {Path("/data/a.nii.gz"): "bids:fmriprep:sub-01/func/a.nii.gz"}
    assert "esteban2019" in cited_keys(render(one_run(uris=uris)).markdown)


def test_scans_and_repetition_times_are_told_as_their_range() -> None:
    runs = (
        make_run("sub-01_task-x_run-1", n_scans=40, repetition_time=2.0),
        make_run("sub-01_task-x_run-2", n_scans=52, repetition_time=2.0),
    )
    text = render(make_plan(runs)).markdown
    assert "Each run had 40 to 52 scans with a repetition time of 2 s." in text


def test_slice_time_is_told_where_it_is_not_zero() -> None:
    assert "sampled 0.75 s after" in render(one_run(slice_time=0.75)).markdown
    assert "slices" not in render(one_run()).markdown


def with_events(plan: Plan, condition: Condition) -> Plan:
    run = plan.runs[0]
    return replace(plan, runs=(replace(run, source=replace(run.source, conditions=(condition,))),))


def test_impulses_and_modulation_are_told_only_where_they_occur() -> None:
    plan = one_run()
    condition = plan.runs[0].source.conditions[0]
    impulses = replace(condition, durations=np.zeros(2))
    scaled = replace(condition, amplitudes=np.array([1.0, 2.0]))
    assert "impulses" not in render(plan).markdown
    assert "impulses" in render(with_events(plan, impulses)).markdown
    assert "`modulation`" not in render(plan).markdown
    assert "`modulation`" in render(with_events(plan, scaled)).markdown


def test_censored_scans_are_counted() -> None:
    runs = (
        make_run("sub-01_task-x_run-1", censored=(1, 2)),
        make_run("sub-01_task-x_run-2", censored=(5,)),
    )
    assert "In all, 3 of 80 scans were censored" in render(make_plan(runs)).markdown
    assert "In all," not in text_with()


def test_scans_that_a_design_made_beforehand_censors_are_counted(tmp_path: Path) -> None:
    run = make_run("sub-01_task-x", censored=(1,), design_file=tmp_path / "a_design.tsv")
    assert "In all, 1 of 40 scans were censored" in render(make_plan((run,))).markdown


def test_contrasts_that_cannot_be_estimated_are_counted() -> None:
    runs = (
        make_run("sub-01_task-x_run-1"),
        make_run("sub-01_task-x_run-2", reasons={"face": "no event"}),
    )
    assert "this was so for 1 of 4 pairs" in render(make_plan(runs)).markdown
    assert "pairs" not in text_with()


def test_design_made_beforehand_tells_nothing_of_hrf_confounds_and_drift(tmp_path: Path) -> None:
    text = render(one_run(design_file=tmp_path / "a_design.tsv")).markdown
    assert "made beforehand and used as they are" in text
    for word in ("convolved", "confounds", "drift", "`hrf_model`"):
        assert word not in text


def test_maps_made_beforehand_tell_nothing_of_a_model(tmp_path: Path) -> None:
    runs = [
        make_run_maps(tmp_path, f"sub-01_task-x_run-{i}", effect=1.0, variance=1.0, dof=20.0)
        for i in (1, 2)
    ]
    text = render(make_plan(runs)).markdown
    assert "fitted beforehand, were the input" in text
    assert "Runs were combined as fixed effects" in text
    for word in ("linear model", "noise", "smoothed", "confounds", "inflation"):
        assert word not in text


def test_several_participants_are_counted_together() -> None:
    plans = [make_plan(), replace(make_plan(), participant="02")]
    text = render_methods(plans, VERSIONS).markdown
    assert "BOLD data of 2 participants were analysed as 4 runs of task x" in text


def test_spaces_and_tasks_are_told() -> None:
    runs = (make_run("sub-01_task-b_space-T1w"), make_run("sub-01_task-a_space-MNI_res-2"))
    text = render(make_plan(runs, ())).markdown
    assert "tasks a and b in space MNI (resolution 2) and T1w" in text


# ------------------------------------------------------------------------------- the results


def test_no_placeholder_is_left_in_any_text(tmp_path: Path) -> None:
    for plan in plans_of_every_kind(tmp_path):
        text = render(plan).markdown
        assert re.findall(r"\{\w*\}|\{|\}", text) == []
        assert "  " not in text
        assert ".." not in text
        assert ": ." not in text


def test_references_are_those_that_are_cited_in_their_order() -> None:
    text = render(make_plan())
    assert [key for key, _ in text.references] == list(dict.fromkeys(cited_keys(text.markdown)))
    assert re.findall(r"^@\w+\{(\w+),", text.bibtex, re.MULTILINE) == sorted(
        key for key, _ in text.references
    )


def test_names_from_the_data_cannot_change_the_markdown() -> None:
    hostile = "*a* `b` [c](d) <e> @f {g} $h$"
    contrast = make_contrast(hostile, face=1.0)
    run: RunPlan = make_run("sub-01_task-x", conditions=(hostile, "face"), contrasts=(contrast,))
    text = render(make_plan((run,)))
    escaped = r"\*a\* \`b\` \[c\](d) \<e\> \@f {g} \$h\$"
    assert text.markdown.count(escaped) == 2
    assert "f" not in dict(text.references)


def test_text_without_any_run_is_short_and_says_so() -> None:
    text = render_methods([], VERSIONS)
    assert text.markdown.startswith("No run was analysed")


def test_citation_files_are_the_text_with_references_and_the_bibliography() -> None:
    text = render(make_plan())
    citation = citation_files(text)
    assert list(citation) == ["CITATION.md", "CITATION.bib"]
    assert text.markdown in citation["CITATION.md"]
    assert all(reference in citation["CITATION.md"] for _, reference in text.references)
    assert citation["CITATION.bib"] == text.bibtex


def test_example_is_what_is_rendered() -> None:
    assert (FOLDER / "example" / "CITATION.md").read_text() == example()


def test_package_holds_the_boilerplate_by_a_relative_link() -> None:
    link = ROOT / "bids_fx" / "data" / "boilerplate"
    assert link.resolve() == FOLDER
    assert not link.readlink().is_absolute()
    assert fragment("20-model").startswith("A general linear model")


def test_versions_are_of_what_is_installed() -> None:
    versions = software_versions()
    assert versions["numpy"] == np.__version__
    assert list(versions)[:2] == ["bids_fx", "python"]


# -------------------------------------------------------------------------------- the readme


def test_readme_names_the_default_noise_model() -> None:
    (row,) = re.findall(r"^\| `--noise-model` .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert row.endswith(f"(`{DEFAULTS.noise_model}`) |")
    assert all(f"`{name}`" in row for name in NOISE_MODELS)


def test_readme_explains_every_map() -> None:
    after = (ROOT / "README.md").read_text().partition("\n## What each map is\n")[2]
    explained = set(re.findall(r"`(\w+)`", after.partition("\n## ")[0]))
    noise = [stat for stats in paths.NOISE_STATS.values() for stat in stats]
    stats = {*paths.T_STATS, *paths.F_STATS, *paths.COVERAGE_STATS, *paths.MODEL_STATS, *noise}
    assert stats | {*paths.HETEROGENEITY_STATS, *paths.INFLUENCE_STATS} <= explained

"""Published model files, from the command line to the maps, on data that fit them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from bids_fx.cli.run import main
from tests.model_files import plain
from tests.simulation import spm_response
from tests.synthetic import DatasetSpec, RunTruth, Truth, make_dataset

pytestmark = pytest.mark.e2e

FOUND = Path(__file__).parent.parent / "data" / "stats_models"
FITLINS = "fitlins/examples/models/{}/models/model-001_smdl.json"
SPECIFICATION = "stats-models/specification/examples/{}_smdl.json"
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
COMPONENTS = tuple(f"a_comp_cor_{i:02d}" for i in range(6))
SPACE = "space-MNI152NLin2009cAsym"
#: Maps are float32, and the designs here are built by other code.
PRECISION = {"rtol": 1e-4, "atol": 1e-4}

Table = Callable[[pd.DataFrame], pd.DataFrame]


def dataset(folder: Path, effects: dict[str, float], table: Table | None = None, **spec) -> Truth:
    """Make a small dataset, and change its events tables."""
    truth = make_dataset(folder / "data", DatasetSpec(shape=(6, 6, 5), effects=effects, **spec))
    for path in {run.events for run in truth.runs if run.events is not None}:
        events = pd.read_csv(path, sep="\t")
        changed = events if table is None else table(events)
        changed.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return truth


def run_model(truth: Truth, out: Path, model: str, *options: str) -> int:
    argv = [str(truth.bids_dir), str(out), "participant", "-m", str(FOUND / model)]
    quick = ("--noise-model", "ols", "--nprocs", "1", "--skip-bids-validation", "--no-interactive")
    return main([*argv, *quick, *options])


def results(out: Path) -> set[str]:
    """Return what there are effects of: entities and contrast, without space."""
    return {
        path.name.split("_stat-")[0].replace(f"_{SPACE}", "")
        for path in out.rglob("*_contrast-*_stat-effect_statmap.nii.gz")
    }


def effect(out: Path, name: str, stat: str = "effect") -> np.ndarray:
    entities, _, contrast = name.partition("_contrast-")
    (path,) = out.rglob(f"{entities}_{SPACE}_contrast-{contrast}_stat-{stat}_statmap.nii.gz")
    return nb.load(path).get_fdata()


def by_hand(
    run: RunTruth,
    conditions: Mapping[str, Callable[[pd.DataFrame], np.ndarray]],
    confounds: tuple[str, ...],
    weights: Mapping[str, float],
) -> np.ndarray:
    """Return a contrast in percent signal by ordinary least squares.

    Parameters
    ----------
    run : RunTruth
        The run.
    conditions : mapping of str to callable
        The amplitude of each event of the table; 0 where it is none of the condition.
    confounds : tuple of str
        Columns, without gaps or with one in the first row.
    weights : mapping of str to float
        By condition.
    """
    events = pd.read_csv(run.events, sep="\t")
    table = pd.read_csv(run.confounds, sep="\t")
    n = run.n_volumes
    columns = [
        spm_response(
            run.frame_times,
            events["onset"].to_numpy(),
            events["duration"].to_numpy(),
            np.asarray(amplitude(events), np.float64),
        )
        for amplitude in conditions.values()
    ]
    columns += [table[name].fillna(table[name].mean()).to_numpy() for name in confounds]
    # Discrete cosines of periods of 128 s and more.
    scans = np.arange(n)
    n_cosines = int(2 * n * 2.0 / 128)
    columns += [np.cos(np.pi * (k + 1) * (2 * scans + 1) / (2 * n)) for k in range(n_cosines)]
    design = np.column_stack([*columns, np.ones(n)])
    series = nb.load(run.bold).get_fdata()
    betas = np.linalg.lstsq(design, series[run.brain].T, rcond=None)[0]
    vector = [weights.get(name, 0.0) for name in conditions]
    found = np.full(run.brain.shape, np.nan)
    found[run.brain] = 100 * np.dot(vector, betas[: len(vector)]) / series[run.brain].mean(axis=1)
    return found


def of(column: str, *values: str) -> Callable[[pd.DataFrame], np.ndarray]:
    """Return the amplitudes 1 of events with these values of a column."""
    return lambda events: events[column].isin(values).to_numpy()


# ---- each file that is run


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> tuple[Truth, Path]:
    root = tmp_path_factory.mktemp("words")
    truth = dataset(root, {"word": 2.0, "pseudoword": 1.0}, tasks=("rhymejudgment",))
    assert run_model(truth, root / "out", FITLINS.format("ds000003")) == 0
    return truth, root / "out"


@pytest.mark.parametrize(
    ("contrast", "weights"),
    [
        ("wordGtPseudo", {"word": 1.0, "pseudoword": -1.0}),
        ("taskVsBaseline", {"word": 0.5, "pseudoword": 0.5}),
        ("word", {"word": 1.0}),
        ("pseudoword", {"pseudoword": 1.0}),
    ],
)
def test_words_are_compared_in_the_design_that_x_names(words, contrast, weights):
    truth, out = words
    for run in truth.runs:
        expected = by_hand(
            run,
            {name: of("trial_type", name) for name in ("word", "pseudoword")},
            ("framewise_displacement", *MOTION, *COMPONENTS),
            weights,
        )
        label = run.entities["run"]
        found = effect(out, f"sub-01_task-rhymejudgment_run-{label}_contrast-{contrast}")
        np.testing.assert_allclose(found, expected, **PRECISION)


def test_model_without_a_node_above_the_runs_gives_maps_of_runs_alone(words):
    names = {"wordGtPseudo", "taskVsBaseline", "word", "pseudoword"}
    assert results(words[1]) == {
        f"sub-01_task-rhymejudgment_run-{run}_contrast-{name}" for run in "12" for name in names
    }


def test_report_names_the_nodes_and_what_is_not_run_yet(words):
    page = (words[1] / "sub-01.html").read_text()
    assert "Nodes of the model &#39;ds003_model001&#39; (model-001_smdl.json)" in page
    assert page.count(">not run yet<") == 2


def test_accepted_balloons_are_trials_of_both_factors(tmp_path):
    truth = dataset(
        tmp_path,
        {"ACCEPT": 2.0, "EXPLODE": 1.0, "CASHOUT": 0.5},
        lambda events: events.assign(
            action=events["trial_type"],
            trial_type=["CONTROL" if i % 4 == 3 else "BALOON" for i in events.index],
        ),
        tasks=("bart",),
    )
    assert run_model(truth, tmp_path / "out", FITLINS.format("ds000030")) == 0
    assert results(tmp_path / "out") == {
        f"sub-01_task-bart_run-{run}_contrast-acceptVsExplode" for run in "12"
    }

    def both(action: str) -> Callable[[pd.DataFrame], np.ndarray]:
        return lambda e: ((e["action"] == action) & (e["trial_type"] == "BALOON")).to_numpy()

    expected = by_hand(
        truth.runs[0],
        {"accept": both("ACCEPT"), "explode": both("EXPLODE")},
        ("framewise_displacement", *MOTION),
        {"accept": 1.0, "explode": -1.0},
    )
    found = effect(tmp_path / "out", "sub-01_task-bart_run-1_contrast-acceptVsExplode")
    np.testing.assert_allclose(found, expected, **PRECISION)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory) -> tuple[Truth, Path]:
    root = tmp_path_factory.mktemp("sessions")
    truth = dataset(
        root,
        {"Finger": 2.0, "Foot": 1.0, "Lips": 0.5},
        tasks=("fingerfootlips",),
        sessions=("test", "retest"),
        runs=(),
        run_gains=(("ses-test", 2.0),),
    )
    assert run_model(truth, root / "out", FITLINS.format("ds000114")) == 0
    return truth, root / "out"


def test_fingers_are_compared_with_the_mean_of_the_others(sessions):
    truth, out = sessions
    (run,) = truth.select("ses-retest")
    expected = by_hand(
        run,
        {name: of("trial_type", name) for name in ("Finger", "Foot", "Lips")},
        ("framewise_displacement", *MOTION, *COMPONENTS),
        {"Finger": 1.0, "Foot": -0.5, "Lips": -0.5},
    )
    found = effect(out, "sub-01_ses-retest_task-fingerfootlips_contrast-fingerVsOthers")
    np.testing.assert_allclose(found, expected, **PRECISION)


def test_difference_of_sessions_is_test_minus_retest(sessions):
    _, out = sessions
    stem = "sub-01_ses-{}_task-fingerfootlips_contrast-fingerVsOthers"
    combined = "sub-01_task-fingerfootlips_contrast-sessionDiff"
    test, retest = (effect(out, stem.format(session)) for session in ("test", "retest"))
    np.testing.assert_allclose(effect(out, combined), test - retest, **PRECISION)
    test, retest = (
        effect(out, stem.format(session), "variance") for session in ("test", "retest")
    )
    np.testing.assert_allclose(effect(out, combined, "variance"), test + retest, **PRECISION)


def test_sessions_of_one_run_are_written_once(sessions):
    assert results(sessions[1]) == {
        "sub-01_task-fingerfootlips_contrast-sessionDiff",
        "sub-01_ses-test_task-fingerfootlips_contrast-fingerVsOthers",
        "sub-01_ses-retest_task-fingerfootlips_contrast-fingerVsOthers",
    }


def test_real_faces_are_famous_or_unfamiliar(tmp_path):
    truth = dataset(
        tmp_path,
        {"FAMOUS": 2.0, "UNFAMILIAR": 1.0, "SCRAMBLED": 0.5},
        lambda events: events.rename(columns={"trial_type": "stim_type"}),
        tasks=("facerecognition",),
    )
    out = tmp_path / "out"
    assert run_model(truth, out, FITLINS.format("ds000117")) == 0
    stem = "sub-01_task-facerecognition{}_contrast-faceVsScram"
    assert results(out) == {stem.format(run) for run in ("", "_run-1", "_run-2")}
    expected = by_hand(
        truth.runs[1],
        {
            "real": of("stim_type", "FAMOUS", "UNFAMILIAR"),
            "scrambled": of("stim_type", "SCRAMBLED"),
        },
        MOTION,
        {"real": 1.0, "scrambled": -1.0},
    )
    np.testing.assert_allclose(effect(out, stem.format("_run-2")), expected, **PRECISION)


def test_runs_are_weighted_by_the_inverse_of_their_variances(tmp_path):
    truth = dataset(
        tmp_path,
        {"congruent": 1.0, "incongruent": 2.0},
        tasks=("simon", "other"),
        participants=("01", "02", "03", "04"),
    )
    out = tmp_path / "out"
    assert run_model(truth, out, SPECIFICATION.format("model-walkthrough")) == 0
    stem = "sub-{}_task-simon{}_contrast-IvC"
    assert results(out) == {
        stem.format(sub, run) for sub in ("01", "02", "03") for run in ("", "_run-1", "_run-2")
    }
    expected = by_hand(
        truth.runs[0],
        {name: of("trial_type", name) for name in ("incongruent", "congruent")},
        (),
        {"incongruent": 1.0, "congruent": -1.0},
    )
    np.testing.assert_allclose(effect(out, stem.format("01", "_run-1")), expected, **PRECISION)
    effects = np.stack([effect(out, stem.format("01", f"_run-{run}")) for run in "12"])
    weights = 1 / np.stack(
        [effect(out, stem.format("01", f"_run-{run}"), "variance") for run in "12"]
    )
    expected = (weights * effects).sum(axis=0) / weights.sum(axis=0)
    np.testing.assert_allclose(effect(out, stem.format("01", "")), expected, **PRECISION)


def test_model_with_nuisance_columns_of_its_own_is_run(tmp_path):
    truth = dataset(tmp_path, {"congruent": 1.0, "incongruent": 2.0}, tasks=("stroop",))
    for run in truth.runs:
        table = pd.read_csv(run.confounds, sep="\t")
        table = table.assign(nuissance1=np.sin(table.index), nuissance2=np.cos(table.index))
        table.to_csv(run.confounds, sep="\t", index=False, na_rep="n/a")
    out = tmp_path / "out"
    assert run_model(truth, out, SPECIFICATION.format("model-example")) == 0
    stem = "sub-01_task-stroop{}_contrast-incongruentVsCongruent"
    assert results(out) == {stem.format(run) for run in ("", "_run-1", "_run-2")}
    expected = by_hand(
        truth.runs[0],
        {name: of("trial_type", name) for name in ("congruent", "incongruent")},
        ("nuissance1", "nuissance2"),
        {"congruent": -1.0, "incongruent": 1.0},
    )
    np.testing.assert_allclose(effect(out, stem.format("_run-1")), expected, **PRECISION)


def gambles(tmp_path: Path) -> Truth:
    """Return data with the gain of each gamble."""
    return dataset(
        tmp_path,
        {"parametric gain": 2.0},
        lambda events: events.assign(
            gain=1.0 + events.index % 4, RT=0.5 + 0.1 * (events.index % 3)
        ),
        tasks=("mixedgamblestask",),
    )


def test_numeric_column_in_x_is_the_height_of_the_responses(tmp_path):
    truth = gambles(tmp_path)
    out = tmp_path / "out"
    assert run_model(truth, out, "pybids/ds-005_type-test_intercept.json") == 0
    stem = "sub-01_task-mixedgamblestask{}_contrast-gain"
    assert results(out) == {stem.format(run) for run in ("", "_run-1", "_run-2")}
    expected = by_hand(truth.runs[0], {"gain": lambda e: e["gain"].to_numpy()}, (), {"gain": 1.0})
    np.testing.assert_allclose(effect(out, stem.format("_run-1")), expected, **PRECISION)


# ---- each file that is refused


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        (
            "test_model",
            [
                (
                    "there is no key 'dummy'; the keys are Name, BIDSModelVersion, Input, Nodes, "
                    "Edges, $schema, Description."
                ),
                "there are no Nodes; write a BIDS Stats Model, with a list of Nodes.",
            ],
        ),
        (
            "interceptonlyrunlevel_model",
            [
                (
                    "node 'Run': HRF: Variables: 'trial_type.parametric gain' is not in X; name "
                    "what X has: none."
                ),
                (
                    "node 'Run': HRF: the HRF model 'doublegamma:3.0,10.0,6.0,12.0,0.2': a "
                    "dispersion must be above 0 s and at most the delay; name a known model, "
                    "such as spm."
                ),
                (
                    "node 'Run': Contrasts[0] 'run_parametric gain': 'trial_type.parametric gain' "
                    "is not in X; name what X has: none."
                ),
            ],
        ),
        (
            "testnodummy_model",
            [
                (
                    "node 'run': Model: Formula is not handled, and would have no effect; list "
                    "its terms in X, made by Transformations such as Product, and leave it out."
                ),
                (
                    "node 'run': Contrasts[2] 'RT:gain': 'RT:gain' is not in X (did you mean "
                    "'gain'?); name what X has: RT, gain."
                ),
            ],
        ),
    ],
)
def test_file_that_cannot_be_meant_is_refused_before_any_work(tmp_path, capsys, name, texts):
    truth = gambles(tmp_path)
    file = f"ds-005_type-{name}.json"
    assert run_model(truth, tmp_path / "out", f"pybids/{file}") == 65
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"bids_fx: {len(texts)} problems:"
    assert told[1:] == [f"  - {file}: {text}" for text in texts]
    assert not (tmp_path / "out").exists()


def test_texts_as_a_regressor_are_refused(tmp_path, capsys):
    truth = gambles(tmp_path)
    assert run_model(truth, tmp_path / "out", "pybids/ds-005_type-mfx_model.json") == 65
    assert capsys.readouterr().err.splitlines() == [
        "bids_fx: 1 problem:",
        (
            "  - ds-005_type-mfx_model.json: node 'run': X names 'trial_type', which holds texts; "
            "make conditions of its values by Factor, or name them in X."
        ),
    ]
    assert not (tmp_path / "out").exists()


# ---- the plan of a file


def test_plan_lists_the_nodes_and_what_is_not_run_yet(words, tmp_path, capsys):
    truth, _ = words
    model = FITLINS.format("ds000003")
    assert run_model(truth, tmp_path / "out", model, "--dry-run=json") == 0
    assert json.loads(capsys.readouterr().out)["model"] == {
        "name": "ds003_model001",
        "file": "model-001_smdl.json",
        "nodes": [
            {
                "name": "subject",
                "level": "run",
                "source": None,
                "does": "fits each run",
                "contrasts": [
                    *("word_gt_pseudo", "task_vs_baseline"),
                    *("trial_type.word", "trial_type.pseudoword"),
                ],
            },
            {
                "name": "t-test",
                "level": "dataset",
                "source": "subject",
                "does": "not run yet",
                "contrasts": [],
            },
            {
                "name": "F-test",
                "level": "dataset",
                "source": "subject",
                "does": "not run yet",
                "contrasts": [],
            },
        ],
    }


def test_plan_in_words_lists_the_nodes(sessions, tmp_path, capsys):
    truth, _ = sessions
    assert run_model(truth, tmp_path / "out", FITLINS.format("ds000114"), "--dry-run") == 0
    text = capsys.readouterr().out
    assert (
        "Model 'ds114_model1' (model-001_smdl.json)\n"
        "  node 'run' (run): fits each run: finger_vs_others\n"
        "  node 'session' (session) of 'run': combines over run: finger_vs_others\n"
        "  node 'subject' (subject) of 'session': combines over session: session_diff\n"
        "  node 'dataset' (dataset) of 'subject': not run yet\n"
    ) in text


# ---- slips


def small_model(folder: Path, **run: object) -> str:
    node = plain()["Nodes"][0] | run
    path = folder / "model-small_smdl.json"
    model = {"Name": "small", "BIDSModelVersion": "1.0.0", "Nodes": [node]}
    path.write_text(json.dumps(model))
    return str(path)


def test_input_that_names_nobody_is_told_by_the_file(tmp_path, capsys):
    truth = dataset(tmp_path, {"face": 1.0, "house": 2.0})
    path = Path(small_model(tmp_path))
    model = json.loads(path.read_text())
    for labels, code, where in (
        ({"subject": ["09"]}, 18, "Input of model-small_smdl.json: subject 09: no such"),
        ({"task": ["other"]}, 18, "the model's Input task other: no run is left"),
    ):
        path.write_text(json.dumps(model | {"Input": labels}))
        assert run_model(truth, tmp_path / "out", str(path)) == code
        assert where in capsys.readouterr().err


def test_name_in_an_instruction_that_no_run_has_is_one_problem(tmp_path, capsys):
    truth = dataset(tmp_path, {"face": 1.0, "house": 2.0})
    instructions = [
        {"Name": "Factor", "Input": ["trial_type"]},
        {"Name": "Convolve", "Input": ["fcae", "house"]},
    ]
    model = small_model(
        tmp_path,
        Transformations={"Transformer": "pybids-transforms-v1", "Instructions": instructions},
    )
    assert run_model(truth, tmp_path / "out", model) == 65
    told = capsys.readouterr().err
    assert told.startswith("bids_fx: 1 problem:\n")
    assert "no run has 'fcae'" in told
    assert not (tmp_path / "out").exists()


def test_condition_in_x_alone_that_a_run_lacks_is_no_confound(tmp_path, capsys):
    spec = {"missing": (("run-2", "tool"),)}
    truth = dataset(tmp_path, {"face": 1.0, "house": 2.0, "tool": 1.0}, **spec)
    model = small_model(tmp_path, Model={"Type": "glm", "X": ["face", "house", "tool", 1]})
    assert run_model(truth, tmp_path / "out", model, "--missing", "error") == 0
    told = capsys.readouterr().err
    assert f"run-2_{SPACE}: conditions of X without any event in it: tool." in told
    assert "confounds" not in told

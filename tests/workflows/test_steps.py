"""Steps carried out on files: sessions from runs, the participant from sessions or from runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.calls import Call
from bids_fx.dataset.confounds import load_strategies
from bids_fx.dataset.index import find_runs
from bids_fx.derivatives import paths
from bids_fx.derivatives.hashes import HashCache
from bids_fx.derivatives.influence import read_influence
from bids_fx.derivatives.status import unfinished
from bids_fx.derivatives.write import sha256
from bids_fx.glm.combined import combined_maps, summed_maps
from bids_fx.memory import Allowance
from bids_fx.methods import render_methods
from bids_fx.plan import make_plan
from bids_fx.records import Plan, Todo
from bids_fx.reports.html import write_report
from bids_fx.settings import AnalysisSettings, DataSelection
from bids_fx.steps import Cell, Step, StepContrast
from bids_fx.usage import Meter
from bids_fx.workflows.base import Resources, init_bids_fx_wf, run_workflow
from tests.synthetic import DatasetSpec, Truth, make_dataset

FloatArray = npt.NDArray[np.float64]

pytestmark = pytest.mark.e2e

SETTINGS = AnalysisSettings(contrasts=("face", "face - house", "any = F(face; house)"))
ALLOWANCE = Allowance(n_procs=1, fit_threads=1, join_threads=1, mem_gb=8.0, own_gb=0.4)
SPEC = DatasetSpec(sessions=("test", "retest"), runs=("1", "2"), n_volumes=50)
SPACE = "space-MNI152NLin2009cAsym"

DIFFERENCE = StepContrast(
    name="session diff",
    label="sessionDiff",
    source="face",
    cells=(Cell(weight=1.0, labels={"ses": "test"}), Cell(weight=-1.0, labels={"ses": "retest"})),
)
SESSION = Step(name="session", level="session")
CHAIN = (
    SESSION,
    Step(name="subject", level="subject", source="session", over=("ses",)),
    Step(
        name="compared",
        level="subject",
        source="session",
        over=("ses",),
        contrasts=(DIFFERENCE,),
        combination="unweighted",
    ),
)


def plan_of(truth: Truth, steps: Sequence[Step] | None = CHAIN) -> Plan:
    data = DataSelection(
        bids_dir=truth.bids_dir, derivatives=(("fmriprep", truth.derivatives_dir),)
    )
    found = find_runs(data, "01", analysis=SETTINGS)
    chosen = None if steps is None else tuple(steps)
    plan = make_plan(found, SETTINGS, load_strategies(), known_conditions={}, steps=chosen)
    assert plan.problems == ()
    return plan


def left_of(plan: Plan, out: Path) -> Todo:
    hashes = HashCache.of_participant(out, "01")
    return unfinished(plan, out, hashes, force=False)


def carry_out(plan: Plan, out: Path) -> Todo:
    """Do what is left of a plan, and return what that was."""
    todo = left_of(plan, out)
    workflow = init_bids_fx_wf(
        [(plan, todo)], out_dir=out, work_dir=out.parent / "work", allowance=ALLOWANCE
    )
    resources = Resources(n_procs=1, mem_gb=8.0, stop_on_first_crash=True)
    failures = run_workflow(
        workflow,
        resources,
        crash_dir=out.parent / "crashes",
        progress=lambda *_: None,
        meter=Meter(),
    )
    assert failures == ()
    return todo


def read(out: Path, stem: str, label: str, stat: str) -> FloatArray:
    name = f"sub-01{stem}_task-main_{SPACE}_contrast-{label}_stat-{stat}_statmap.nii.gz"
    (file,) = out.rglob(name)
    return np.asarray(nb.load(file).get_fdata())


def sidecar(out: Path, stem: str, label: str, stat: str) -> dict[str, object]:
    name = f"sub-01{stem}_task-main_{SPACE}_contrast-{label}_stat-{stat}_statmap.json"
    (file,) = out.rglob(name)
    facts: dict[str, object] = json.loads(file.read_text())
    return facts


def stacks(out: Path, stems: Sequence[str], label: str) -> list[FloatArray]:
    """Return effects, variances and degrees of freedom, shape (n_inputs, n_voxels) each."""
    return [
        np.stack([read(out, stem, label, stat).ravel() for stem in stems])
        for stat in ("effect", "variance", "dof")
    ]


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Truth, Path, Plan]:
    """Two sessions of two runs, combined run by run, then session by session."""
    root = tmp_path_factory.mktemp("chain")
    truth = make_dataset(root / "data", SPEC)
    (root / "out").mkdir()
    plan = plan_of(truth)
    todo = carry_out(plan, root / "out")
    assert (len(todo.runs), len(todo.groups)) == (4, 4)
    return truth, root / "out", plan


def test_every_map_that_is_promised_is_there_and_nothing_is_left(chained) -> None:
    _, out, plan = chained
    promised = [path for group in plan.groups for path in paths.group_images(group)]
    assert len(promised) == len(set(promised))
    assert [path for path in promised if not (out / path).is_file()] == []
    found = {path.relative_to(out).as_posix() for path in out.rglob("*_statmap.nii.gz")}
    images = {str(path) for run in plan.runs for path in paths.run_images(run)}
    assert found <= images | set(map(str, promised))
    assert carry_out(plan, out) == Todo()


@pytest.mark.parametrize("stat", ["effect", "variance", "dof", "z", "nruns", "isq", "zchange"])
def test_the_participant_is_combined_from_the_sessions_maps(chained, stat: str) -> None:
    _, out, _ = chained
    sessions = stacks(out, ["_ses-test", "_ses-retest"], "face")
    expected = combined_maps(*sessions, combination="weighted")[stat]
    covered = np.isfinite(sessions[0]).all(axis=0)
    # The sessions' order is that of their labels; a mean of two does not depend on it.
    np.testing.assert_allclose(
        read(out, "", "face", stat).ravel()[covered], expected[covered], rtol=1e-5, atol=1e-6
    )


def test_a_difference_of_sessions_is_that_of_their_maps(chained) -> None:
    truth, out, _ = chained
    effects, variances, dofs = stacks(out, ["_ses-test", "_ses-retest"], "face")
    difference = read(out, "", "sessionDiff", "effect").ravel()
    inside = np.isfinite(difference)
    assert inside.sum() == truth.runs[0].brain.sum()
    np.testing.assert_allclose(difference[inside], (effects[0] - effects[1])[inside], atol=1e-5)
    variance = read(out, "", "sessionDiff", "variance").ravel()
    np.testing.assert_allclose(variance[inside], variances.sum(axis=0)[inside], rtol=1e-5)
    dof = variances.sum(axis=0) ** 2 / (variances**2 / dofs).sum(axis=0)
    found = read(out, "", "sessionDiff", "dof").ravel()
    np.testing.assert_allclose(found[inside], dof[inside], rtol=1e-5)
    assert set(read(out, "", "sessionDiff", "nruns").ravel()[inside]) == {2}


def test_maps_of_how_inputs_differ_are_of_one_mean_alone(chained) -> None:
    _, out, _ = chained
    names = {path.name.split("_stat-")[1] for path in out.rglob("*sessionDiff_stat-*.nii.gz")}
    stats = {"effect", "variance", "t", "z", "p", "logp", "dof", "nruns"}
    assert names == {f"{stat}_statmap.nii.gz" for stat in stats}
    assert not list(out.rglob("*sessionDiff*_influence.tsv"))


def test_sidecars_name_the_sessions_and_the_runs_behind_them(chained) -> None:
    _, out, _ = chained
    facts = sidecar(out, "", "face", "nruns")
    sessions = [f"sub-01_ses-{name}_task-main_{SPACE}" for name in ("retest", "test")]
    assert facts["Inputs"] == sessions
    assert (facts["NumberOfRuns"], len(facts["Runs"])) == (4, 4)
    assert facts["Description"] == "Number of sessions that enter the voxel of contrast 'face'"
    sources = {
        f"bids::sub-01/ses-{name.split('_')[1][4:]}/func/{name}_contrast-face_stat-{stat}"
        "_statmap.nii.gz"
        for name in sessions
        for stat in ("effect", "variance", "dof")
    }
    assert set(facts["Sources"]) == sources
    assert facts["InputHashes"] == {
        uri: sha256(out / uri.removeprefix("bids::")) for uri in sources
    }


def test_the_sidecar_of_a_difference_writes_it_out(chained) -> None:
    _, out, _ = chained
    facts = sidecar(out, "", "sessionDiff", "variance")
    assert facts["ContrastName"] == "session diff"
    assert facts["ContrastFormula"] == "face[ses-test] - face[ses-retest]"
    assert facts["Combination"] == "unweighted"
    assert [cell["Weight"] for cell in facts["WeightedMeans"]] == [1.0, -1.0]
    assert facts["WeightedMeans"][1]["MeanOf"] == [f"sub-01_ses-retest_task-main_{SPACE}"]
    assert facts["VarianceEstimator"].startswith("sum over the means of the squared weight")
    assert sidecar(out, "", "face", "variance")["Combination"] == "weighted"
    estimator = sidecar(out, "", "face", "variance")["VarianceEstimator"]
    assert "degrees of freedom of each session; unweighted in voxels where a session" in estimator


def test_the_table_of_influence_names_the_sessions(chained) -> None:
    _, out, plan = chained
    (group,) = (group for group in plan.groups if group.step == "subject")
    table = out / paths.influence_tables(group)["face"]
    assert {row.run for row in read_influence(table)} == {
        f"sub-01_ses-{name}_task-main_{SPACE}" for name in ("test", "retest")
    }
    facts = json.loads(table.with_suffix(".json").read_text())
    assert facts["Description"].endswith("combined over 2 sessions")
    assert facts["run"]["Description"] == "Session that is looked at"


def test_the_report_tells_the_steps(chained) -> None:
    _, out, plan = chained
    methods = render_methods([plan], {})
    assert "within sessions and over sessions" in methods.markdown
    assert "each of them took the place of a run" in methods.markdown
    assert "session diff (face\\[ses-test\\] - face\\[ses-retest\\])" in methods.markdown
    report = write_report([Call(plan=plan, state="done")], out, [methods]).read_text()
    assert "2 sessions, each with the same weight: ses-retest, ses-test." in report
    assert "combined (2 sessions)" in report
    assert "face[ses-test] - face[ses-retest]" in report
    assert ">missing</td>" not in report
    assert "The table of what each run does is missing" not in report


def test_a_changed_run_is_followed_to_the_participant(chained) -> None:
    _, out, plan = chained
    image = next(out.rglob("*ses-test*run-1*contrast-face_stat-effect_statmap.nii.gz"))
    kept = image.read_bytes()
    image.unlink()
    left = left_of(plan, out)
    image.write_bytes(kept)
    assert {group.split("_task")[0] for group in left.groups} == {
        *("session_ses-test", "subject", "compared"),
    }
    assert len(left.runs) == 1


def test_a_changed_map_of_a_session_makes_the_participant_anew(chained) -> None:
    _, out, plan = chained
    (image,) = out.rglob("sub-01_ses-test_task-main_space-*contrast-face_stat-dof_statmap.nii.gz")
    kept = image.read_bytes()
    other = nb.load(image)
    nb.save(nb.Nifti1Image(other.get_fdata(dtype=np.float32) + 1, other.affine), image)
    try:
        left = left_of(plan, out)
    finally:
        image.write_bytes(kept)
    assert {"subject", "compared"} <= {group.split("_task")[0] for group in left.groups}
    assert left.runs == frozenset()


def test_a_run_that_comes_is_combined_in_its_session_and_the_participant(tmp_path: Path) -> None:
    few = replace(SPEC, n_volumes=30)
    truth = make_dataset(tmp_path / "data", few)
    removed = [path for path in (tmp_path / "data").rglob("*ses-test*run-2*") if path.is_file()]
    kept = {path: path.read_bytes() for path in removed}
    for path in removed:
        path.unlink()
    out = tmp_path / "out"
    out.mkdir()
    assert len(carry_out(plan_of(truth), out).groups) == 4
    before = read(out, "", "face", "variance")
    untouched = next(out.rglob("sub-01_ses-retest_task-main_space*stat-z_statmap.nii.gz"))
    stamp = untouched.stat().st_mtime_ns
    for path, content in kept.items():
        path.write_bytes(content)
    plan = plan_of(truth)
    todo = carry_out(plan, out)
    assert {group.split("_task")[0] for group in todo.groups} == {
        *("session_ses-test", "subject", "compared"),
    }
    assert len(todo.runs) == 1
    assert untouched.stat().st_mtime_ns == stamp
    assert sidecar(out, "", "face", "z")["NumberOfRuns"] == 4
    assert not np.array_equal(read(out, "", "face", "variance"), before, equal_nan=True)
    assert carry_out(plan, out) == Todo()


def test_a_lone_run_stands_for_its_session_in_the_participant(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path / "data", replace(SPEC, runs=(), n_volumes=30))
    out = tmp_path / "out"
    out.mkdir()
    plan = plan_of(truth)
    carry_out(plan, out)
    assert [run.levels for run in plan.runs] == [("run", "session")] * 2
    facts = sidecar(out, "", "sessionDiff", "z")
    assert facts["Inputs"] == [f"sub-01_ses-{s}_task-main_{SPACE}" for s in ("retest", "test")]
    effects, variances, dofs = stacks(out, ["_ses-test", "_ses-retest"], "face")
    effects[1] *= -1
    expected = summed_maps(effects, variances, dofs, cells=[[0], [1]], combination="unweighted")[
        "z"
    ]
    found = read(out, "", "sessionDiff", "z").ravel()
    inside = np.isfinite(found)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-5, atol=1e-6)
    assert carry_out(plan, out) == Todo()

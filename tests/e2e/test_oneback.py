"""The main job on real data, through the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.cli.run import main
from bids_fx.settings import WORK_AREA
from tests.validator import bids_errors

pytestmark = pytest.mark.e2e

CONDITIONS = ("body", "face", "house", "object", "scene", "scramble")
EXPRESSIONS = (
    "face - house",
    "face - scramble",
    f"all = ({' + '.join(CONDITIONS)})/6",
    *CONDITIONS,
)
LABELS = ("faceGtHouse", "faceGtScramble", "all", *CONDITIONS)
#: Peaks of nilearn's combined maps are 7.9 and 12.9, of ours with weights taken as known and
#: summed degrees of freedom 7.6 and 12.3; what the weights' uncertainty costs takes 7.4 and 11.8.
FACE_HOUSE_PEAK, ALL_PEAK = 7.0, 11.5


def arguments(oneback: Path, out: Path, *more: str) -> list[str]:
    contrasts = [word for text in EXPRESSIONS for word in ("--contrast", text)]
    derivatives = str(oneback / "derivatives" / "preproc")
    return [
        *(str(oneback), str(out), "participant", "-d", derivatives),
        *("--noise-model", "ar1-yw", "--nprocs", "1"),
        *contrasts,
        *more,
    ]


@pytest.fixture(scope="module")
def out(oneback, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("oneback") / "out"
    assert main(arguments(oneback, folder)) == 0
    return folder


def outputs(out: Path) -> dict[str, Path]:
    """Return the files of an output folder that are a contract: no logs, no work area."""
    return {
        path.relative_to(out).as_posix(): path
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.relative_to(out).parts[0] not in {"logs", WORK_AREA}
    }


def z_map(out: Path, label: str, run: str = "") -> np.ndarray:
    name = f"sub-02_task-oneback_{run}contrast-{label}_stat-z_statmap.nii.gz"
    return nb.load(out / "sub-02" / "func" / name).get_fdata()


def test_the_listing_equals_the_plan_both_ways(oneback, out, capsys):
    assert main(arguments(oneback, out, "--dry-run=json")) == 0
    (plan,) = json.loads(capsys.readouterr().out)["participants"]
    planned = {path for path in plan["outputs"] if not path.startswith("logs/")}
    assert set(outputs(out)) == planned
    assert all((out / path).exists() for path in plan["outputs"])


def test_the_combined_maps_show_the_known_peaks(out):
    assert np.nanmax(z_map(out, "faceGtHouse")) > FACE_HOUSE_PEAK
    assert np.nanmax(z_map(out, "all")) > ALL_PEAK


@pytest.mark.parametrize("label", ["faceGtHouse", "faceGtScramble", "all"])
def test_the_combined_map_peaks_higher_than_each_run(out, label):
    runs = [np.nanmax(z_map(out, label, f"run-{run}_")) for run in (1, 2)]
    assert np.nanmax(z_map(out, label)) > max(runs)


@pytest.mark.parametrize("label", LABELS)
def test_every_contrast_has_a_combined_map_over_both_runs(out, label):
    name = f"sub-02_task-oneback_contrast-{label}_stat-nruns_statmap"
    counts = nb.load(out / "sub-02" / "func" / f"{name}.nii.gz").get_fdata()
    assert counts.max() == 2
    sidecar = json.loads((out / "sub-02" / "func" / f"{name}.json").read_text())
    assert sidecar["Runs"] == ["sub-02_task-oneback_run-1", "sub-02_task-oneback_run-2"]
    assert all(uri.startswith("bids::sub-02/func/") for uri in sidecar["Sources"])


def test_t_squared_is_effect_squared_over_variance_in_the_files(out):
    def read(stat: str) -> np.ndarray:
        stem = "sub-02_task-oneback_contrast-faceGtHouse_stat-"
        return nb.load(out / "sub-02" / "func" / f"{stem}{stat}_statmap.nii.gz").get_fdata()

    inside = np.isfinite(read("t"))
    assert inside.sum() > 6000
    squared = read("effect")[inside] ** 2 / read("variance")[inside]
    np.testing.assert_allclose(read("t")[inside] ** 2, squared, rtol=1e-5)  # float32 files


def test_a_second_call_computes_nothing_and_changes_no_byte(oneback, out):
    before = {name: (p.read_bytes(), p.stat().st_mtime_ns) for name, p in outputs(out).items()}
    assert main(arguments(oneback, out)) == 0
    after = {name: (p.read_bytes(), p.stat().st_mtime_ns) for name, p in outputs(out).items()}
    changed = [name for name in before if before[name][0] != after[name][0]]
    rewritten = [name for name in before if before[name][1] != after[name][1]]
    assert before.keys() == after.keys()
    assert changed == []
    assert [name for name in rewritten if not name.endswith(".html")] == []


def test_a_call_without_the_work_area_computes_nothing_either(oneback, out, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    shutil.rmtree(copy / WORK_AREA)
    before = {name: path.stat().st_mtime_ns for name, path in outputs(copy).items()}
    assert main(arguments(oneback, copy)) == 0
    after = {name: path.stat().st_mtime_ns for name, path in outputs(copy).items()}
    assert [name for name in before if before[name] != after[name] and ".html" not in name] == []


def test_two_processes_give_the_same_bytes_as_one(oneback, out, tmp_path):
    command = [sys.executable, "-m", "bids_fx", *arguments(oneback, tmp_path / "out")]
    command[command.index("--nprocs") + 1] = "2"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = outputs(out), outputs(tmp_path / "out")
    assert first.keys() == second.keys()
    different = [
        name
        for name in first
        if first[name].read_bytes() != second[name].read_bytes()
        and name != "dataset_description.json"
    ]
    assert different == []


def test_run_maps_of_our_own_give_the_same_combined_bytes(oneback, out, tmp_path):
    again = tmp_path / "out"
    command = [str(oneback), str(again), "participant", "--run-maps", str(out), "--nprocs", "1"]
    assert main(command) == 0
    combined = [
        name for name in outputs(out) if name.endswith("_statmap.nii.gz") and "run-" not in name
    ]
    assert len(combined) == len(LABELS) * 14
    for name in combined:
        assert (again / name).read_bytes() == (out / name).read_bytes(), name


def test_our_own_design_matrices_give_the_same_run_maps(oneback, out, tmp_path):
    designs = tmp_path / "designs"
    designs.mkdir()
    for path in (out / "sub-02" / "func").glob("*_design.*"):
        shutil.copy(path, designs)
    again = tmp_path / "out"
    assert main([*arguments(oneback, again), "--design-dir", str(designs)]) == 0
    maps = [name for name in outputs(out) if name.endswith("_statmap.nii.gz")]
    for name in maps:
        assert (again / name).read_bytes() == (out / name).read_bytes(), name


def test_the_output_is_a_valid_bids_dataset(out):
    assert bids_errors(out) == []


def test_no_output_names_a_folder_of_this_machine(oneback, out):
    texts = [p for name, p in outputs(out).items() if p.suffix in {".json", ".tsv", ".html"}]
    assert len(texts) > 200
    for path in texts:
        if path.name != "dataset_description.json":
            assert str(out) not in path.read_text()
            assert str(oneback.resolve()) not in path.read_text()


def test_reports_only_draws_again_from_the_outputs_alone(oneback, out, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    shutil.rmtree(copy / WORK_AREA)
    for figure in (copy / "sub-02" / "figures").iterdir():
        figure.unlink()
    report = (copy / "sub-02.html").read_bytes()
    (copy / "sub-02.html").unlink()
    assert main([*arguments(oneback, copy), "--reports-only"]) == 0
    assert (copy / "sub-02.html").read_bytes() == report
    assert outputs(copy).keys() == outputs(out).keys()
